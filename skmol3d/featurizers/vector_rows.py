"""Layout of Mo3ENet's vector rows: 3K coordinates (x of all vectors, then y, then z), then K scalars."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ORTHOGONAL = 1e-4
"""Largest deviation of R Rᵀ from the identity: matrices may come in single precision."""


def split_rows(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Vectors [n, 3, K] and scalars [n, K] of rows [n, 4K]."""
    width = rows.shape[1]
    if width % 4:
        raise ValueError(f"vector rows have 3K coordinates and K scalars; {width} columns do not divide by 4")
    coordinates = 3 * width // 4
    return rows[:, :coordinates].reshape(len(rows), 3, -1), rows[:, coordinates:]


def rotate_rows(rows: NDArray[np.float32], R: Any) -> NDArray[np.float32]:
    """Rows whose vectors v went to R v, of one orthogonal matrix [3, 3] or one for each row [n, 3, 3].

    Raises
    ------
    ValueError
        If `R` has another shape, or holds a matrix that is not orthogonal (named by its place).
    """
    matrices = np.asarray(R, np.float64)
    if matrices.shape not in ((3, 3), (len(rows), 3, 3)):
        raise ValueError(f"R must have shape [3, 3] or [{len(rows)}, 3, 3]; got {list(matrices.shape)}")
    excess = np.abs(matrices @ matrices.swapaxes(-1, -2) - np.eye(3)).max(axis=(-1, -2))
    wrong = np.flatnonzero(~(np.atleast_1d(excess) <= ORTHOGONAL))  # NaN is wrong, too
    if len(wrong):
        which = "R" if matrices.ndim == 2 else f"R[{wrong[0]}]"
        raise ValueError(f"{which} is not orthogonal: R @ R.T differs from the identity")
    vectors, scalars = split_rows(rows)
    turned = (matrices @ vectors).astype(np.float32)
    return np.concatenate([turned.reshape(len(rows), -1), scalars], axis=1)
