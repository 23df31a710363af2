"""CIF files: settings and dialects that are read, and what is refused with which reason."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from cif_examples import HEAVY, HYDROGENS, OPERATIONS, cif, loop

from skmol3d.crystals import CrystalError, MolecularCrystal, iter_crystals


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
        ("data_urea\n_cell_length_a 5\n", "CIF block urea: lengths or angles of the cell are missing"),
        (b"\x1f\x8bno gzip", "cannot read .*a.cif"),
        ("", "cannot read .*a.cif: it is empty"),
        (" \n\n", "cannot read .*a.cif: it is empty"),
        ("urea", "a.cif: it is no CIF: no line begins with data_"),
        (cif().replace("data_urea", "global_"), "a.cif: it is no CIF: no line begins with data_"),
        (
            "data_global\n_journal_year 2026\n",
            r"a.cif: it has no crystal: no block has a cell \(_cell_length_a",
        ),
        ("data_global\r_journal_year 2026\r", "a.cif: it has no crystal"),
        (cif().encode("utf-16"), "a.cif: UTF-16, not UTF-8 text"),
        ("\n<!DOCTYPE html>\n<html></html>", r"a.cif: it is a web page \(HTML\), not a CIF"),
        (
            cif().replace("_cell_", "_cell."),
            r"a.cif: it is mmCIF \(_cell.length_a\); expected the tags of small",
        ),
    ],
)
def test_what_is_wrong_is_said(read, text: str, reason: str) -> None:
    with pytest.raises(CrystalError, match=reason):
        read(text)


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


def test_occupancies_are_numbers_and_refined_ones_need_not_be_round(read) -> None:
    column = "_atom_site_occupancy"
    nearly = [f"{line} 0.99995(2)" for line in HEAVY + HYDROGENS]
    assert read(cif(sites=nearly, columns=column)).z == 2
    text = [f"{line} {'abc' if line[0] == 'O' else 1}" for line in HEAVY + HYDROGENS]
    with pytest.raises(CrystalError, match=r"1 occupancies that are no number \(abc of O1\)"):
        read(cif(sites=text, columns=column))


def test_disorder_groups_may_have_any_name(read) -> None:
    column = "_atom_site_disorder_group"
    names = {"H1": "A", "H2": "B"}
    groups = [f"{line} {names.get(line.split()[0], '.')}" for line in HEAVY + HYDROGENS]
    with pytest.raises(CrystalError, match="disordered: H1, H2 are in disorder groups"):
        read(cif(sites=groups, columns=column))
    assert read(cif(sites=[line.replace(" B", " A") for line in groups], columns=column)).z == 2
    with pytest.raises(
        CrystalError, match="disordered: H2 are in disorder groups"
    ):  # about an inversion centre
        read(cif(sites=[line.replace(" A", " .").replace(" B", " -1") for line in groups], columns=column))


def test_dummies_are_no_atoms(read) -> None:
    sites = [*(f"{line} d" for line in HEAVY + HYDROGENS), "Cg1 C 0.3 0.1 0.2 dum", "Cg2 Cg ? ? ? dum"]
    assert len(read(cif(sites=sites, columns="_atom_site_calc_flag")).to_atoms()) == 16
    with pytest.raises(CrystalError, match="no atoms"):
        read(cif(sites=sites[-2:], columns="_atom_site_calc_flag"))


def test_atoms_are_called_by_their_labels(read) -> None:
    with pytest.raises(CrystalError, match=r"atoms O1 and X9 of the cell are 0\.30 Å apart"):
        read(cif(sites=[*HEAVY, *HYDROGENS, "X9 N 0 0.5 0.6594"]))
    with pytest.raises(CrystalError, match=r"atoms X9 and a copy of it of the cell are 0\.\d\d Å apart"):
        read(cif(sites=[*HEAVY, *HYDROGENS, "X9 O 0.02 0.01 0"]))
    unnamed = [f"? {line.partition(' ')[2]}" for line in [*HEAVY, *HYDROGENS, "X9 N 0 0.5 0.6594"]]
    with pytest.raises(
        CrystalError, match=r"atoms number \d+ \(O\) and number \d+ \(N\) of the cell are 0\.30 Å"
    ):
        read(cif(sites=unnamed))


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
