"""Symmetry operations of CIF files: in every notation, and against the space group that is named."""

from __future__ import annotations

import gemmi
import pytest
from ase.geometry import cellpar_to_cell
from cif_examples import OPERATIONS, SYMBOL, cif, loop

from skmol3d.crystals import CrystalError
from skmol3d.crystals.cif_symmetry import symmetry_operations


@pytest.mark.parametrize(
    "symmetry",
    [
        SYMBOL,
        "_space_group_name_H-M_alt P-421m",
        "_symmetry_space_group_name_H-M P-42(1)m",
        "_symmetry_space_group_name_H-M 'P -4 2_1 m'",
        "_symmetry_space_group_name_H-M 113",
        SYMBOL + "\n_space_group_IT_number 113\n" + loop(OPERATIONS),
        "_symmetry_space_group_name_Hall 'P -4 2ab'",
        "_space_group_IT_number 113",
        "_space_group_IT_number ?\n_symmetry_Int_Tables_number 113",
        loop(OPERATIONS),
        loop(OPERATIONS, "_space_group_symop_operation_xyz"),
        # What is listed counts more than a name that nobody knows.
        "_symmetry_space_group_name_H-M 'my own'\n" + loop([o.replace("1/2", "0.5") for o in OPERATIONS]),
    ],
)
def test_the_space_group_in_every_notation(read, symmetry: str) -> None:
    found = read(cif(symmetry))
    assert (found.space_group, found.z, found.deviation) == (113, 2, pytest.approx(0, abs=1e-4))
    assert sorted(found.molecules[0].numbers.tolist()) == [1, 1, 1, 1, 6, 7, 7, 8]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (cif(loop(["x+1/0, y, z"])), r"'x\+1/0, y, z' is no symmetry operation: Wrong denominator 0"),
        (cif("_symmetry_equiv_pos_as_xyz 5"), "'5' is no symmetry operation: expected exactly two commas"),
        (cif(loop(["x,x,z"])), "x,x,z is no symmetry operation of a cell"),
        (
            cif(loop(["x,y,z", "y,x,-z"]), length_b=7.0),
            "y,x,-z is no symmetry operation of a cell with these",
        ),
        (cif(loop(["x,y,z"] * 200)), "200 symmetry operations; there are 192 at most"),
        (
            cif("_symmetry_space_group_name_H-M 'Q 5'"),
            "unknown space group 'Q 5', and no symmetry operations",
        ),
        (
            cif(f"{SYMBOL}\n_symmetry_space_group_name_Hall 'foo'"),
            "Hall symbol 'foo' cannot be read: wrong n-fold order",
        ),
        (cif("_symmetry_space_group_name_H-M 231"), "space group number 231; expected a whole number from 1"),
        *(
            (
                cif(f"_symmetry_Int_Tables_number {n}"),
                f"space group number {n}; expected a whole number from 1",
            )
            for n in ("0", "231", "999", "1.5", "-1")
        ),
        (cif(loop(["x" * 9999])), r"'x{37}\.\.\.' is no symmetry operation"),
    ],
)
def test_what_is_wrong_is_said(read, text: str, reason: str) -> None:
    with pytest.raises(CrystalError, match=reason):
        read(text)


HALF = loop(OPERATIONS[:4])


@pytest.mark.parametrize(
    ("symmetry", "reason"),
    [
        (
            f"{SYMBOL}\n{loop(['x,y,z'])}",
            r"the space group is 'P -4 21 m' \(number 113, with 8 operations\), but the 1 operation\(s\)"
            r" listed make P1 \(number 1\)",
        ),
        (
            f"_space_group_IT_number 113\n{HALF}",
            r"is number 113 .*, but the 4 operation\(s\) listed make P-4 ",
        ),
        (f"_symmetry_space_group_name_H-M 113\n{HALF}", r"is number 113 .* listed make P-4 \(number 81\)"),
        (f"{SYMBOL}\n{loop(OPERATIONS[:3])}", r"but the 3 operation\(s\) listed make no group"),
        (f"{SYMBOL}\n{loop(OPERATIONS[:4] * 2)}", r"but the 4 operation\(s\) listed make P-4 "),
        (
            f"_symmetry_space_group_name_H-M 'P 1'\n{loop(OPERATIONS)}",
            r"is 'P 1' .* make P-42_1m \(number 113\)",
        ),
        (
            f"{SYMBOL}\n_space_group_IT_number 114",
            r"is number 114 .* the 8 operation\(s\) of 'P -4 21 m' make",
        ),
        (
            f"{SYMBOL}\n_symmetry_space_group_name_Hall 'P 1'",
            r"operation\(s\) from the Hall symbol 'P 1' make P1",
        ),
    ],
)
def test_operations_are_those_of_the_space_group_that_is_named(read, symmetry: str, reason: str) -> None:
    with pytest.raises(CrystalError, match=reason):
        read(cif(symmetry))


def test_all_atoms_may_be_listed_in_p1(read) -> None:
    atoms = read(cif()).to_atoms()
    rows = zip(atoms, atoms.get_scaled_positions(), strict=True)
    sites = [f"{atom.symbol} {atom.symbol} {x:.6f} {y:.6f} {z:.6f}" for atom, (x, y, z) in rows]
    name = "_symmetry_space_group_name_H-M 'P 1'\n_space_group_IT_number 1"
    for symmetry in (name, loop(["x,y,z"]), f"{name}\n{loop(['x,y,z'])}"):
        assert read(cif(symmetry, sites)).space_group == 113


CELLS = {
    "triclinic": (6, 7, 8, 81, 95, 77),
    "a": (6, 7, 8, 103, 90, 90),
    "b": (6, 7, 8, 90, 103, 90),
    "c": (6, 7, 8, 90, 90, 103),
    "orthorhombic": (6, 7, 8, 90, 90, 90),
    "tetragonal": (6, 6, 8, 90, 90, 90),
    "hexagonal": (6, 6, 8, 90, 90, 120),
    "rhombohedral": (6, 6, 6, 75, 75, 75),
    "cubic": (6, 6, 6, 90, 90, 90),
}


def test_no_setting_contradicts_its_own_name_and_number() -> None:
    for group in gemmi.spacegroup_table():
        system = group.crystal_system_str()
        if system == "monoclinic":
            system = group.monoclinic_unique_axis()
        elif system == "trigonal":
            system = "rhombohedral" if group.ext == "R" else "hexagonal"
        structure = gemmi.SmallStructure()
        structure.cell = gemmi.UnitCell(*CELLS[system])
        structure.spacegroup_hm = group.xhm()
        structure.symops = [operation.triplet() for operation in group.operations()]
        found = symmetry_operations(structure, group.number, cellpar_to_cell(CELLS[system]))
        assert len(found) == len(group.operations())
