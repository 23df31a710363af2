"""Comparison of featurizers: methods x heads x tasks, with paired statistics (see ``skmol3d benchmark``)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.benchmark.heads import HEADS, fit_head
    from skmol3d.benchmark.methods import METHODS, make_method
    from skmol3d.benchmark.plots import plot_win_rates
    from skmol3d.benchmark.protocol import evaluate, unique_smiles
    from skmol3d.benchmark.report import best_head, mean_ranks, paired, render, score_table

_HOME = {
    "HEADS": "heads",
    "METHODS": "methods",
    "best_head": "report",
    "evaluate": "protocol",
    "fit_head": "heads",
    "make_method": "methods",
    "mean_ranks": "report",
    "paired": "report",
    "plot_win_rates": "plots",
    "render": "report",
    "score_table": "report",
    "unique_smiles": "protocol",
}
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
    "score_table",
    "unique_smiles",
]


def __getattr__(name: str) -> Any:
    # Lazy: the command line must not import matplotlib, torch or rdkit before it needs them.
    if name in _HOME:
        return getattr(import_module(f"skmol3d.benchmark.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
