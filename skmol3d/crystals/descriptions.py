"""Canonical descriptions of many crystals at once: one molecule each, all of one space group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skmol3d.crystals.canonical import (
    CENTROID,
    KEY_TIES,
    VECTOR,
    copy_keys,
    equally_good,
    shortest_axes,
    sides,
    smallest,
)
from skmol3d.crystals.pose import rotation_vectors
from skmol3d.crystals.symmetry import Normaliser, SpaceGroup, normaliser, space_group

Floats = NDArray[np.float64]

AT_ONCE = 4096
"""Crystals; each is compared in up to 3,480 choices of its axes."""


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
    first, start = shortest_axes(changes, metric)
    metric = first.transpose(0, 2, 1) @ metric @ first
    crystal, q = equally_good(changes, metric)
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
    moved = places[:, None] + shifts[:, :, None]  # [C, H, G · F, 3]
    keys = copy_keys(handedness[:, None], moved, vectors[:, None], count, free).reshape(-1, 12)
    copies, starts = moved.shape[2], moved.shape[1]
    owner = np.repeat(crystal, starts * copies)
    best = smallest(owner, keys, KEY_TIES)
    best = best[np.unique(owner[best], return_index=True)[1]]
    candidate, copy = best // (starts * copies), best % copies
    lengths, cosines = sides(chosen[candidate])
    found = keys[best]
    parameters = np.concatenate([lengths, np.arccos(cosines), found[:, CENTROID], found[:, VECTOR]], axis=1)
    return Descriptions(parameters, handedness[candidate, copy].astype(np.int64))
