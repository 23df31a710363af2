"""Molecules in a periodic cell: found by bonds across its boundaries and made whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray

from skmol3d.crystals.errors import CrystalError
from skmol3d.structures.geometry import BOND_TOLERANCE

OVERLAP, SHORTEST_BOND = 0.6, 0.7
"""Atoms closer than this share of the sum of their covalent radii, or than this (Å), stand for disorder: half
hydrogen atoms of carboxylic acids, listed without their occupancies, are 0.4 to 0.7 Å apart."""


DOUBLE_BOND = 1.26
"""Å; a C or N atom whose single neighbour, C, N or O, is farther away than in cyanides has hydrogens."""

LINEAR = 150.0
"""Degrees; a carbon atom with two neighbours at a smaller angle has hydrogens, but for the rare carbenes."""

ONE_COMPONENT = "keep one component, at full occupancy, in a copy of the file"
ADD_HYDROGENS = "add them, for example with Mercury or Open Babel, or take a determination that has them"


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
        If atoms overlap, if bonds run through the crystal without end, or if a molecule without hydrogen
        atoms cannot be without.
    """
    radii = covalent_radii[atoms.numbers]
    i, j, lengths, images = neighbor_list("ijdS", atoms, radii + BOND_TOLERANCE / 2)
    _check_overlaps(atoms.numbers, i, j, lengths, radii)

    nearest = np.full(len(atoms), np.inf)
    np.minimum.at(nearest, i, lengths)
    kept = np.ones(len(i), bool)
    for end in (i, j):
        kept &= (atoms.numbers[end] != 1) | (lengths <= nearest[end] + 1e-3)
    neighbours: list[list[tuple[int, NDArray[np.intp]]]] = [[] for _ in atoms]
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
                f" from atom {_name(atoms.numbers, start)}"
            )
        index = np.array(members)
        whole = atoms.positions[index] + np.array([place[a] for a in members]) @ atoms.cell
        _check_hydrogens(index, atoms.numbers[index], whole)
        molecules.append((index, whole))
    return molecules


def _check_hydrogens(index: NDArray[np.intp], numbers: NDArray[Any], positions: NDArray[np.float64]) -> None:
    """Refuse a molecule without hydrogen atoms if one of its C, N and O atoms must have some.

    X-ray structures are often published without. CO2, CCl4 or C60 pass.
    """
    if (numbers == 1).any():
        return
    ways = positions[None] - positions[:, None]
    lengths = np.linalg.norm(ways, axis=-1) + np.diag(np.full(len(numbers), np.inf))
    radii = covalent_radii[numbers]
    bonded = lengths < radii[:, None] + radii + BOND_TOLERANCE
    for i, number in enumerate(numbers):
        around = np.flatnonzero(bonded[i])
        if number not in (6, 7, 8) or len(around) > 2:
            continue
        open_valence = len(around) == 0
        if len(around) == 1 and number != 8 and numbers[around[0]] in (6, 7, 8):
            open_valence = lengths[i, around[0]] > DOUBLE_BOND
        if len(around) == 2 and number == 6:
            one, other = ways[i, around] / lengths[i, around][:, None]
            open_valence = one @ other > np.cos(np.radians(LINEAR))
        if open_valence:
            raise CrystalError(
                f"hydrogen atoms are missing: a molecule of {len(numbers)} atom(s) has none, not even at"
                f" {_name({int(index[i]): number}, int(index[i]))}; {ADD_HYDROGENS}"
            )


def _check_overlaps(numbers: Any, i: Any, j: Any, lengths: Any, radii: Any) -> None:
    close = np.flatnonzero(lengths < np.maximum(OVERLAP * (radii[i] + radii[j]), SHORTEST_BOND))
    if len(close):
        worst = close[lengths[close].argmin()]
        a, b = sorted((i[worst], j[worst]))
        raise CrystalError(
            f"atoms {_name(numbers, a)} and {_name(numbers, b)} are {lengths[worst]:.2f} Å apart: disorder"
            f" or not a crystal; {ONE_COMPONENT}"
        )


def _name(numbers: Any, index: int) -> str:
    return f"{chemical_symbols[numbers[index]]}{index}"
