"""Molecules in a periodic cell: found by bonds across its boundaries and made whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.data import covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.hydrogens import Neighbours, atom_name, check_hydrogens
from skmol3d.structures.geometry import BOND_TOLERANCE

OVERLAP, SHORTEST_BOND = 0.6, 0.7
"""Atoms closer than this share of the sum of their covalent radii, or than this (Å), stand for disorder: half
hydrogen atoms of carboxylic acids, listed without their occupancies, are 0.4 to 0.7 Å apart."""

ONE_COMPONENT = "keep one component, at full occupancy, in a copy of the file"


def whole_molecules(atoms: Any) -> list[tuple[NDArray[np.intp], NDArray[np.float64]]]:
    """Find the molecules in a cell.

    Two atoms are bonded if they are closer than the sum of their covalent radii plus `BOND_TOLERANCE`; a
    hydrogen atom is bonded to its nearest neighbour alone, so that strong hydrogen bonds join no molecules.
    Radii: Cordero et al. 2008, doi:10.1039/b801115j.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three dimensions.

    Returns
    -------
    list of (ndarray of int [n], ndarray of float [n, 3])
        For each molecule, its atoms and their positions (Å) without breaks at the cell's boundaries.

    Raises
    ------
    CrystalError
        If atoms overlap, if bonds run through the crystal without end, or if hydrogen atoms are missing.
    """
    radii = covalent_radii[atoms.numbers]
    i, j, lengths, images = neighbor_list("ijdS", atoms, radii + BOND_TOLERANCE / 2)
    _check_overlaps(atoms, i, j, lengths, radii)

    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, lengths)
    kept = np.ones(len(i), bool)
    for end in (i, j):
        kept &= (atoms.numbers[end] != 1) | (lengths <= nearest[end] + 1e-3)
    neighbours: Neighbours = [[] for _ in atoms]
    for a, b, image in zip(i[kept], j[kept], images[kept], strict=True):
        neighbours[a].append((b, image))

    molecules = []
    place: dict[int, NDArray[np.intp]] = {}  # the cell in which an atom joins its molecule
    for start in range(len(atoms)):
        if start in place:
            continue
        place[start] = np.zeros(3, int)
        members, runs = [start], []
        for a in members:  # grows while it is walked
            for b, image in neighbours[a]:
                if b not in place:
                    place[b] = place[a] + image
                    members.append(b)
                elif (place[b] != place[a] + image).any():
                    runs.append(place[a] + image - place[b])
        if runs:
            raise CrystalError(
                f"no finite molecule: bonds run on without end in {np.linalg.matrix_rank(runs)} dimension(s)"
                f" from atom {atom_name(atoms, start)} of the cell"
            )
        index = np.array(members)
        molecules.append((index, atoms.positions[index] + np.array([place[a] for a in members]) @ atoms.cell))
    check_hydrogens(atoms, [index for index, _ in molecules], neighbours)
    return molecules


def _check_overlaps(atoms: Any, i: Any, j: Any, lengths: Any, radii: Any) -> None:
    close = np.flatnonzero(lengths < np.maximum(OVERLAP * (radii[i] + radii[j]), SHORTEST_BOND))
    if len(close):
        worst = close[lengths[close].argmin()]
        a, b = (atom_name(atoms, index) for index in sorted((i[worst], j[worst])))
        raise CrystalError(
            f"atoms {a} and {b if b != a else 'a copy of it'} of the cell are {lengths[worst]:.2f} Å apart:"
            f" disorder or not a crystal; {ONE_COMPONENT}"
        )
