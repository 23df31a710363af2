"""The content of a cell against the formula of its file."""

from __future__ import annotations

import pytest
from cif_examples import HEAVY, HYDROGENS, cif

from skmol3d.crystals import CrystalError


def said(formula: str, z: object = None) -> str:
    return f"_chemical_formula_sum {formula}" + ("" if z is None else f"\n_cell_formula_units_Z {z}")


@pytest.mark.parametrize(
    ("formula", "z"),
    [
        ("'C H4 N2 O'", None),
        ("'C H4 N2 O'", 2),
        ("'C H4 N2 O'", "2.0"),
        ("'C H4 N2 O'", "?"),
        ("'C1 H4 N2 O1'", 1),  # two of them are no fewer than one
        ("'C D4 N2 O'", 2),
        ("'C H3 D N2 O'", 2),
        ("'C2 H8 N4 O2'", None),  # of the whole cell
        ("'C2 H8 N4 O2'", 2),  # of the whole cell, while Z counts molecules: as pymatgen writes it
        ("'C0.5 H2 N O0.5'", 4),
        # Nothing is missing: a formula without the solvent, or with less hydrogen.
        ("'C H4 N2'", 2),
        ("'C H3 N2 O'", 2),
        # Of a component that was taken out because its occupancy was below one.
        ("'C H4 N2 O S0.3'", 2),
        # What is no plain formula says nothing.
        ("'C H4 N2 O, x(C6 H6)'", 2),
        ("?", 2),
        ("'not known'", 2),
        ("'C 0 N2 O'", 2),
        ("'C0 N2 O'", 2),
        ("'C H4 N2 O1e999'", 2),
        ("'C H4 N2 O Qq7'", 2),
        (f"'C H4 N2 O{'9' * 400}'", 2),
        ("'C H4 N2 O'", "1e99"),
    ],
)
def test_formulas_that_contradict_nothing(read, formula: str, z: object) -> None:
    assert read(cif(more=said(formula, z))).z == 2


@pytest.mark.parametrize(
    ("formula", "z", "reason"),
    [
        (
            "'C H5 N2 O'",
            None,
            "hydrogen atoms are missing: 2 of 10 H, by the formula 'C H5 N2 O', 2 times in",
        ),
        ("'C H5 N2 O'", 2, "hydrogen atoms are missing: 2 of 10 H"),
        ("'C H6 N2 O2'", 2, "atoms are missing: 4 of 12 H, 2 of 4 O, by the formula 'C H6 N2 O2', 2 times"),
        ("'C H6 N2 O2'", None, "atoms are missing: 4 of 12 H, 2 of 4 O"),
        ("'C H4 N2 O S'", 2, "atoms are missing: 2 of 2 S"),
        ("'C H4 N2 O, S'", 2, "atoms are missing: 2 of 2 S"),
        ("'C2 H8 N2 O3'", None, "atoms are missing: 2 of 4 C, 8 of 16 H, 4 of 6 O"),
        (
            "'C H4 N2 O'",
            4,
            "atoms are missing: 2 of 4 C, 8 of 16 H, 4 of 8 N, 2 of 4 O.*; add them, or correct",
        ),
    ],
)
def test_what_is_missing_is_counted(read, formula: str, z: object, reason: str) -> None:
    with pytest.raises(CrystalError, match=reason):
        read(cif(more=said(formula, z)))


def test_an_atom_that_is_missing_hides_no_other(read) -> None:
    with pytest.raises(CrystalError, match=r"hydrogen atoms are missing: 4 of 8 H.*; add them, for example"):
        read(cif(sites=HEAVY + HYDROGENS[:1], more=said("'C H4 N2 O'")))
    with pytest.raises(CrystalError, match="atoms are missing: 4 of 8 H, 2 of 2 O"):
        read(cif(sites=[HEAVY[0], HEAVY[2], HYDROGENS[0]], more=said("'C H4 N2 O'", 2)))
