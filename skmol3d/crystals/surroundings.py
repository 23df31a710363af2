"""How close the molecules of a crystal are to each other, and how parallel."""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from skmol3d.crystals.crystal import MolecularCrystal
from skmol3d.crystals.errors import CrystalError

Floats = NDArray[np.float64]

REACH = 2.0
"""Molecules whose centroids are this many spacings apart are no neighbours. About 33 are nearer."""

MAX_IMAGES = 1_000_000
"""Centroids to look among; those of 20,000 molecules in a cell without a short side are 540,000."""


class Surroundings(NamedTuple):
    """Means over the molecules of a cell and their neighbours.

    Attributes
    ----------
    spacing : float
        Å; the side s of a cube as large as a molecule's share of the cell.
    neighbours : float
        Sum of the neighbours' weights: 7.7 where they are spread evenly.
    distance : float
        Between centroids, in spacings.
    alignment : float
        From 0 (needles at right angles) to 1 (shapes alike and parallel).
    others : float
        Share of neighbours that are no symmetry copies of the molecule: zero for one independent molecule.
    """

    spacing: float
    neighbours: float
    distance: float
    alignment: float
    others: float


def surroundings(crystal: MolecularCrystal) -> Surroundings:
    """Describe how the molecules of a crystal lie to each other.

    With the volume V of the cell and its Z molecules, s = (V/Z)^(1/3). Molecules i and j, images in other
    cells included, whose centroids are d_ij apart, are neighbours with the weight

        g_ij = (1 - (d_ij / 2s)²)² for d_ij < 2s, else 0,

    which goes smoothly to zero. Then, with sums over the molecules i of the cell and all their neighbours j,

        neighbours = Σ g_ij / Z
        distance   = Σ g_ij d_ij / s / Σ g_ij
        alignment  = Σ g_ij tr(Q_i Q_j) / (|Q_i| |Q_j|) / Σ g_ij
        others     = Σ g_ij [j is no copy of i by symmetry] / Σ g_ij

    where Q is the covariance of the positions of a molecule's atoms; that of a single atom, and of what is
    smaller than a hundredth of an Å, is the unit matrix. Nothing here depends on axes, origin, order or the
    copies that stand for a molecule. Σ g_ij is never zero: however spheres are packed, the nearest are less
    than 1.13 spacings apart.

    Raises
    ------
    CrystalError
        If a cell is so flat that the images within reach are too many.
    """
    copies = crystal.copies
    kinds = np.repeat(np.arange(len(copies)), [len(each) for each in copies])
    centroids = np.array([place.mean(0) for each in copies for place in each])
    shapes = np.array([_shape(place) for each in copies for place in each])
    cell = crystal.cell
    spacing = (np.linalg.det(cell) / len(kinds)) ** (1 / 3)
    reach = REACH * spacing

    inverse = np.linalg.inv(cell)
    # Centroids stand in the cell; a sphere about one touches planes up to reach · |reciprocal vector| away.
    extents = np.ceil(reach * np.linalg.norm(inverse, axis=0)).astype(int)
    if np.prod(2.0 * extents + 1) * len(kinds) > MAX_IMAGES:
        sides = ", ".join(f"{length:.3g}" for length in np.linalg.norm(cell, axis=1))
        raise CrystalError(
            f"a cell with sides of {sides} Å is too flat: more than {MAX_IMAGES:,} molecules to look at"
        )
    centroids = (centroids @ inverse % 1.0) @ cell
    grid = np.array(list(product(*(range(-n, n + 1) for n in extents))))
    images = (centroids + (grid @ cell)[:, None]).reshape(-1, 3)
    home = len(kinds) * (len(grid) // 2)  # where the images in the cell itself begin
    tree = cKDTree(images)

    totals = np.zeros(4)
    firsts = np.cumsum([0] + [len(each) for each in copies[:-1]])
    for kind, first in enumerate(firsts):  # what one copy has around it, all of them have
        near = np.array(tree.query_ball_point(centroids[first], reach))
        near = near[near != home + first]
        who = near % len(kinds)
        distances = np.linalg.norm(images[near] - centroids[first], axis=1) / spacing
        weights = np.maximum(1 - (distances / REACH) ** 2, 0) ** 2
        parallel = np.einsum("ij,nij->n", shapes[first], shapes[who])
        each = np.stack([np.ones(len(who)), distances, parallel, kinds[who] != kind])
        totals += len(copies[kind]) * (each @ weights)
    means = totals / totals[0]
    return Surroundings(float(spacing), float(totals[0] / len(kinds)), *means[1:].tolist())


def _shape(positions: Floats) -> Floats:
    """Covariance [3, 3] of positions [N, 3], of norm 1."""
    centred = positions - positions.mean(0)
    covariance = centred.T @ centred / len(centred)
    if np.trace(covariance) < 1e-4:
        covariance = np.eye(3)
    return covariance / np.linalg.norm(covariance)
