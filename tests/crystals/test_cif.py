"""CIF files: settings and dialects that are read, and what is refused with which reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from skmol3d.crystals import CrystalError, MolecularCrystal, iter_crystals

# Urea (CSD UREAXX), half a molecule in P-42_1m.
CELL = {"length_a": 5.565, "length_b": 5.565, "length_c": 4.684}
HEAVY = ["C1 C 0 0.5 0.3260", "O1 O 0 0.5 0.5953", "N1 N 0.1459 0.6459 0.1766"]
HYDROGENS = ["H1 H 0.2575 0.7575 0.2827", "H2 H 0.1441 0.6441 -0.0380"]
SYMBOL = "_symmetry_space_group_name_H-M 'P -4 21 m'"
OPERATIONS = ["x,y,z", "-x,-y,z", "y,-x,-z", "-y,x,-z", "1/2-x,1/2+y,-z", "1/2+x,1/2-y,-z"]
OPERATIONS += ["1/2-y,1/2-x,z", "1/2+y,1/2+x,z"]


def loop(operations: list[str], tag: str = "_symmetry_equiv_pos_as_xyz") -> str:
    return "\n".join(["loop_", tag, *(f"'{operation}'" for operation in operations)])


def cif(
    symmetry: str = SYMBOL, sites: list[str] | None = None, more: str = "", columns: str = "", **cell: object
) -> str:
    values = {**CELL, "angle_alpha": 90, "angle_beta": 90, "angle_gamma": 90, **cell}
    lines = ["data_urea", *(f"_cell_{name} {value}" for name, value in values.items()), symmetry, more]
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [*(f"_atom_site_fract_{axis}" for axis in "xyz"), columns]
    return "\n".join([*lines, *(HEAVY + HYDROGENS if sites is None else sites), ""])


@pytest.fixture
def read(tmp_path: Path):
    def read(text: str | bytes, name: str = "a.cif") -> MolecularCrystal:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return MolecularCrystal.read(path)

    return read


@pytest.mark.parametrize(
    "symmetry",
    [
        SYMBOL,
        "_space_group_name_H-M_alt P-421m",
        "_symmetry_space_group_name_H-M 113",
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


def test_without_any_symmetry_all_atoms_are_listed(read, tmp_path: Path) -> None:
    atoms = read(cif()).to_atoms()
    sites = [f"{a.symbol} {a.symbol} {x:.6f} {y:.6f} {z:.6f}" for a, (x, y, z) in
             zip(atoms, atoms.get_scaled_positions(), strict=True)]  # fmt: skip
    assert read(cif("", sites)).space_group == 113


def test_dialects_of_text(read) -> None:
    expected = read(cif()).parameters
    twice = cif(more="_cell_length_a 9.9")
    for text in (
        b"\xef\xbb\xbf" + cif().encode(),
        cif(more="_publ_author_name 'Müller'").encode("latin-1"),
        cif().replace("\n", "\r\n"),
        cif().replace("\n", "\r"),
        "# made by hand\n" + cif(more="_exptl_special_details\n;\ndata_nothing here\n;"),
        "data_global\n_journal_year 2026\n" + cif(),
        twice,
        cif(length_a="5.565(1)"),
    ):
        np.testing.assert_allclose(read(text).parameters, expected)
    np.testing.assert_allclose(read(gzip.compress(cif().encode()), "a.cif.gz").parameters, expected)


def test_deuterium_is_hydrogen(read) -> None:
    found = read(cif(sites=HEAVY + [line.replace("H", "D") for line in HYDROGENS]))
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
        (cif("_symmetry_space_group_name_Hall 'foo'"), "not a valid CIF block urea"),
        (cif("_symmetry_space_group_name_H-M 231"), "space group number 231; expected a whole number from 1"),
        *(
            (
                cif(f"_symmetry_Int_Tables_number {n}"),
                f"space group number {n}; expected a whole number from 1",
            )
            for n in ("0", "231", "999", "1.5", "-1")
        ),
        (cif(length_a="?"), "lengths or angles of the cell are missing"),
        (cif(length_a=0), "lengths or angles of the cell are missing"),
        (cif(length_c="4.7e54"), "lengths or angles of the cell are missing, or belong to no cell"),
        (cif(angle_beta=200), "lengths or angles of the cell are missing, or belong to no cell"),
        (cif(length_c=1e-7), "a cell with sides of 5.57, 5.57, 1e-07 Å is flat"),
        (cif(sites=["C1 C ? ? ?"]), r"1 site\(s\) without coordinates \(C1\)"),
        (cif(sites=[*HEAVY, "Wat Wat 0 0 0"]), r"1 site\(s\) that are no element \(Wat\)"),
        (cif(sites=[*HEAVY[:1], "O1 O 0.1"]), "not a valid CIF block urea: line 10: Wrong number"),
        (
            cif().replace("_site_fract_z", "_site_foo"),
            "no fractional coordinates: _atom_site_fract_z is missing",
        ),
        (cif().replace("_fract_", "_Cartn_"), "no fractional coordinates: _atom_site_fract_x is missing"),
        (cif(loop(["x" * 9999])), r"'x{37}\.\.\.' is no symmetry operation"),
        ("data_urea\n_cell_length_a 5\n", "CIF block urea: lengths or angles of the cell are missing"),
        ("urea", "holds 0 crystals"),
        ("", "holds 0 crystals"),
        (b"\x1f\x8bno gzip", "cannot read .*a.cif"),
        (cif().encode("utf-16"), "holds 0 crystals"),
    ],
)
def test_what_is_wrong_is_said(read, text: str, reason: str) -> None:
    with pytest.raises(CrystalError, match=reason):
        read(text)


def test_missing_hydrogens_are_refused_by_name(read) -> None:
    with pytest.raises(
        CrystalError, match=r"hydrogen atoms are missing.*; add them, for example with Mercury"
    ):
        read(cif(sites=HEAVY))
    # Some of them: what the file says of itself tells.
    formula = "_chemical_formula_sum 'C H4 N2 O'"
    assert read(cif(more=formula)).z == 2
    with pytest.raises(
        CrystalError, match=r"hydrogen atoms are missing: 4 of the 8 that the formula 'C H4 N2 O' has"
    ):
        read(cif(sites=HEAVY + HYDROGENS[:1], more=formula))
    # A formula of something else says nothing about hydrogens.
    for other in (
        "'C2 H8 N2 O3'",
        "'C H4 N2 O, x(C6 H6)'",
        "?",
        "'not known'",
        "'C 0 N2 O'",
        "'C H4 N2 O1e999'",
    ):
        assert read(cif(more=f"_chemical_formula_sum {other}")).z == 2


def test_disorder_is_refused_by_name(read) -> None:
    half = [f"{line} {0.5 if line[0] == 'H' else 1}" for line in HEAVY + HYDROGENS]
    advice = "keep one component, at full occupancy"
    with pytest.raises(CrystalError, match=rf"2 site\(s\) with an occupancy below one \(H1, H2\); {advice}"):
        read(cif(sites=half, columns="_atom_site_occupancy"))
    column = "_atom_site_disorder_group"
    groups = [f"{line} {'.' if line[0] != 'H' else line[1]}" for line in HEAVY + HYDROGENS]
    with pytest.raises(CrystalError, match=f"disordered: H1, H2 are in disorder groups; {advice}"):
        read(cif(sites=groups, columns=column))
    # One component alone is a crystal, and so are sites without a word on it.
    assert read(cif(sites=[line.replace(" 2", " 1") for line in groups], columns=column)).z == 2
    unknown = [f"{line} ?" for line in HEAVY + HYDROGENS]
    assert read(cif(sites=unknown, columns="_atom_site_occupancy")).z == 2


def test_one_broken_block_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "many.cif"
    bad = [cif("_symmetry_Int_Tables_number 999"), cif(sites=["C1 C 0"]), cif(loop(["x+1/0, y, z"]))]
    path.write_text("".join([cif(), *bad, "data_info\n_journal_year 2026\n", cif()]))
    found = list(iter_crystals(path))
    assert [isinstance(each, CrystalError) for each in found] == [False, True, True, True, False]
    lines = path.read_text().splitlines()
    place = lines.index("C1 C 0") - 6  # where the loop begins
    assert f"line {place}: Wrong number of values" in str(found[2])


ODD = [
    "1e308",
    "nan",
    "?",
    ".",
    "''",
    "0",
    "-1",
    "1/0",
    "x,y,z",
    "data_",
    "loop_",
    ";",
    "\0",
    "é",
    "9" * 40,
    "'",
]
ODD += ["'", "_cell_length_a", "_atom_site_fract_x", "1(2)", "save_", "$", "#", "Uuo", "1e5", '"', "x" * 5000]


def mangled(rng: np.random.Generator) -> str:
    """Files in which a line is a copy of another one, words are odd, and some characters are missing."""
    lines = [cif(), cif(loop(OPERATIONS)), cif("_space_group_IT_number 113") + cif()][rng.integers(3)].split(
        "\n"
    )
    if rng.random() < 0.3:
        lines[rng.integers(len(lines))] = lines[rng.integers(len(lines))]
    words = "\n".join(lines).split(" ")
    for _ in range(rng.integers(3)):
        words[rng.integers(len(words))] = ODD[rng.integers(len(ODD))]
    text = " ".join(words)
    start = rng.integers(len(text))
    return text[:start] + text[start + rng.integers(0, 20) * (rng.random() < 0.3) :]


@pytest.mark.slow
def test_anything(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    path = tmp_path / "any.cif"
    outcomes = []
    for _ in range(400):
        path.write_text(mangled(rng))
        for record in iter_crystals(path):
            try:
                outcomes.append(MolecularCrystal.read(record).z)
            except CrystalError as error:
                outcomes.append(str(error))
    reasons = [outcome for outcome in outcomes if isinstance(outcome, str)]
    assert all(reason and "\n" not in reason and len(reason) < 300 for reason in reasons)
    assert 100 < len(reasons) < len(outcomes) - 100  # neither too tame nor too wild to say anything
