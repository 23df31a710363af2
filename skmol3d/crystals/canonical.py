"""One description for each crystal: the choice among equivalent axes, origins and symmetry copies."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cmp_to_key, partial
from typing import NamedTuple

import numpy as np
from ase.geometry import cell_to_cellpar, cellpar_to_cell
from numpy.typing import NDArray

from skmol3d.crystals.pose import lexicographic_minimum, rotation_vectors
from skmol3d.crystals.symmetry import Normaliser, SpaceGroup, normaliser

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

LENGTH_TIE, COSINE_TIE = 1e-3, 1e-4
"""Axes whose lengths (Å) and angles differ by less are equally good."""

AXES_TIES = np.array([LENGTH_TIE] * 4 + [0] + [COSINE_TIE] * 3)
KEY_TIES = np.array([0] + [1e-4] * 6 + [1e-3] * 4 + [0])
"""Likewise for `copy_keys`: handedness, centroids (fractions), rotation (rad), frame."""

CENTROID, VECTOR = slice(4, 7), slice(8, 11)
"""Where these stand in such a key."""

WRAP = 1e-6
"""A coordinate this little below 0 or 1 is 0."""


class Placement(NamedTuple):
    """Where one molecule is.

    Attributes
    ----------
    kind : int
        Equal for molecules of equal composition; smaller kinds come first.
    centroid : ndarray, shape [3]
        Fractions.
    frames : ndarray, shape [K, 3, 3]
        From `principal_frames`, with a along x and b in the xy plane.
    """

    kind: int
    centroid: Floats
    frames: Floats


class Choice(NamedTuple):
    """The symmetry copy that stands for a molecule.

    Attributes
    ----------
    molecule : int
        Its place among those given.
    handedness : int
        1, or -1 if its standard frame is left-handed.
    centroid, rotation_vector : ndarray, shape [3]
        Fractions, and rad.
    turn : ndarray, shape [3, 3]
        Carries fractional offsets (columns) in the given axes to those of the copy in the new ones.
    rotation : ndarray, shape [3, 3]
        From the standard orientation to the copy's.
    key : ndarray
        What decided for this copy.
    """

    molecule: int
    handedness: int
    centroid: Floats
    rotation_vector: Floats
    turn: Floats
    rotation: Floats
    key: Floats


class Description(NamedTuple):
    """The chosen cell (Å, degrees), its coordinates axes (x - origin) for given ones x, and the molecules."""

    cellpar: Floats
    axes: Floats
    origin: Floats
    choices: list[Choice]


def describe(group: SpaceGroup, metric: Floats, molecules: list[Placement]) -> Description:
    """Choose axes, origin, and for every molecule a symmetry copy.

    In this order: the shortest axes (triclinic cells are thereby Niggli-reduced), in ascending order where
    the setting leaves it open; angles all acute or none; right-handed standard orientations before
    left-handed ones; the smallest centroids; the shortest rotation vectors. Along axes without a fixed
    origin, the centroid of the first molecule to decide is put at 1/2.

    Parameters
    ----------
    group : SpaceGroup
        In its standard setting.
    metric : ndarray, shape [3, 3]
        Dot products of the axes, Å².
    molecules : list of Placement
        One for each symmetry-independent molecule.
    """
    changes = normaliser(group.number)
    cell = cellpar_to_cell(_cellpar(metric))
    first, start = (each[0] for each in shortest_axes(changes, metric[None]))
    metric = first.T @ metric @ first
    found = []
    for q in equally_good(changes, metric[None])[1]:
        axes, origin = first @ changes.axes[q], start + first @ changes.origins[q]
        cellpar = _cellpar(changes.axes[q].T @ metric @ changes.axes[q])
        inverse = np.linalg.inv(axes)
        copies = [_copies(group, molecule, cell, cellpar, inverse, origin) for molecule in molecules]
        for shift in _shifts(group, changes, copies):
            choices = [c.smallest(i, shift, group.free) for i, c in enumerate(copies)]
            choices.sort(key=cmp_to_key(partial(_compare, molecules)))
            found.append(Description(cellpar, inverse, origin - axes @ shift, choices))
    keys = np.array([np.concatenate([choice.key for choice in one.choices]) for one in found])
    return found[lexicographic_minimum(keys, np.tile(KEY_TIES, len(molecules)))[0]]


def shortest_axes(changes: Normaliser, metric: Floats) -> tuple[Floats, Floats]:
    """Axes [K, 3, 3] of the smallest sum of squares, and origins [K, 3], by metrics [K, 3, 3]."""
    count = len(metric)
    axes, origin = np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3))
    products = (changes.axes @ changes.axes.transpose(0, 2, 1)).reshape(-1, 9).astype(float)
    left, metric = np.arange(count), metric.copy()
    while len(left):
        squares = metric[left].reshape(-1, 9) @ products.T
        best = squares.argmin(1)
        better = squares.min(1) <= np.trace(metric[left], axis1=1, axis2=2) * (1 - 1e-9)
        left, best = left[better], best[better]
        change = changes.axes[best]
        origin[left] += np.einsum("kij,kj->ki", axes[left], changes.origins[best])
        axes[left] = axes[left] @ change
        metric[left] = change.transpose(0, 2, 1) @ metric[left] @ change
    return axes, origin


def equally_good(changes: Normaliser, metric: Floats) -> tuple[Places, Places]:
    """Crystals, and those of their changes from shortest axes to shortest axes that `describe` finds best."""
    products = (changes.axes @ changes.axes.transpose(0, 2, 1)).reshape(-1, 9).astype(float)
    size = np.sqrt(metric.reshape(-1, 9) @ products.T)
    crystal, q = np.nonzero(size <= size.min(1, keepdims=True) + LENGTH_TIE)
    lengths, cosines = sides(changes.axes[q].transpose(0, 2, 1) @ metric[crystal] @ changes.axes[q])
    acute = cosines > COSINE_TIE
    mixed = acute.any(1) & ~acute.all(1)
    keys = np.column_stack([size[crystal, q], lengths, mixed, cosines])
    best = smallest(crystal, keys, AXES_TIES)
    return crystal[best], q[best]


def sides(metric: Floats) -> tuple[Floats, Floats]:
    """Lengths [K, 3] and cosines of the angles alpha, beta and gamma [K, 3]."""
    lengths = np.sqrt(np.diagonal(metric, axis1=1, axis2=2))
    cosines = metric[:, (1, 0, 0), (2, 2, 1)] / (lengths[:, (1, 0, 0)] * lengths[:, (2, 2, 1)])
    return lengths, cosines


def smallest(owner: Places, keys: Floats, ties: Floats) -> Places:
    """The smallest rows of each owner, as `lexicographic_minimum` finds them; `owner` must ascend."""
    left = np.arange(len(owner))
    for column, tie in zip(keys.T, ties, strict=True):
        mine = owner[left]
        starts = np.flatnonzero(np.diff(mine, prepend=-1))
        least = np.minimum.reduceat(column[left], starts)
        least = np.repeat(least, np.diff(starts, append=len(mine)))
        left = left[column[left] <= least + tie]
    return left


def _cellpar(metric: Floats) -> Floats:
    return cell_to_cellpar(np.linalg.cholesky(metric))


class _Copies(NamedTuple):
    """All symmetry copies of a molecule, and of its frames, in new axes."""

    centroids: Floats  # [G, 3]
    turns: Floats  # [G, 3, 3]
    rotations: Floats  # [G * K, 3, 3]
    handedness: Floats  # [G * K]
    vectors: Floats  # [G * K, 3]

    def smallest(self, molecule: int, shift: Floats, free: NDArray[np.bool_]) -> Choice:
        """The copy with the smallest key after adding `shift` to all coordinates."""
        frames = len(self.rotations) // len(self.centroids)
        places = np.repeat(self.centroids, frames, axis=0)
        keys = copy_keys(self.handedness, places + shift, self.vectors, frames, free)
        i = lexicographic_minimum(keys, KEY_TIES)[0]
        return Choice(
            molecule,
            int(self.handedness[i]),
            keys[i, CENTROID],
            self.vectors[i],
            self.turns[i // frames],
            self.rotations[i],
            keys[i],
        )


def copy_keys(
    handedness: Floats, places: Floats, vectors: Floats, frames: int, free: NDArray[np.bool_]
) -> Floats:
    """Keys [..., n, 12] by which `describe` prefers one copy of a molecule to another.

    Parameters
    ----------
    handedness : ndarray, shape [..., n]
        Of the frames of the copies; those of a copy follow each other.
    places, vectors : ndarray, shape [..., n, 3]
        Centroids (fractions, wrapped here) and rotation vectors.
    frames : int
        Of each copy.
    free : ndarray of bool, shape [3]
        Axes without a fixed origin.
    """
    wrapped = places - np.floor(places + WRAP)
    parts = [
        (handedness < 0)[..., None],
        np.where(free, np.abs(wrapped - 0.5), wrapped),
        wrapped,
        np.linalg.norm(vectors, axis=-1, keepdims=True),
        vectors,
        np.arange(places.shape[-2])[:, None] % frames,
    ]
    return np.concatenate([np.broadcast_to(p, (*wrapped.shape[:-1], p.shape[-1])) for p in parts], axis=-1)


def _copies(
    group: SpaceGroup, molecule: Placement, cell: Floats, cellpar: Floats, inverse: Floats, origin: Floats
) -> _Copies:
    turns = group.rotations @ inverse
    centroids = group.rotations @ (inverse @ (molecule.centroid - origin)) + group.translations
    cartesian = np.linalg.inv(cell) @ turns.transpose(0, 2, 1) @ cellpar_to_cell(cellpar)
    frames = (molecule.frames[None] @ cartesian[:, None]).reshape(-1, 3, 3)
    if not len(frames):  # a single atom
        frames = np.tile(np.eye(3), (len(turns), 1, 1))
    elif not molecule.frames[0, 1].any():  # a linear molecule
        frames = np.stack([_shortest_turn(frame[0]) for frame in frames])
    handedness = np.sign(np.linalg.det(frames))
    frames[:, 0] *= handedness[:, None]
    rotations = frames.transpose(0, 2, 1)
    return _Copies(centroids, turns, rotations, handedness, rotation_vectors(rotations))


def _shortest_turn(direction: Floats) -> Floats:
    """Right-handed frame (rows) whose first axis is `direction`, by the shortest rotation from x."""
    x, y, z = direction / np.linalg.norm(direction)
    if x < -1 + 1e-9:
        return np.diag([-1.0, -1.0, 1.0])
    s = 1 / (1 + x)
    return np.array([[x, y, z], [-y, 1 - s * y * y, -s * y * z], [-z, -s * y * z, 1 - s * z * z]])


def _shifts(group: SpaceGroup, changes: Normaliser, copies: list[_Copies]) -> Iterator[Floats]:
    """Equivalent origins; along free axes those at which a molecule's centroid is at 1/2."""
    anchors = np.zeros((1, 3))
    if group.free.any():
        anchors = np.where(group.free, 0.5 - np.concatenate([c.centroids for c in copies]), 0.0)
        anchors = anchors[np.unique(np.round(anchors, 6), axis=0, return_index=True)[1]]
    for shift in changes.shifts:
        for anchor in anchors:
            yield shift + anchor


def _compare(molecules: list[Placement], a: Choice, b: Choice) -> int:
    kinds = molecules[a.molecule].kind - molecules[b.molecule].kind
    apart = np.flatnonzero(np.abs(a.key - b.key) > KEY_TIES)
    if kinds or not len(apart):
        return kinds
    return -1 if a.key[apart[0]] < b.key[apart[0]] else 1
