"""Symmetry operations of a CIF block, and whether they are those of the space group that it names."""

from __future__ import annotations

import re

import gemmi
import numpy as np
import spglib
from numpy.typing import NDArray

from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.symmetry import GRID, quiet_spglib
from skmol3d.structures.errors import shorten

Operation = tuple[NDArray[np.float64], NDArray[np.float64]]

FIT = 0.02
"""Share by which lengths and angles of a cell may differ after a symmetry operation."""

MOST_OPERATIONS = 192
"""In a cell of space group 225 to 228; none has more."""

NUMBER_TAGS = ("_space_group_IT_number", "_symmetry_Int_Tables_number")


def group_number(block: gemmi.cif.Block) -> int | None:
    """Number of the space group, where one is given.

    Raises
    ------
    CrystalError
        If it is none from 1 to 230.
    """
    values = [gemmi.cif.as_string(value) for value in map(block.find_value, NUMBER_TAGS) if value is not None]
    given = next(filter(None, values), None)
    return None if given is None else _checked_number(given)


def _checked_number(text: str) -> int:
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= 230):
        raise CrystalError(f"space group number {text[:20]}; expected a whole number from 1 to 230")
    return int(text)


def symmetry_operations(
    structure: gemmi.SmallStructure, number: int | None, cell: NDArray[np.float64]
) -> list[Operation]:
    """Rotations and translations of fractional columns, from the first that a block has of: listed
    operations, a Hall symbol, a Hermann–Mauguin symbol, a number; P1 if it has none.

    Raises
    ------
    CrystalError
        If they cannot be read, do not fit the cell, or are those of another space group than is named.
    """
    name = structure.spacegroup_hm
    if name.isdecimal():
        name, number = "", number or _checked_number(name)
    named = _named(name, structure.cell) if name else None
    numbered = gemmi.find_spacegroup_by_number(number or 1)
    source = "listed"
    if structure.symops:
        if len(structure.symops) > MOST_OPERATIONS:
            raise CrystalError(
                f"{len(structure.symops)} symmetry operations; there are {MOST_OPERATIONS} at most"
            )
        found = list(map(_operation, structure.symops))
    elif hall := structure.spacegroup_hall:
        source = f"from the Hall symbol {shorten(hall)}"
        try:
            found = list(gemmi.symops_from_hall(hall))
        except (RuntimeError, ValueError) as error:
            raise CrystalError(f"Hall symbol {shorten(hall)} cannot be read: {str(error)[:80]}") from error
    elif name:
        if named is None:
            raise CrystalError(f"unknown space group {shorten(name)}, and no symmetry operations")
        source = f"of {shorten(name)}"
        found = list(named.operations())
    else:
        found = list(numbered.operations())
    operations = [_fitting(op, cell) for op in found]
    if named is not None:
        _check_group(operations, cell, source, shorten(name), named)
    if number is not None:
        _check_group(operations, cell, source, f"number {number}", numbered)
    return operations


def _named(name: str, cell: gemmi.UnitCell) -> gemmi.SpaceGroup | None:
    """The group of a Hermann–Mauguin symbol, with screw axes as in P21/n, P2(1)/n or P2_1/n."""
    # The angles tell rhombohedral from hexagonal axes.
    return gemmi.find_spacegroup_by_name(re.sub(r"\((\d)\)|_(\d)", r"\1\2", name), cell.alpha, cell.gamma)


def _operation(text: str) -> gemmi.Op:
    try:
        return gemmi.Op(text)
    except RuntimeError as error:
        raise CrystalError(f"{shorten(text)} is no symmetry operation: {str(error)[:80]}") from error


def _fitting(op: gemmi.Op, cell: NDArray[np.float64]) -> Operation:
    rotation, translation = np.array(op.rot) / op.DEN, np.array(op.tran) / op.DEN
    metric = cell @ cell.T
    scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    if abs(op.det_rot()) != op.DEN**3 or (abs(rotation.T @ metric @ rotation - metric) > FIT * scale).any():
        raise CrystalError(f"{op.triplet()} is no symmetry operation of a cell with these lengths and angles")
    return rotation, translation


def _check_group(
    operations: list[Operation],
    cell: NDArray[np.float64],
    source: str,
    said: str,
    group: gemmi.SpaceGroup,
) -> None:
    """Refuse operations of another space group, in whatever setting, than is said."""
    rotations = np.array([rotation for rotation, _ in operations])
    ticks = np.rint(np.array([translation for _, translation in operations]) * GRID) % GRID
    different = np.unique(np.concatenate([rotations.reshape(-1, 9), ticks], axis=1), axis=0)
    with quiet_spglib():
        kind = spglib.get_spacegroup_type_from_symmetry(
            different[:, :9].reshape(-1, 3, 3).astype(np.intc), different[:, 9:] / GRID, cell
        )
    if kind is not None and kind.number == group.number:
        return
    if kind is None and len(different) == len(group.operations()):
        return  # some are misprinted, perhaps; which, nobody knows
    found = "no group" if kind is None else f"{kind.international_short} (number {kind.number})"
    raise CrystalError(
        f"the space group is {said} (number {group.number}, with {len(group.operations())} operations), but"
        f" the {len(different)} operation(s) {source} make {found}; correct what is wrong"
    )
