from .heads import HEADS, fit_head
from .methods import METHODS, make_method
from .plots import plot_win_rates
from .protocol import evaluate, unique_smiles
from .report import best_head, mean_ranks, paired, render, resampled, score_table

__all__ = [
    "HEADS",
    "METHODS",
    "best_head",
    "evaluate",
    "fit_head",
    "make_method",
    "mean_ranks",
    "paired",
    "plot_win_rates",
    "render",
    "resampled",
    "score_table",
    "unique_smiles",
]
