"""Results as pictures (needs matplotlib: ``pip install "skmol3d[benchmark]"``)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmol3d.benchmark.report import mean_ranks, paired
from skmol3d.dynamics import FARTHEST


def plot_win_rates(table: pd.DataFrame, path: str | Path) -> Path:
    """Draw the share of tasks on which the row's method beats the column's, ties counting half.

    Parameters
    ----------
    table : DataFrame
        From `score_table`.
    path : path
        Where to save; the suffix (.png, .svg, .pdf) decides the format.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    ranks = mean_ranks(table).sort_values()
    names = list(ranks.index)
    rates = np.full((len(names), len(names)), np.nan)
    for pair in paired(table).to_dict("records"):
        total = pair["wins"] + pair["losses"] + pair["ties"]
        rates[names.index(pair["method"]), names.index(pair["rival"])] = (
            pair["wins"] + pair["ties"] / 2
        ) / total
    size = 1.2 + 0.75 * len(names) + 0.1 * max(map(len, names))
    figure, axes = _axes(size + 1.2, size)
    image = axes.imshow(rates, cmap="RdBu", vmin=0, vmax=1)
    for (row, column), rate in np.ndenumerate(rates):
        if row != column:
            colour = "white" if abs(rate - 0.5) > 0.3 else "black"
            axes.text(column, row, f"{rate:.0%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(names)), [f"{name}  (rank {ranks[name]:.2f})" for name in names])
    axes.set_xlabel("rival")
    axes.set_title(f"Share of {len(table)} tasks won against each rival")
    figure.colorbar(image, ax=axes, shrink=0.7, format=lambda value, _: f"{value:.0%}")
    return _saved(figure, path)


def plot_pair_distances(curves: dict[str, NDArray[np.float64]], path: str | Path) -> Path:
    """Draw distributions h(r) of the distances of pairs of atoms over each other.

    Parameters
    ----------
    curves : dict of str to ndarray
        By method, from `skmol3d.dynamics.pair_distances`.
    path : path
        Where to save; the suffix (.png, .svg, .pdf) decides the format.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ImportError
        Without matplotlib.
    """
    figure, axes = _axes(7, 3.5)
    for name, curve in curves.items():
        edges = np.linspace(0, FARTHEST, len(curve) + 1)
        axes.plot((edges[:-1] + edges[1:]) / 2, curve, label=name, linewidth=1)
    axes.set_xlabel("distance r (Å)")
    axes.set_ylabel("h(r) (1/Å)")
    axes.set_xlim(0, FARTHEST)
    axes.set_ylim(0)
    axes.legend()
    return _saved(figure, path)


def _axes(width: float, height: float) -> tuple[Any, Any]:
    """A figure (inches) of its own, not pyplot's: no global state, no display."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("charts need matplotlib: pip install 'skmol3d[benchmark]'") from error

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _saved(figure: Any, path: str | Path) -> Path:
    path = Path(path)
    figure.savefig(path, dpi=150)
    return path
