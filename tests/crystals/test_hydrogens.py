"""Which crystals lack hydrogen atoms, and which only seem to."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from cif_examples import HEAVY, HYDROGENS, cif
from crystal_examples import UREA
from rdkit import Chem

from skmol3d.crystals import CrystalError, MolecularCrystal
from skmol3d.crystals.hydrogens import _no_imine


def in_cell(*molecules: Atoms) -> Atoms:
    """Molecules side by side, far from each other, in P1."""
    found = Atoms(cell=[10, 11, 12 * len(molecules)], pbc=True)
    for k, one in enumerate(molecules):
        found += Atoms(one.numbers, one.positions + np.array([3, 3, 12 * k + 3]))
    return found


def without(atoms: Atoms, *indices: int) -> Atoms:
    kept = atoms.copy()
    del kept[list(indices)]
    return kept


NAMES = [
    "C6H6",
    "CH3OH",
    "CH3CONH2",
    "H2O",
    "NH3",
    "CH4",
    "HCOOH",
    "C5H5N",
    "C2H4",
    "C2H2",
    "CH3NO2",
    "CH3SH",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_one_hydrogen_that_is_missing_is_noticed(name: str) -> None:
    whole = molecule(name)
    assert MolecularCrystal.read(in_cell(whole)).z == 1
    water = molecule("H2O")
    assert len(MolecularCrystal.read(in_cell(whole, water)).molecules) == (1 if name == "H2O" else 2)
    for i in np.flatnonzero(whole.numbers == 1):
        part = without(whole, int(i))
        for crystal in (in_cell(part), in_cell(part, water), in_cell(whole, part)):
            with pytest.raises(CrystalError, match=r"hydrogen atoms are missing: .*; add them"):
                MolecularCrystal.read(crystal)
    for i in (1, 2):
        with pytest.raises(CrystalError, match="hydrogen atoms are missing"):
            MolecularCrystal.read(in_cell(whole, without(water, i)))


def test_hydrogens_are_missed_by_the_labels_of_the_file(read) -> None:
    """Urea has two of each on a mirror plane: without them the number of electrons is even."""
    for lines in (HYDROGENS[:1], HYDROGENS[1:]):
        with pytest.raises(
            CrystalError, match=r"hydrogen atoms are missing: .* needs one at atom N1 of the cell"
        ):
            read(cif(sites=HEAVY + lines))


def test_pairs_of_hydrogens_leave_traces() -> None:
    """An even number of electrons is left, and the bonds tell."""
    ethane, methanol, amine = molecule("C2H6"), molecule("CH3OH"), molecule("CH3CH2NH2")
    for whole, at in ((ethane, 0), (methanol, 0), (amine, 0)):
        near = [i for i in np.argsort(whole.get_distances(at, range(len(whole)))) if whole.numbers[i] == 1]
        with pytest.raises(
            CrystalError, match=rf"needs one at atom number {at + 1} \(C\) of the cell; add them"
        ):
            MolecularCrystal.read(in_cell(without(whole, *map(int, near[:2]))))
    hydroxyl = int(np.argmin(methanol.get_distances(1, [2, 3, 4, 5]))) + 2
    part = without(methanol, hydroxyl)
    with pytest.raises(CrystalError, match=r"needs one at atom number 2 \(O\)"):
        MolecularCrystal.read(in_cell(part, part))
    bare = without(amine, *np.flatnonzero(amine.numbers == 1)[-2:].tolist())
    with pytest.raises(CrystalError, match=r"needs one at atom number \d \(N\)"):
        MolecularCrystal.read(in_cell(bare))


def test_one_urea_of_two_short_of_a_hydrogen() -> None:
    for i in np.flatnonzero(UREA.numbers == 1):
        with pytest.raises(CrystalError, match="hydrogen atoms are missing"):
            MolecularCrystal.read(without(UREA, int(i)))


def test_imines_have_one() -> None:
    methanimine = Atoms(
        "CNHHH", [(0, 0, 0), (1.27, 0, 0), (-0.55, 0.94, 0), (-0.55, -0.94, 0), (1.64, 0.95, 0)]
    )
    assert MolecularCrystal.read(in_cell(methanimine)).z == 1
    methanimine.positions[[1, 4], 0] += 0.12
    with pytest.raises(CrystalError, match=r"needs one at atom number 2 \(N\)"):
        MolecularCrystal.read(in_cell(methanimine))


@pytest.mark.parametrize(
    ("smiles", "elsewhere"),
    [
        ("CC(=O)N", True),
        ("CC(=S)N", True),
        ("CC(=N)N", True),
        ("CC(O)=N", False),  # its O atom has a hydrogen atom of its own
        ("CC(OC)=N", False),
        ("CC(C)=N", False),
        ("CC(Cl)=N", False),
        ("CC(=NC)N", False),
        ("CCN", False),
    ],
)
def test_a_carbon_atom_has_its_double_bond_elsewhere(smiles: str, elsewhere: bool) -> None:
    """Judged by the neighbours alone, with one hydrogen atom at the N atom that is asked about."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
    neighbours = [[(n.GetIdx(), np.zeros(3)) for n in atom.GetNeighbors()] for atom in mol.GetAtoms()]
    last = int(np.flatnonzero(numbers == 7)[-1])
    assert _no_imine(numbers, last, neighbours) == elsewhere


def test_a_hydrogen_atom_alone_is_no_molecule(read) -> None:
    stray = Atoms("H", [(0, 0, 0)])
    with pytest.raises(
        CrystalError, match=r"hydrogen atom number 4 \(H\) of the cell is bonded to no other atom"
    ):
        MolecularCrystal.read(in_cell(molecule("H2O"), stray))
    with pytest.raises(CrystalError, match="hydrogen atom H7 of the cell is bonded to no other atom"):
        read(cif(sites=[*HEAVY, *HYDROGENS, "H7 H 0 0 0.5"]))
    assert MolecularCrystal.read(in_cell(molecule("H2"))).z == 1


AMMONIUM = Atoms("NHHHH", 0.6 * np.array([(0, 0, 0), (1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1)]))
NITROXIDE = Atoms("NOCC", [(0, 0, 0), (0, 0, 1.28), (1.25, 0, -0.7), (-1.25, 0, -0.7)])
for x in (1.25, -1.25):
    for angle in (0, 2.1, 4.2):
        out = np.array([np.sign(x) * 0.87, 0, -0.5])
        across = np.cos(angle) * np.array([0, 1, 0]) + np.sin(angle) * np.cross(out, [0, 1, 0])
        NITROXIDE += Atoms("H", [np.array([x, 0, -0.7]) + 0.36 * out + 1.03 * across])


COMPLEX = Atoms("CuClCl", [(0, 0, 0), (2.2, 0, 0), (-2.2, 0, 0)])
COMPLEX += Atoms("NHHH", [(0, 2, 0), (0.9, 2.4, 0), (-0.5, 2.4, 0.8), (-0.5, 2.4, -0.8)])


@pytest.mark.parametrize(
    "molecules",
    [
        [AMMONIUM, Atoms("Cl")],  # ions, each with an odd number of electrons as a neutral one
        [AMMONIUM, Atoms("OH", [(0, 0, 0), (0, 0, 0.97)])],
        [NITROXIDE],
        [COMPLEX],
        [molecule("C60"), molecule("C6H6")],
    ],
    ids=["chloride", "hydroxide", "nitroxide", "complex", "fullerene"],
)
def test_what_only_seems_to_lack_hydrogens(molecules: list[Atoms]) -> None:
    crystal = in_cell(*molecules)
    crystal.set_cell(crystal.cell.array * 2)
    assert MolecularCrystal.read(crystal).z == len(molecules)
