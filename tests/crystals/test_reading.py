"""Crystals from files and other libraries, and what is refused with which reason."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.spacegroup import crystal
from crystal_examples import CHIRAL, assert_same_description, random_crystal, same_crystal

from skmol3d.crystals import CrystalError, MolecularCrystal, iter_crystals

# P2_1/n, another setting of P2_1/c.
SETTING = ["x,y,z", "1/2-x,1/2+y,1/2-z", "-x,-y,-z", "1/2+x,1/2-y,1/2+z"]
CELL = (8.1, 9.3, 7.7, 90, 97.3, 90)


def write_cif(path: Path, sites: str, operations: list[str] = SETTING, columns: str = "") -> Path:
    a, b, c, alpha, beta, gamma = CELL
    listed = "\n".join(f"'{operation}'" for operation in operations)
    path.write_text(
        f"data_example\n_cell_length_a {a}\n_cell_length_b {b}\n_cell_length_c {c}\n"
        f"_cell_angle_alpha {alpha}\n_cell_angle_beta {beta}\n_cell_angle_gamma {gamma}\n"
        f"loop_\n_symmetry_equiv_pos_as_xyz\n{listed}\n"
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n"
        f"_atom_site_fract_z\n{columns}{sites}"
    )
    return path


def fractions() -> np.ndarray:
    return CHIRAL.positions @ np.linalg.inv(Atoms(cell=CELL).cell.array) + [0.25, 0.12, 0.28]


def sites(places: np.ndarray, more: str = "") -> str:
    rows = zip(CHIRAL.symbols, places, strict=True)
    return "".join(f"{s}1 {s} {x:.6f} {y:.6f} {z:.6f}{more}\n" for s, (x, y, z) in rows)


def test_cif_in_another_setting(tmp_path: Path) -> None:
    found = MolecularCrystal.read(write_cif(tmp_path / "a.cif", sites(fractions())))
    assert (found.space_group, found.symbol, found.z) == (14, "P2_1/c", 4)
    x, y, z = fractions().T
    copies = [(x, y, z), (0.5 - x, 0.5 + y, 0.5 - z), (-x, -y, -z), (0.5 + x, 0.5 - y, 0.5 + z)]
    places = np.concatenate([np.stack(copy, 1) for copy in copies])
    atoms = Atoms(list(CHIRAL.symbols) * 4, cell=CELL, scaled_positions=places, pbc=True)
    assert same_crystal(found.to_atoms(), atoms) < 1e-4

    other_copy = MolecularCrystal.read(write_cif(tmp_path / "b.cif", sites(places[5:10] - [1, 0, 1])))
    assert_same_description(found, other_copy, 1e-4)
    everything = "".join(sites(places[5 * k : 5 * k + 5]) for k in range(4))
    expanded = MolecularCrystal.read(write_cif(tmp_path / "c.cif", everything, ["x,y,z"]))
    assert_same_description(found, expanded, 1e-4)


def test_sites_on_symmetry_elements_are_listed_once(tmp_path: Path) -> None:
    carbon_dioxide = "C1 C 0 0 0\nO1 O 0.1 0.07 0.05\n"
    found = MolecularCrystal.read(write_cif(tmp_path / "a.cif", carbon_dioxide))
    assert (found.space_group, found.z, found.z_prime) == (14, 2, 0.5)
    assert sorted(found.molecules[0].numbers.tolist()) == [6, 8, 8]


def test_same_crystal_from_every_source(tmp_path: Path) -> None:
    atoms = random_crystal(19, seed=0)
    found = MolecularCrystal.read(atoms)
    for name in ("a.extxyz", "a.extxyz.gz", "a.cif"):
        ase.io.write(tmp_path / name, atoms)
        assert_same_description(found, MolecularCrystal.read(tmp_path / name), 1e-3)
        assert_same_description(found, MolecularCrystal.read(str(tmp_path / name)), 1e-3)
    pymatgen = [SimpleNamespace(is_ordered=True, specie=SimpleNamespace(Z=int(n))) for n in atoms.numbers]
    structure = _Structure(pymatgen, atoms.cell.array, atoms.get_scaled_positions())
    assert_same_description(found, MolecularCrystal.read(structure))
    left_handed = atoms.copy()
    left_handed.set_cell(atoms.cell.array[[1, 0, 2]])
    assert_same_description(found, MolecularCrystal.read(left_handed))


class _Structure(list):
    """What is used of `pymatgen.core.Structure`."""

    def __init__(self, sites: list, matrix: np.ndarray, frac_coords: np.ndarray) -> None:
        super().__init__(sites)
        self.lattice = SimpleNamespace(matrix=matrix)
        self.frac_coords = frac_coords

    @property
    def is_ordered(self) -> bool:
        return all(site.is_ordered for site in self)


def test_disorder_is_refused(tmp_path: Path) -> None:
    columns = "_atom_site_occupancy\n"
    half = write_cif(tmp_path / "a.cif", sites(fractions(), " 0.5"), columns=columns)
    with pytest.raises(CrystalError, match=r"disordered: 5 site\(s\) with an occupancy below one"):
        MolecularCrystal.read(half)
    full = write_cif(tmp_path / "b.cif", sites(fractions(), " 1.0"), columns=columns)
    assert MolecularCrystal.read(full).space_group == 14
    with pytest.raises(CrystalError, match="disordered"):
        MolecularCrystal.read(crystal("CO", [(0, 0, 0), (0.2, 0, 0)], occupancies=[1, 0.9], cellpar=CELL))
    structure = _Structure([SimpleNamespace(is_ordered=False)], np.eye(3), np.zeros((1, 3)))
    with pytest.raises(CrystalError, match=r"disordered: 1 site"):
        MolecularCrystal.read(structure)
    hydrogens = Atoms("OHH", [(0, 0, 0), (0.97, 0, 0), (0.97, 0.5, 0)], cell=[6, 6, 6], pbc=True)
    with pytest.raises(
        CrystalError, match=r"atoms number 2 \(H\) and number 3 \(H\) of the cell are 0\.50 Å"
    ):
        MolecularCrystal.read(hydrogens)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Atoms(), "no atoms"),
        (molecule("H2O"), "not periodic in three dimensions"),
        (Atoms("C", cell=[5, 5, 5], pbc=[True, True, False]), "not periodic"),
        (Atoms("C", [(np.nan, 0, 0)], cell=[5, 5, 5], pbc=True), "not finite"),
        (Atoms("X", cell=[5, 5, 5], pbc=True), "no element"),
        (3.5, "cannot read a float"),
        ("crystal.pdb", "unknown file type"),
        ("no-such-file.cif", "cannot read no-such-file.cif: No such file"),
        (".", r"^\. is a folder; give its files \(\.cif, \.extxyz, \.xyz\) as a list"),
        (
            "data_urea\n_cell_length_a 5\n# x.cif",
            "^this is the text of a CIF, not a path: write it to a file",
        ),
        ("C 0 0 0\nO 1 1 1", "^this is a text of several lines, not a path"),
        ("a\0.cif", "is no path: embedded null"),
        ("x" * 999, "^x{200}: unknown file type"),
    ],
)
def test_unusable_inputs(value: object, reason: str) -> None:
    with pytest.raises(CrystalError, match=reason):
        MolecularCrystal.read(value)


def test_broken_records(tmp_path: Path) -> None:
    frames = [random_crystal(2, 0), random_crystal(4, 1)]
    path = tmp_path / "two.extxyz"
    ase.io.write(path, frames)
    with pytest.raises(CrystalError, match="holds 2 crystals"):
        MolecularCrystal.read(path)
    assert [MolecularCrystal.read(one).space_group for one in iter_crystals(path)] == [2, 4]
    path.write_text(path.read_text() + "3\nLattice=broken\n")
    *good, bad = iter_crystals(path)
    assert len(good) == 2
    with pytest.raises(CrystalError, match="3 atoms announced"):
        MolecularCrystal.read(bad)
    path.write_bytes(b"\x1f\x8b no gzip")
    (broken,) = iter_crystals(path)
    assert isinstance(broken, CrystalError)


def test_a_file_without_a_crystal_gives_the_reason_alone(tmp_path: Path) -> None:
    for name in ("empty.cif", "empty.extxyz"):
        (tmp_path / name).write_text("")
        (error,) = iter_crystals(tmp_path / name)
        assert str(error) == f"cannot read {tmp_path / name}: it is empty"
        with pytest.raises(CrystalError, match="it is empty"):
            MolecularCrystal.read(tmp_path / name)


def test_files_that_cannot_be_opened_are_no_crystals(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        iter_crystals(tmp_path / "missing.cif")
    (tmp_path / "folder.cif").mkdir()
    with pytest.raises(IsADirectoryError):
        iter_crystals(tmp_path / "folder.cif")
    with pytest.raises(CrystalError, match="unknown file type"):
        iter_crystals("crystal.pdb")


def test_frames_that_claim_any_number_of_atoms_end_at_once(tmp_path: Path) -> None:
    path = tmp_path / "a.extxyz"
    path.write_text('1999999999997\nLattice="1 0 0 0 1 0 0 0 1"\nC 0 0 0\n')
    with pytest.raises(CrystalError, match="at most 20000 are supported"):
        MolecularCrystal.read(path)
    large = random_crystal(1, 0).repeat(8)
    assert len(large) > 1000  # more than a molecule may have
    ase.io.write(path, large)
    (atoms,) = iter_crystals(path)
    assert len(atoms) == len(large)


CO2 = Atoms("OCO", [(-1.16, 0, 0), (0, 0, 0), (1.16, 0, 0)])


def test_flat_cells_are_refused_at_once() -> None:
    for height in (1e-2, 1e-6, 1e-12):
        flat = Atoms(CO2.numbers, CO2.positions, cell=[[6, 0, 0], [0, 6, 0], [3, 2, height]], pbc=True)
        with pytest.raises(CrystalError, match=r"a cell with sides of 6, 6, 3\.61 Å is flat: .* for 3 atoms"):
            MolecularCrystal.read(flat)
    long = Atoms(CO2.numbers, CO2.positions, cell=[0.1, 300, 300], pbc=True)
    with pytest.raises(CrystalError, match="repeats itself within 1 Å"):
        MolecularCrystal.read(long)
    for length in (1e4, 1e54, 1e308, np.inf):
        far = Atoms(CO2.numbers, CO2.positions, cell=[5, 6, length], pbc=True)
        with pytest.raises(CrystalError, match=r"is nearly empty|a cell with a side of|not periodic"):
            MolecularCrystal.read(far)
    skewed = Atoms(CO2.numbers, CO2.positions, cell=[[6, 0, 0], [6e5, 6, 0], [3, 6e6, 6]], pbc=True)
    assert MolecularCrystal.read(skewed).deviation < 1e-6


def test_structures_need_no_torch() -> None:
    code = "import sys; from skmol3d.crystals import MolecularCrystal; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_one_occupancy_for_all_is_understood():
    atoms = bulk("Ne", cubic=True)
    atoms.info["occupancy"] = 1.0
    assert MolecularCrystal.read(atoms).z == len(atoms)
    atoms.info["occupancy"] = 0.9995
    assert MolecularCrystal.read(atoms).z == len(atoms)
    atoms.info["occupancy"] = 0.9
    with pytest.raises(CrystalError, match="disorder"):
        MolecularCrystal.read(atoms)
