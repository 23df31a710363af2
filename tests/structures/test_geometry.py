"""Bonds of bare geometries."""

import ase
import numpy as np
import pytest
from ase.build import molecule
from structure_examples import DIVERSE

from skmol3d.structures import ConformerSettings, StructureError, embed, read_molecule
from skmol3d.structures.geometry import perceive_bonds

TRICKY = [
    "C1C2CC1C2",
    "CC12CC(C1)(C2)C(=O)O",
    "CSC1C2CC1C2",
    "C12CC1C2",
    "C1CNC1",
    "Ic1ccccc1I",
    "Ic1c(I)c(I)ccc1",
    "IC(I)I",
    "OB1OCc2ccccc12",
    "B1Oc2ccccc2O1",
    "CC(=O)OI(OC(C)=O)c1ccccc1",
    "OCl(=O)(=O)=O",
    "FF",
    "II",
    "C[Hg]C",
    "C[Sn](C)(C)C",
    "C[Si](C)(C)[Si](C)(C)C",
]
DISTORTED = {"FS(F)(F)(F)(F)F"}  # by RDKit, see `perceive_bonds`


@pytest.mark.slow
@pytest.mark.parametrize("relax", [None, "mmff"])
@pytest.mark.parametrize("smiles", [s for s in [*DIVERSE, *TRICKY] if s not in DISTORTED])
def test_bonds_are_those_of_the_smiles(smiles, relax):
    made = embed(read_molecule(smiles), ConformerSettings(relax=relax))
    found = perceive_bonds(made.numbers, made.positions[0])
    assert found.dtype == np.int32
    assert set(map(tuple, found.tolist())) == {tuple(sorted(bond)) for bond in made.bonds.tolist()}


@pytest.mark.parametrize(("name", "bonds"), [("ClF3", 3), ("C2H6CHOH", 11), ("O3", 2), ("AlCl3", 3)])
def test_bonds_of_optimised_geometries(name, bonds):
    assert len(read_molecule(molecule(name)).bonds) == bonds


def test_bonds_of_an_octahedron():
    axes = 1.56 * np.concatenate([np.eye(3), -np.eye(3)])
    assert read_molecule(ase.Atoms("SF6", [[0, 0, 0], *axes])).bonds.tolist() == [[0, i] for i in range(1, 7)]


def test_hydrogen_bonds_are_none():
    one, other = [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], [[2.4, 0, 0], [2.7, 0.9, 0], [2.7, -0.9, 0]]
    close = ase.Atoms("OHHOHH", one + other)
    assert read_molecule(close).bonds.tolist() == [[0, 1], [0, 2], [3, 4], [3, 5]]


def test_order_of_atoms_does_not_matter():
    made = embed(read_molecule("CC12CC(C1)(C2)C(=O)O"), ConformerSettings())
    order = np.random.default_rng(0).permutation(len(made.numbers))
    found = perceive_bonds(made.numbers[order], made.positions[0][order])
    expected = perceive_bonds(made.numbers, made.positions[0])
    assert {tuple(sorted(order[bond].tolist())) for bond in found} == set(map(tuple, expected.tolist()))


def test_errors_name_atoms():
    with pytest.raises(StructureError, match=r"atoms C0, O1 are 0\.10 Å apart"):
        read_molecule(ase.Atoms("CO", [[0, 0, 0], [0, 0, 0.1]]))
