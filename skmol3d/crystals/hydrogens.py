"""Crystals whose hydrogen atoms are missing: what bonds, angles and electrons tell of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from math import gcd
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from skmol3d.crystals.errors import CrystalError

Neighbours = list[list[tuple[int, NDArray[np.intp]]]]
"""Of each atom, its bonded neighbours, and the cells in which these are."""

LABELS = "cif_labels"
"""The array of `ase.Atoms` with the labels that the atoms have in their file."""

DOUBLE_BOND = 1.26
"""Å; a C or N atom whose single neighbour, C, N or O, is farther away than in cyanides has hydrogens."""

LINEAR = 150.0
"""Degrees; a carbon atom with two neighbours at a smaller angle has hydrogens, but for the rare carbenes."""

PLANAR = 340.0
"""Degrees; a carbon atom whose three angles have a smaller sum has a fourth neighbour. C60 has 348."""

SINGLE_BOND = 1.3
"""Å; of an O or N atom to saturated carbon. Ketones bound to a metal by C and O have shorter ones."""

IMINE = 1.34
"""Å; an N atom with one hydrogen atom that is farther from its carbon atom has two."""

D_AND_F = {*range(21, 31), *range(39, 49), *range(57, 81), *range(89, 113)}
"""Elements whose complexes often have an odd number of electrons."""

ADD_HYDROGENS = "add them, for example with Mercury or Open Babel, or take a determination that has them"


def atom_name(atoms: Atoms, index: int) -> str:
    """How an atom of the cell is called in messages: by its label in the file, where there is one."""
    if LABELS in atoms.arrays and atoms.arrays[LABELS][index]:
        return str(atoms.arrays[LABELS][index])[:20]
    return f"number {index + 1} ({chemical_symbols[atoms.numbers[index]]})"


def check_hydrogens(atoms: Atoms, molecules: Sequence[NDArray[np.intp]], neighbours: Neighbours) -> None:
    """Refuse a crystal in which hydrogen atoms must be missing.

    X-ray structures are often published without, or without those of water and hydroxyl groups. CO2, CCl4 or
    C60 pass. Not noticed are pairs of hydrogens at O atoms, or at N atoms of rings: those groups may be ions.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in three dimensions.
    molecules : sequence of ndarray of int [n]
        The atoms of each molecule.
    neighbours : list
        Of each atom, its bonded neighbours and their cells.

    Raises
    ------
    CrystalError
        If a hydrogen atom is alone, a C, N or O atom has an open valence, or there is an odd number of
        electrons.
    """
    numbers = atoms.numbers
    for index in molecules:
        if numbers[index].tolist() == [1]:
            raise CrystalError(
                f"hydrogen atom {atom_name(atoms, index[0])} of the cell is bonded to no other atom: atoms"
                " are missing, or misplaced"
            )
        has_hydrogens = bool((numbers[index] == 1).any())
        for a in index:
            if _open_valence(atoms, a, neighbours, has_hydrogens):
                raise CrystalError(
                    f"hydrogen atoms are missing: a molecule of {len(index)} atom(s) needs one at"
                    f" atom {atom_name(atoms, a)} of the cell; {ADD_HYDROGENS}"
                )
    _check_electrons(numbers, molecules, neighbours)


def _open_valence(atoms: Atoms, a: int, neighbours: Neighbours, has_hydrogens: bool) -> bool:
    """Whether a C, N or O atom must have one more hydrogen atom than it has."""
    number, around = atoms.numbers[a], neighbours[a]
    if number not in (6, 7, 8) or len(around) > 3:
        return False
    if not around:
        return True
    ways = np.array([atoms.positions[b] + image @ atoms.cell - atoms.positions[a] for b, image in around])
    lengths = np.linalg.norm(ways, axis=1)
    kinds = atoms.numbers[[b for b, _ in around]].tolist()
    if len(around) == 1 and number != 8 and kinds[0] in (6, 7, 8):
        return bool(lengths[0] > DOUBLE_BOND)
    if number == 6 and len(around) > 1:
        units = ways / lengths[:, None]
        angles = np.degrees(np.arccos(np.clip((units @ units.T)[np.triu_indices(len(units), 1)], -1, 1)))
        if len(around) == 3:
            return bool(angles.sum() < PLANAR)
        # Carbenes between two N atoms are no rarity; where nothing has a hydrogen, it is a ring without.
        return bool(angles[0] < LINEAR) and not (has_hydrogens and kinds == [7, 7])
    if number == 7 and sorted(kinds) == [1, 6]:
        return bool(lengths.max() > IMINE) or _no_imine(atoms.numbers, a, neighbours)
    if number != 6 and len(around) < {7: 3, 8: 2}[number]:
        saturated = all(atoms.numbers[b] == 6 and len(neighbours[b]) == 4 for b, _ in around)
        return saturated and bool(lengths.min() > SINGLE_BOND)
    return False


def _no_imine(numbers: NDArray[Any], a: int, neighbours: Neighbours) -> bool:
    """Whether the carbon atom beside an NH has its double bond elsewhere: to O or S, or to one more NH."""
    (carbon,) = (b for b, _ in neighbours[a] if numbers[b] == 6)
    if len(neighbours[carbon]) != 3:
        return False
    for other, _ in neighbours[carbon]:
        kinds = sorted(numbers[b] for b, _ in neighbours[other])
        if other != a and (
            (numbers[other] in (8, 16) and kinds == [6]) or (numbers[other] == 7 and kinds == [1, 6])
        ):
            return True
    return False


def _check_electrons(
    numbers: NDArray[Any], molecules: Sequence[NDArray[np.intp]], neighbours: Neighbours
) -> None:
    """Refuse an odd number of electrons in the smallest unit that repeats the composition of the crystal."""
    kinds = Counter(tuple(sorted(numbers[index].tolist())) for index in molecules)
    units = gcd(*kinds.values())
    electrons = sum(count // units * sum(kind) for kind, count in kinds.items())
    if electrons % 2 == 0 or D_AND_F.intersection(numbers.tolist()) or _has_nitroxide(numbers, neighbours):
        return
    parts = []
    for kind, count in sorted(kinds.items()):
        times = f"{count // units} " if count > units else ""
        parts.append(f"{times}{Atoms(kind).get_chemical_formula()}")
    raise CrystalError(
        f"hydrogen atoms are missing: {_joined(parts)} has {electrons} electrons, an odd number, as no"
        f" crystal but that of a radical; {ADD_HYDROGENS}"
    )


def _joined(parts: list[str]) -> str:
    return " + ".join(parts[:4]) + (" + ..." if len(parts) > 4 else "")


def _has_nitroxide(numbers: NDArray[Any], neighbours: Neighbours) -> bool:
    """Whether some N atom has just one O atom that is bonded to nothing else: the stable radicals do."""

    def terminal(around: Iterable[tuple[int, Any]]) -> int:
        return sum(numbers[b] == 8 and len(neighbours[b]) == 1 for b, _ in around)

    return any(
        number == 7 and terminal(around) == 1 for number, around in zip(numbers, neighbours, strict=True)
    )
