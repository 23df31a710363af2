"""Hydrogens that structures lack turn with them."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import rdDistGeom
from scipy.spatial.transform import Rotation

from skmol3d.structures import read_molecule
from skmol3d.structures.hydrogens import add_hydrogens, own_frame, without_hydrogens


def heavy_atoms(smiles, conformers=1):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    rdDistGeom.EmbedMultipleConfs(mol, conformers, randomSeed=7)
    return Chem.RemoveHs(mol)


def moved(mol, turn, shift):
    mol = Chem.Mol(mol)
    for conformer in mol.GetConformers():
        conformer.SetPositions(turn.apply(conformer.GetPositions()) + shift)
    return mol


# Rotors, a line, two atoms, one atom, an ion, and molecules with symmetries.
SMILES = [
    "CCO",
    "CCN",
    "CC(C)(C)O",
    "CC#CC",
    "CO",
    "C",
    "O",
    "C[NH3+]",
    "Cc1ccccc1",
    "OCC(F)(Cl)CN",
    "CC(=O)NC",
]


@pytest.mark.parametrize("smiles", SMILES)
def test_added_hydrogens_turn_with_the_molecule(smiles):
    mol = heavy_atoms(smiles)
    rng = np.random.default_rng(0)
    before = add_hydrogens(mol).GetConformer().GetPositions()
    for turn in Rotation.random(10, random_state=1):
        after = add_hydrogens(moved(mol, turn, rng.normal(0, 5, 3))).GetConformer().GetPositions()
        between = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (before, after)]
        np.testing.assert_allclose(*between, atol=1e-4)


def test_hydrogens_are_as_far_from_their_atoms_as_those_of_rdkit():
    mol = heavy_atoms("OCC(F)(Cl)CN")
    made, plain = add_hydrogens(mol), Chem.AddHs(mol, addCoords=True)
    for bond in made.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        lengths = [
            np.linalg.norm(np.subtract(*m.GetConformer().GetPositions()[[i, j]])) for m in (made, plain)
        ]
        assert lengths[0] == pytest.approx(lengths[1], abs=1e-6)


def test_atoms_that_are_there_stay_where_they_are_in_every_conformer():
    mol = heavy_atoms("CC(=O)NCC", conformers=3)
    made = add_hydrogens(mol)
    count = mol.GetNumAtoms()
    assert made.GetNumConformers() == 3
    for one, other in zip(made.GetConformers(), mol.GetConformers(), strict=True):
        np.testing.assert_array_equal(one.GetPositions()[:count], other.GetPositions())


def test_explicit_hydrogens_are_left_alone():
    mol = Chem.AddHs(heavy_atoms("CCO"), addCoords=True)
    np.testing.assert_array_equal(
        add_hydrogens(mol).GetConformer().GetPositions(), mol.GetConformer().GetPositions()
    )


def test_handedness_is_kept():
    for smiles in ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"):
        assert read_molecule(heavy_atoms(smiles)).smiles == Chem.CanonSmiles(smiles)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_frame_is_right_handed_and_turns_along(count):
    rng = np.random.default_rng(count)
    positions = rng.normal(size=(count, 3))
    turn = Rotation.random(random_state=2)
    (_, axes), (_, turned) = own_frame(positions), own_frame(turn.apply(positions) + 3)
    for found in (axes, turned):
        np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(found) == pytest.approx(1)
    if count > 2:
        np.testing.assert_allclose(turn.apply(axes), turned, atol=1e-9)


@pytest.mark.parametrize(
    ("drawn", "bare", "without_isotopes"),
    [
        ("[H]/N=C(/N)c1ccccc1", "N=C(N)c1ccccc1", "N=C(N)c1ccccc1"),
        ("[2H]CCO", "[2H]CCO", "CCO"),
        ("[13CH3]CO", "[13CH3]CO", "CCO"),
        ("[H][H]", "[H][H]", "[H][H]"),
        ("C[C@H](N)O", "C[C@H](N)O", "C[C@H](N)O"),
        ("C/C=C/C", "C/C=C/C", "C/C=C/C"),
    ],
)
def test_graphs_without_hydrogens(drawn, bare, without_isotopes):
    mol = Chem.AddHs(Chem.MolFromSmiles(drawn))
    assert Chem.MolToSmiles(without_hydrogens(mol)) == Chem.CanonSmiles(bare)
    assert Chem.MolToSmiles(without_hydrogens(mol, isotopes=True)) == Chem.CanonSmiles(without_isotopes)
    assert Chem.MolToSmiles(Chem.RemoveHs(mol)) == Chem.CanonSmiles(drawn)  # the caller's stays
