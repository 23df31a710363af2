"""The scale of REM3DI's columns, made for linear models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

COUNTS = ("words", "rare", "signed")
"""Blocks of counts."""

SCALE = np.float32(3 / 32)
"""What a count of 1, and a standard deviation of any other column, become.

Chosen on training molecules of the benchmark, for ``Ridge()``
(`skmol3d.benchmark.experiments.row_choices`). Not 0.1: that halves, the steps of rounded
columns, are no multiples of it tells counts from these.
"""


def counted_columns(X: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which columns [p] of rows [n, p] hold counts alone: whole numbers, or these times `SCALE`."""
    scaled = X.astype(np.float32)
    whole = (np.rint(X) == X).all(axis=0)
    return np.asarray(whole | (np.rint(scaled / SCALE) * SCALE == scaled).all(axis=0))


def factors_of(encoder: Any) -> NDArray[np.float32]:
    """Factors [columns] that bring an encoder's rows to the scale where a penalty of 1 is about right.

    Parameters
    ----------
    encoder : REM3DI or PublishedREM3DI
        Columns of the authors' encoder are left as they are, since nothing is known of them. Ours are counts,
        or in standard deviations, or become so here (``surface``); only of rows that are not compressed
        (``dense: 0`` in the recipe) the statistics keep scales of their own.
    """
    blocks = encoder.output_blocks()
    factors = np.ones(sum(blocks.values()), np.float32)
    if encoder.name != "rem3di":
        return factors
    if encoder.surface is not None:
        start = sum(blocks[name] for name in list(blocks)[: list(blocks).index("surface")])
        deviation = encoder.surface.deviation().cpu().numpy()
        # A hair less, or whole multiples of eight of its steps would be taken for counts.
        factors[start : start + len(deviation)] *= 0.99 / np.where(deviation > 0, deviation, 1)
    return factors * SCALE
