"""Rows that were computed before, above the conformers that were made before."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from skmol3d.featurizers import spellings
from skmol3d.featurizers.parameters import check_integer
from skmol3d.structures import conformer_cache
from skmol3d.structures.storage import Cache, CacheError

__all__ = ["CACHE", "MEMORY_BYTES", "CacheError", "clear", "decode_row", "encode_row", "set_cache_bytes"]

MEMORY_BYTES = 256 * 2**20
"""Bound of the rows that a process keeps; `set_cache_bytes` sets another.

A row of `rem3di-small` takes 2 kB, which is 140,000 rows.
"""

CACHE = Cache("rows", MEMORY_BYTES)
WHOLE = ("<u1", "<i1", "<u2", "<i2")


def set_cache_bytes(*, conformers: int | None = None, rows: int | None = None) -> None:
    """Set how much memory this process spends on what it computed before.

    Featurizers share two caches (and 32 MiB for the spellings of molecules). Conformers cost most and are
    small (0.8 kB for a drug-like molecule): 64 MiB hold 80,000. Rows come again from conformers at the cost
    of the encoder alone (`rem3di-small`: 2 kB): 256 MiB hold 140,000. What does not fit leaves at random, so
    that of more data than fit some are still found. Worker processes have caches of their own with the
    default bounds; a `cache_dir` has no bound.

    Parameters
    ----------
    conformers, rows : int or None, default=None
        Bytes; 0 keeps nothing, None leaves the bound as it is.

    Raises
    ------
    TypeError, ValueError
        If a number is no integer, or negative.

    Examples
    --------
    >>> from skmol3d import set_cache_bytes
    >>> set_cache_bytes(conformers=2**26, rows=2**28)
    """
    for name, value in (("conformers", conformers), ("rows", rows)):
        if value is not None:
            check_integer(name, value, 0)
    if conformers is not None:
        conformer_cache.CACHE.memory.resize(conformers)
    if rows is not None:
        CACHE.memory.resize(rows)


def clear() -> None:
    """Forget all rows, conformers and spellings in memory."""
    spellings.MEMORY.clear()
    conformer_cache.CACHE.memory.clear()
    CACHE.memory.clear()


def encode_row(row: NDArray[np.float32], counts: NDArray[np.bool_]) -> bytes:
    """Bytes of a row [D]: floats as they are, counts as the smallest whole numbers that hold them, zipped.

    Most counts are 0: the 1,606 of `rem3di-small` take 0.2 kB.

    Parameters
    ----------
    row : ndarray of float32, shape [D]
        Finite.
    counts : ndarray of bool, shape [D]
        Columns that are whole numbers, if nothing has been averaged.
    """
    numbers = row[counts]
    with np.errstate(invalid="ignore"):  # what does not fit does not come back
        kind = next((kind for kind in WHOLE if (numbers.astype(kind) == numbers).all()), "<f4")
    zipped = zlib.compress(kind.encode() + numbers.astype(kind).tobytes(), 1)
    return row[~counts].astype("<f4").tobytes() + zipped


def decode_row(value: bytes, counts: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The row [D] of `encode_row`'s bytes."""
    row = np.empty(len(counts), np.float32)
    floats = len(counts) - np.count_nonzero(counts)
    row[~counts] = np.frombuffer(value, "<f4", floats)
    unzipped = zlib.decompress(memoryview(value)[4 * floats :])
    row[counts] = np.frombuffer(unzipped, unzipped[:3].decode(), offset=3)
    return row
