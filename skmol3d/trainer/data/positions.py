"""Positions as integers; without torch, for the worker processes."""

import numpy as np

POSITION_UNIT = 0.001  # Å per stored integer
LARGEST = np.iinfo(np.int16).max * POSITION_UNIT  # Å


def integer_positions(positions: np.ndarray) -> np.ndarray:
    """Centre positions [N, 3] (Å) and round them to int16 in units of 0.001 Å.

    Raises
    ------
    ValueError
        If an atom is more than 32.767 Å from the centroid along an axis (int16 would wrap around), or a
        coordinate is not finite.
    """
    centred = positions - positions.mean(axis=0)
    reach = np.abs(centred).max()
    if not reach <= LARGEST:  # also NaN
        raise ValueError(f"an atom {reach:.1f} Å from the centroid; packed positions end at {LARGEST:.3f} Å")
    return np.round(centred / POSITION_UNIT).astype(np.int16)
