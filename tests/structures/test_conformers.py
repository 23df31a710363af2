"""Known geometries, determinism, geometries that were brought, and populations."""

import math

import ase
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem
from structure_examples import DIVERSE

from skmol3d.structures import (
    ConformerSettings,
    StructureError,
    boltzmann_weights,
    embed,
    read_molecule,
)

PLAIN = ConformerSettings(relax="mmff")


def conformers(value, **kwargs):
    return embed(read_molecule(value), ConformerSettings(**{"relax": "mmff"} | kwargs))


def bond_lengths(found, pair):
    positions = found.positions[0]
    ends = [bond for bond in found.bonds.tolist() if sorted(found.numbers[bond].tolist()) == sorted(pair)]
    return [float(np.linalg.norm(positions[a] - positions[b])) for a, b in ends]


def angle(positions, a, b, c):
    u, v = positions[a] - positions[b], positions[c] - positions[b]
    return math.degrees(math.acos(np.dot(u, v) / np.linalg.norm(u) / np.linalg.norm(v)))


# --- known answers ---------------------------------------------------------------------------------------


def test_water():
    found = conformers("O")
    assert found.numbers.tolist() == [8, 1, 1]
    assert bond_lengths(found, (1, 8)) == pytest.approx([0.969, 0.969], abs=0.005)  # MMFF94's reference
    assert angle(found.positions[0], 1, 0, 2) == pytest.approx(103.98, abs=0.2)
    assert found.energies == pytest.approx([0.0], abs=1e-6)


def test_methane_is_a_tetrahedron():
    found = conformers("C")
    assert bond_lengths(found, (1, 6)) == pytest.approx([1.092] * 4, abs=0.003)
    angles = [angle(found.positions[0], a, 0, b) for a in range(1, 5) for b in range(1, a)]
    assert angles == pytest.approx([109.47] * 6, abs=0.1)


@pytest.mark.parametrize(
    ("smiles", "pair", "length"),
    [
        ("CC", (6, 6), 1.51),
        ("C=C", (6, 6), 1.335),
        ("C#C", (6, 6), 1.20),
        ("c1ccccc1", (6, 6), 1.395),
        ("C=O", (6, 8), 1.225),
    ],
)
def test_carbon_bonds(smiles, pair, length):
    lengths = bond_lengths(conformers(smiles), pair)
    assert lengths
    assert lengths == pytest.approx([length] * len(lengths), abs=0.01)


def test_benzene_is_planar():
    positions = conformers("c1ccccc1").positions[0]
    assert np.linalg.svd(positions - positions.mean(axis=0))[1][2] < 0.02


def test_the_relaxed_energy_is_rdkit_s_own():
    molecule = read_molecule("CC(=O)Oc1ccccc1C(=O)O")
    found = embed(molecule, PLAIN)
    mol = Chem.Mol(molecule.mol)
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    mol.GetConformer().SetPositions(found.positions[0].astype(float))
    field = AllChem.MMFFGetMoleculeForceField(mol, AllChem.MMFFGetMoleculeProperties(mol))
    assert found.energies[0] == pytest.approx(field.CalcEnergy() * 0.0433641, abs=1e-3)
    assert np.abs(field.CalcGrad()).max() < 0.1  # kcal/mol/Å: a minimum


@pytest.mark.slow
@pytest.mark.parametrize("smiles", DIVERSE)
@pytest.mark.parametrize("relax", ["mmff", None])
def test_every_example_embeds(smiles, relax):
    molecule = read_molecule(smiles)
    found = embed(molecule, ConformerSettings(relax=relax))
    assert found.positions.shape == (1, len(molecule.numbers), 3)
    assert found.positions.dtype == np.float64
    assert np.isfinite(found.positions).all()
    assert found.charge == molecule.charge
    np.testing.assert_array_equal(found.bonds, molecule.bonds)
    gaps = np.linalg.norm(found.positions[0][:, None] - found.positions[0][None], axis=-1)
    assert gaps[np.triu_indices(len(gaps), 1)].min(initial=1.0) > 0.6


def test_without_mmff_parameters_uff_relaxes():
    found, plain = conformers("OB(O)c1ccccc1"), conformers("OB(O)c1ccccc1", relax=None)
    assert np.isnan(found.energies).all()
    assert not np.allclose(found.positions, plain.positions)
    mol = read_molecule("OB(O)c1ccccc1").mol
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    mol.GetConformer().SetPositions(found.positions[0].astype(float))
    assert np.abs(AllChem.UFFGetMoleculeForceField(mol).CalcGrad()).max() < 0.1  # kcal/mol/Å: a minimum


def signed_volume(found, elements):
    """Of the arms from the only carbon to three atoms, named by element."""
    positions = found.positions[0]
    a, b, c = (positions[found.numbers.tolist().index(z)] for z in elements)
    centre = positions[found.numbers.tolist().index(6)]
    return float(np.linalg.det(np.stack([a - centre, b - centre, c - centre])))


@pytest.mark.parametrize("relax", ["mmff", None])
def test_enantiomers_are_mirror_images(relax):
    right, left = (conformers(s, relax=relax) for s in ("[C@H](F)(Cl)Br", "[C@@H](F)(Cl)Br"))
    volumes = [signed_volume(found, (9, 17, 35)) for found in (right, left)]
    assert min(map(abs, volumes)) > 1.0
    assert volumes[0] * volumes[1] < 0
    # "@": seen from the first neighbour (H), the others (F, Cl, Br) go anticlockwise. Their arms point away
    # from the viewer, so their triple product is negative.
    assert volumes[0] < 0


@pytest.mark.parametrize(("smiles", "length"), [("F/C=C/F", 3.5), ("F/C=C\\F", 2.75)])
def test_double_bonds_keep_their_side(smiles, length):
    found = conformers(smiles)
    first, second = found.positions[0][found.numbers == 9]
    assert np.linalg.norm(first - second) == pytest.approx(length, abs=0.2)


# --- determinism -----------------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.sampled_from(DIVERSE), st.integers(0, 2**31 - 1))
@settings(max_examples=40, deadline=None)
def test_every_spelling_gives_the_same_conformer(smiles, seed):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    order = np.random.default_rng(seed).permutation(mol.GetNumAtoms()).tolist()
    spelling = Chem.MolToRandomSmilesVect(Chem.RemoveHs(mol), 1, randomSeed=seed)[0]
    expected = conformers(smiles)
    for value in (spelling, Chem.RenumberAtoms(mol, order)):
        np.testing.assert_array_equal(conformers(value).positions, expected.positions)


def test_random_state_matters():
    first, again, other = (conformers("CCCCCO", random_state=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first.positions, again.positions)
    assert not np.allclose(first.positions, other.positions)


def test_conformers_do_not_depend_on_how_many_are_asked_for():
    few, many = (conformers("CCCCCO", n_conformers=n, relax=None) for n in (2, 5))
    assert many.positions.shape == (5, 18, 3)
    np.testing.assert_array_equal(few.positions, many.positions[:2])
    assert not np.allclose(many.positions[0], many.positions[1])
    assert np.isnan(many.energies).all()


def test_relaxed_conformers_come_by_energy():
    few, many = (conformers("CCCCCO", n_conformers=n) for n in (2, 6))
    assert np.all(np.diff(many.energies) >= 0)
    assert set(few.energies) <= set(many.energies)


# --- geometries that were brought ------------------------------------------------------------------------


def test_brought_coordinates_stay():
    atoms = ase.Atoms("OHH", [[0, 0, 0.2], [0, 0.9, -0.5], [0, -0.8, -0.5]])
    found = conformers(atoms)
    np.testing.assert_array_equal(found.positions[0], atoms.positions)
    assert np.isnan(found.energies).all()


def test_brought_conformers_are_the_first_ones_by_energy():
    mol = Chem.AddHs(Chem.MolFromSmiles("CCCCO"))
    AllChem.EmbedMultipleConfs(mol, 4, randomSeed=3)
    two, all_of_them = (conformers(mol, n_conformers=n) for n in (2, 9))
    assert two.positions.shape == (2, 15, 3)
    assert all_of_them.positions.shape == (4, 15, 3)
    assert np.all(np.diff(all_of_them.energies) >= 0)
    properties = AllChem.MMFFGetMoleculeProperties(mol)
    energies = [AllChem.MMFFGetMoleculeForceField(mol, properties, confId=k).CalcEnergy() for k in range(2)]
    assert two.energies == pytest.approx(np.sort(energies) * 0.0433641, abs=1e-4)


# --- populations -----------------------------------------------------------------------------------------


def test_boltzmann_weights():
    kT = 8.617333e-5 * 298.15
    weights = boltzmann_weights(np.array([1.0, 1.0 + kT, 1.0 + kT * math.log(4)]))
    assert weights / weights[0] == pytest.approx([1, math.exp(-1), 0.25], rel=1e-5)
    assert weights.sum() == pytest.approx(1)
    assert boltzmann_weights(np.array([0.0, 1e6])).tolist() == [1.0, 0.0]


def test_boltzmann_weights_need_energies():
    assert boltzmann_weights(np.array([math.nan])).tolist() == [1.0]
    with pytest.raises(StructureError, match="no MMFF94 energies"):
        boltzmann_weights(np.array([0.1, math.nan]))
