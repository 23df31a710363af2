"""Space groups in their standard settings, and the changes of axes and origin that keep a setting."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import spglib
from numpy.typing import NDArray

GRID = 24
"""Translations and origins are counted in 24ths of an axis, which holds all of them exactly."""

MONOCLINIC = range(3, 16)


@dataclass(frozen=True, slots=True, eq=False)
class SpaceGroup:
    """A space group in the setting that spglib lists first for its number.

    Attributes
    ----------
    number : int
        In the International Tables, 1 to 230.
    symbol : str
        Short Hermann–Mauguin symbol, e.g. "P2_1/c".
    rotations : ndarray of int, shape [G, 3, 3]
        Operations x → rotations x + translations of fractional columns x, centring included.
    translations : ndarray of float, shape [G, 3]
        Fractions of the axes.
    free : ndarray of bool, shape [3]
        Axes along which the origin is arbitrary: all in P1, z in Pna2_1, none in P2_1/c.
    """

    number: int
    symbol: str
    rotations: NDArray[np.int64]
    translations: NDArray[np.float64]
    free: NDArray[np.bool_]


@lru_cache(maxsize=230)
def space_group(number: int) -> SpaceGroup:
    """Look up a space group by its number (1 to 230)."""
    hall = _default_hall_numbers()[number]
    with quiet_spglib():
        operations, kind = spglib.get_symmetry_from_database(hall), spglib.get_spacegroup_type(hall)
    assert operations is not None
    assert kind is not None  # both are there for all Hall numbers
    rotations = np.asarray(operations["rotations"], np.int64)
    ticks = np.rint(np.asarray(operations["translations"]) * GRID) % GRID
    free = ~np.any(rotations - np.eye(3, dtype=np.int64), axis=(0, 1))
    return SpaceGroup(number, kind.international_short, rotations, ticks / GRID, free)


KINDS = ("operations", "centring", "inversion", "rotation", "screw", "mirror", "glide", "higher")
"""The columns of `operation_kinds`."""


@lru_cache(maxsize=230)
def operation_kinds(number: int) -> NDArray[np.float64]:
    """How many operations a space group has, and the shares of each kind: [8], in the order of `KINDS`.

    The binary logarithm of the number of operations in the conventional cell; then of all of them the shares
    of centring translations, inversions, twofold rotations and screws, mirrors and glides, and of operations
    of order three, four or six. Screws and glides stay such with every lattice vector added.
    Enantiomorphic pairs, such as P4_1 and P4_3, have the same columns, and so have some groups that differ in
    the directions of their axes and glides alone.
    """
    group = space_group(number)
    steps = np.array(list(product((-1, 0, 1), repeat=3)))
    counts = dict.fromkeys(KINDS[1:], 0)
    for rotation, translation in zip(group.rotations, group.translations, strict=True):
        trace = round(np.linalg.det(rotation)) * int(np.trace(rotation))  # of the proper part
        proper = np.linalg.det(rotation) > 0
        if trace not in (3, -1):
            counts["higher"] += 1
        elif trace == 3:
            counts["centring"] += bool(proper and translation.any())
            counts["inversion"] += not proper
        else:
            # What is left of the translation when the operation is done twice lies along axis or plane.
            moves = (translation + steps) @ (rotation + np.eye(3)).T
            still = (np.abs(moves).max(1) < 1e-6).any()
            counts[("rotation" if still else "screw") if proper else ("mirror" if still else "glide")] += 1
    return np.array([np.log2(len(group.rotations)), *counts.values()]) / [
        1.0,
        *[float(len(group.rotations))] * len(counts),
    ]


@lru_cache(maxsize=1)
def _default_hall_numbers() -> dict[int, int]:
    first: dict[int, int] = {}
    for hall in range(1, 531):
        with quiet_spglib():
            kind = spglib.get_spacegroup_type(hall)
        assert kind is not None
        first.setdefault(kind.number, hall)
    return first


_QUIET = threading.RLock()


@contextmanager
def quiet_spglib() -> Iterator[None]:
    """Without spglib 2.8's warning, at every call, that version 3 will raise errors where it returns None.

    One thread at a time: filters of warnings belong to all, and who leaves last would restore another's.
    """
    with _QUIET, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


@dataclass(frozen=True, slots=True, eq=False)
class Normaliser:
    """Changes of the coordinate system after which the operations of a space group read the same.

    Attributes
    ----------
    axes : ndarray of int, shape [Q, 3, 3]
        Old coordinates are x = axes x' + origins for new ones x'. All are of determinant 1, since the
        mirror image of a crystal is another crystal. The group is infinite for triclinic and monoclinic
        lattices; here are those with entries -1, 0 and 1, and for monoclinic ones up to 2, from which
        the others follow by repetition.
    origins : ndarray of float, shape [Q, 3]
        One for each of the axes.
    shifts : ndarray of float, shape [H, 3]
        Moves of the origin alone, at least one for each class modulo the lattice and the free axes.
    """

    axes: NDArray[np.int64]
    origins: NDArray[np.float64]
    shifts: NDArray[np.float64]


@lru_cache(maxsize=230)
def normaliser(number: int) -> Normaliser:
    """Find the `Normaliser` of a space group by its number (1 to 230)."""
    group = space_group(number)
    ticks = np.rint(group.translations * GRID).astype(np.int64)
    identity = (group.rotations == np.eye(3, dtype=np.int64)).all((1, 2))
    centring = ticks[identity]
    _, distinct = np.unique(_matrix_codes(group.rotations), return_index=True)
    rotations, ticks = group.rotations[distinct], ticks[distinct]
    place = {code: i for i, code in enumerate(_matrix_codes(rotations).tolist())}

    # An origin o changes the translation of {R|t} by (R - 1) o; which origins give which changes.
    counts = [1 if free else GRID for free in group.free]
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in counts), indexing="ij"), -1).reshape(-1, 3)
    changes = _codes(grid @ (rotations - np.eye(3, dtype=np.int64)).transpose(0, 2, 1), centring).T
    origin_of: dict[bytes, int] = {}
    for index, change in enumerate(changes):
        origin_of.setdefault(change.tobytes(), index)
    none = np.zeros((len(rotations), 3), np.int64)
    still = grid[(changes == _codes(none, centring)).all(1)]
    _, first = np.unique(_codes(still, centring), return_index=True)

    axes, origins = [], []
    pool = _unimodular(number in MONOCLINIC)
    inverses = np.rint(np.linalg.inv(pool)).astype(np.int64)
    conjugates = _matrix_codes(inverses[:, None] @ rotations @ pool[:, None])
    keeps = np.isin(conjugates, list(place)).all(1)
    moved = _codes(centring @ inverses.transpose(0, 2, 1), centring)  # centring must stay centring
    keeps &= (moved == _codes(none[:1], centring)).all(1)
    for q, codes in zip(pool[keeps], conjugates[keeps].tolist(), strict=True):
        wanted = ticks[[place[code] for code in codes]] @ q.T - ticks
        change = _codes(wanted, centring).tobytes()
        if change in origin_of:
            axes.append(q)
            origins.append(grid[origin_of[change]])
    return Normaliser(np.array(axes), np.array(origins) / GRID, still[first] / GRID)


def _matrix_codes(matrices: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each integer matrix [..., 3, 3] with entries below 50."""
    return matrices.reshape(*matrices.shape[:-2], 9) @ 100 ** np.arange(9, dtype=np.int64)


def _codes(vectors: NDArray[np.int64], centring: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each vector [..., 3] in 24ths, the same for vectors that differ by a lattice vector."""
    copies = (vectors[..., None, :] + centring) % GRID
    return (copies @ np.array([GRID**2, GRID, 1])).min(-1)


@lru_cache(maxsize=2)
def _unimodular(monoclinic: bool) -> NDArray[np.int64]:
    entries = np.array(list(product((-1, 0, 1), repeat=9)), np.int64).reshape(-1, 3, 3)
    if monoclinic:  # unique axis b
        plane = np.array(list(product(range(-2, 3), repeat=4)), np.int64).reshape(-1, 2, 2)
        entries = np.zeros((2 * len(plane), 3, 3), np.int64)
        entries[:, ::2, ::2] = np.concatenate([plane, plane])
        entries[:, 1, 1] = np.repeat([1, -1], len(plane))
    return entries[np.rint(np.linalg.det(entries)) == 1]
