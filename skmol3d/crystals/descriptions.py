"""Canonical descriptions of many crystals at once: one molecule each, all of one space group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmol3d.crystals.canonical import COSINE_TIE, KEY_TIES, LENGTH_TIE, WRAP
from skmol3d.crystals.pose import rotation_vectors
from skmol3d.crystals.symmetry import Normaliser, SpaceGroup, normaliser, space_group

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

AT_ONCE = 4096
"""Crystals; each is compared in up to 3,480 choices of its axes."""

LENGTH_TIES = np.array([LENGTH_TIE] * 4 + [0] + [COSINE_TIE] * 3)


class Descriptions(NamedTuple):
    """What `MolecularCrystal` says of crystals of one molecule.

    Attributes
    ----------
    parameters : ndarray, shape [K, 12]
        As `MolecularCrystal.parameters`.
    handedness : ndarray of int, shape [K]
        Of the molecules that are described.
    """

    parameters: Floats
    handedness: NDArray[np.int64]


def describe_many(number: int, cells: Floats, centroids: Floats, frames: Floats) -> Descriptions:
    """Describe crystals as `MolecularCrystal.from_molecules` does, all at once.

    Where several descriptions are equally good within the ties of `skmol3d.crystals.canonical`, another one
    may be chosen.

    Parameters
    ----------
    number : int
        Of the space group.
    cells : ndarray, shape [K, 3, 3]
        Cell vectors as rows in the group's standard setting, Å; a along x, b in the xy plane.
    centroids : ndarray, shape [K, 3]
        Fractional coordinates of the molecules.
    frames : ndarray, shape [K, F, 3, 3]
        All of their `principal_frames`, as they stand in the cells; of no linear molecule.
    """
    group, changes = space_group(number), normaliser(number)
    parts = [
        _describe(group, changes, cells[part], centroids[part], frames[part])
        for part in (slice(start, start + AT_ONCE) for start in range(0, len(cells), AT_ONCE))
    ]
    return Descriptions(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _describe(
    group: SpaceGroup, changes: Normaliser, cells: Floats, centroids: Floats, frames: Floats
) -> Descriptions:
    metric = cells @ cells.transpose(0, 2, 1)
    first, start = _shortest_axes(changes, metric)
    metric = first.transpose(0, 2, 1) @ metric @ first
    crystal, q = _equally_good(changes, metric)
    axes = first[crystal] @ changes.axes[q]
    origins = start[crystal] + np.einsum("kij,kj->ki", first[crystal], changes.origins[q])
    inverses = np.linalg.inv(axes)
    chosen = changes.axes[q].transpose(0, 2, 1) @ metric[crystal] @ changes.axes[q]
    new_cells = np.linalg.cholesky(chosen)

    turns = group.rotations @ inverses[:, None]  # [C, G, 3, 3]
    way = np.einsum("cij,cj->ci", inverses, centroids[crystal] - origins)
    places = np.einsum("gij,cj->cgi", group.rotations, way) + group.translations
    cartesian = np.linalg.inv(cells[crystal])[:, None] @ turns.transpose(0, 1, 3, 2) @ new_cells[:, None]
    # From here on each frame of each copy is one [C, G · F]; those of a copy follow each other.
    count = frames.shape[1]
    turned = (frames[crystal][:, None] @ cartesian[:, :, None]).reshape(len(crystal), -1, 3, 3)
    places = places.repeat(count, axis=1)
    handedness = np.sign(np.linalg.det(turned))
    turned[:, :, 0] *= handedness[..., None]
    vectors = rotation_vectors(turned.transpose(0, 1, 3, 2).reshape(-1, 3, 3)).reshape(places.shape)

    free = group.free
    anchors = np.where(free, 0.5 - places[:, ::count], 0.0) if free.any() else np.zeros((len(places), 1, 3))
    shifts = (changes.shifts[:, None] + anchors[:, None]).reshape(len(places), -1, 3)  # [C, H, 3]
    wrapped = places[:, None] + shifts[:, :, None]  # [C, H, G · F, 3]
    wrapped -= np.floor(wrapped + WRAP)
    shape = wrapped.shape[:3]
    keys = np.concatenate(
        [
            np.broadcast_to((handedness < 0)[:, None, :, None], (*shape, 1)),
            np.where(free, np.abs(wrapped - 0.5), wrapped),
            wrapped,
            np.broadcast_to(np.linalg.norm(vectors, axis=-1)[:, None, :, None], (*shape, 1)),
            np.broadcast_to(vectors[:, None], wrapped.shape),
            np.broadcast_to(np.arange(shape[2])[:, None] % count, (*shape, 1)),
        ],
        axis=-1,
    ).reshape(-1, 12)
    owner = np.repeat(crystal, shape[1] * shape[2])
    best = _smallest(owner, keys, KEY_TIES)
    best = best[np.unique(owner[best], return_index=True)[1]]
    candidate, copy = best // (shape[1] * shape[2]), best % shape[2]
    lengths, cosines = _sides(chosen[candidate])
    found = keys[best]
    parameters = np.concatenate([lengths, np.arccos(cosines), found[:, 4:7], found[:, 8:11]], axis=1)
    return Descriptions(parameters, handedness[candidate, copy].astype(np.int64))


def _shortest_axes(changes: Normaliser, metric: Floats) -> tuple[Floats, Floats]:
    """Axes [K, 3, 3] and origins [K, 3], as `skmol3d.crystals.canonical` finds them one by one."""
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


def _equally_good(changes: Normaliser, metric: Floats) -> tuple[Places, Places]:
    """Crystals and those of their changes between shortest axes that are best by the rules of `describe`."""
    products = (changes.axes @ changes.axes.transpose(0, 2, 1)).reshape(-1, 9).astype(float)
    size = np.sqrt(metric.reshape(-1, 9) @ products.T)
    crystal, q = np.nonzero(size <= size.min(1, keepdims=True) + LENGTH_TIE)
    lengths, cosines = _sides(changes.axes[q].transpose(0, 2, 1) @ metric[crystal] @ changes.axes[q])
    acute = cosines > COSINE_TIE
    mixed = acute.any(1) & ~acute.all(1)
    keys = np.column_stack([size[crystal, q], lengths, mixed, cosines])
    best = _smallest(crystal, keys, LENGTH_TIES)
    return crystal[best], q[best]


def _sides(metric: Floats) -> tuple[Floats, Floats]:
    """Lengths [K, 3] and cosines of the angles alpha, beta and gamma [K, 3]."""
    lengths = np.sqrt(np.diagonal(metric, axis1=1, axis2=2))
    cosines = metric[:, (1, 0, 0), (2, 2, 1)] / (lengths[:, (1, 0, 0)] * lengths[:, (2, 2, 1)])
    return lengths, cosines


def _smallest(owner: Places, keys: Floats, ties: Floats) -> Places:
    """The smallest rows of each owner, as `lexicographic_minimum` finds them; `owner` must ascend."""
    left = np.arange(len(owner))
    for column, tie in zip(keys.T, ties, strict=True):
        mine = owner[left]
        starts = np.flatnonzero(np.diff(mine, prepend=-1))
        least = np.minimum.reduceat(column[left], starts)
        least = np.repeat(least, np.diff(starts, append=len(mine)))
        left = left[column[left] <= least + tie]
    return left
