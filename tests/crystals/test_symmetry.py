"""Space groups, their origins and normalisers."""

from __future__ import annotations

import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from skmol3d.crystals.symmetry import normaliser, operation_kinds, quiet_spglib, space_group


def test_normalisers_against_the_international_tables() -> None:
    """Numbers of equivalent origins modulo the lattice, and of orientations (IT A, chapter 3.5)."""
    for number, origins in {
        2: 8,
        14: 8,
        15: 4,
        19: 8,
        61: 8,
        62: 8,
        88: 2,
        92: 4,
        198: 2,
        205: 2,
        227: 2,
    }.items():
        assert len(normaliser(number).shifts) == origins
    for number, axes in {19: 24, 33: 4, 61: 12, 62: 4, 92: 8, 161: 6, 205: 12, 217: 24}.items():
        assert len(normaliser(number).axes) == axes
    for number in range(1, 231):
        group, changes = space_group(number), normaliser(number)
        operations = {
            (*r.ravel().tolist(), *np.round(t * 24).astype(int).tolist())
            for r, t in zip(group.rotations, group.translations, strict=True)
        }
        for axes, origin in list(zip(changes.axes, changes.origins, strict=True))[
            :: max(1, len(changes.axes) // 5)
        ]:
            inverse = np.linalg.inv(axes)
            for r, t in list(zip(group.rotations, group.translations, strict=True))[:12]:
                rotation = np.rint(inverse @ r @ axes).astype(int)
                translation = np.rint(inverse @ (r @ origin + t - origin) * 24).astype(int) % 24
                assert (*rotation.ravel().tolist(), *translation.tolist()) in operations


@pytest.mark.parametrize(
    ("number", "kinds"),
    [
        (1, [0, 0, 0, 0, 0, 0, 0, 0]),
        (2, [1, 0, 1 / 2, 0, 0, 0, 0, 0]),
        (4, [1, 0, 0, 0, 1 / 2, 0, 0, 0]),
        (14, [2, 0, 1 / 4, 0, 1 / 4, 0, 1 / 4, 0]),
        (15, [3, 1 / 8, 1 / 4, 1 / 8, 1 / 8, 0, 1 / 4, 0]),
        (19, [2, 0, 0, 0, 3 / 4, 0, 0, 0]),
        (62, [3, 0, 1 / 8, 0, 3 / 8, 1 / 8, 1 / 4, 0]),
        (113, [3, 0, 0, 1 / 8, 1 / 4, 1 / 4, 0, 1 / 4]),
        (205, [np.log2(24), 0, 1 / 24, 0, 1 / 8, 0, 1 / 8, 2 / 3]),
    ],
)
def test_kinds_of_operations_are_those_of_the_tables(number: int, kinds: list[float]) -> None:
    np.testing.assert_allclose(operation_kinds(number), kinds)


def test_shares_of_operations_leave_the_identity() -> None:
    for number in range(1, 231):
        logarithm, *shares = operation_kinds(number)
        assert sum(shares) == pytest.approx(1 - 2**-logarithm)


def test_threads_leave_the_filters_of_warnings_as_they_were() -> None:
    def ask(k: int) -> None:
        with quiet_spglib():
            time.sleep(0.001 * (k % 3))
            warnings.warn("would be an error elsewhere", DeprecationWarning, stacklevel=1)

    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(60)))
    assert warnings.filters == before
