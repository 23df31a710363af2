"""Enantiomers are mirror images of each other, atom by atom (REVIEW A3)."""

import numpy as np
import pytest
from rdkit import Chem

from skmol3d.structures import ConformerSettings, embed, read_molecule
from skmol3d.structures.conformers import embed_here
from skmol3d.structures.enantiomers import embedded_enantiomer
from skmol3d.structures.stereo import stereo_kept

PLAIN = ConformerSettings()
PAIRS = [
    ("[C@H](F)(Cl)Br", "[C@@H](F)(Cl)Br"),
    ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"),
    ("CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"),
    ("O[C@H]1CCCC[C@@H]1N", "O[C@@H]1CCCC[C@H]1N"),  # several centres
    ("C[C@H](F)C(Cl)Br", "C[C@@H](F)C(Cl)Br"),  # one of them without a mark
    ("C[C@H](O)/C=C/[C@@H](F)Cl", "C[C@@H](O)/C=C/[C@H](F)Cl"),  # a double bond stays
    ("C[C@H](F)/C=C(Cl)/[C@@H](C)F", "C[C@@H](F)/C=C(Cl)/[C@H](C)F"),
    ("C[S@](=O)c1ccccc1", "C[S@@](=O)c1ccccc1"),
    ("[2H][C@H](C)O", "[2H][C@@H](C)O"),  # a hydrogen that is no implicit one
    ("OC(=O)[C@H](O)[C@@H](O)C(=O)O", "OC(=O)[C@@H](O)[C@H](O)C(=O)O"),  # two-fold axis
]
ALONE = ["CCO", "OC(=O)[C@H](O)[C@H](O)C(=O)O", "C[C@H]1CC[C@@H](C)CC1", "F/C=C/F"]


def squared_distances(positions):
    return ((positions[:, None] - positions[None]) ** 2).sum(-1)


@pytest.mark.parametrize("pair", PAIRS)
def test_one_of_two_is_embedded_and_the_other_is_its_reflection(pair):
    molecules = [read_molecule(smiles) for smiles in pair]
    embedded = [embedded_enantiomer(molecule) for molecule in molecules]
    assert [e.places is None for e in embedded].count(True) == 1
    assert embedded[0].molecule.smiles == embedded[1].molecule.smiles == min(m.smiles for m in molecules)
    reflected, e = next((m, e) for m, e in zip(molecules, embedded, strict=True) if e.places is not None)
    np.testing.assert_array_equal(reflected.numbers, e.molecule.numbers[e.places])
    bonds = [{frozenset(bond) for bond in b.tolist()} for b in (e.places[reflected.bonds], e.molecule.bonds)]
    assert bonds[0] == bonds[1]
    found = embed(reflected, PLAIN)
    np.testing.assert_array_equal(found.positions, -embed_here(e.molecule, PLAIN).positions[:, e.places])


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("relax", ["mmff", None])
def test_reflections_have_the_stereochemistry_of_the_input(pair, relax):
    for smiles in pair:
        molecule = read_molecule(smiles)
        mol = Chem.Mol(molecule.mol)
        mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
        mol.GetConformer().SetPositions(embed(molecule, ConformerSettings(relax=relax)).positions[0])
        assert stereo_kept(mol)
        Chem.AssignStereochemistryFrom3D(mol)
        marked = {atom.GetIdx() for atom in molecule.mol.GetAtoms() if atom.GetChiralTag() != 0}
        for atom in mol.GetAtoms():  # what had no mark gets one from 3D
            if atom.GetIdx() not in marked:
                atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        assert read_molecule(Chem.MolToSmiles(Chem.RemoveHs(mol))).smiles == molecule.smiles


@pytest.mark.parametrize("smiles", ALONE)
def test_molecules_that_are_their_own_mirror_image_stay(smiles):
    molecule = read_molecule(smiles)
    assert embedded_enantiomer(molecule).places is None
    np.testing.assert_array_equal(embed(molecule, PLAIN).positions, embed_here(molecule, PLAIN).positions)


def test_brought_coordinates_are_not_reflected():
    molecule = read_molecule(max(PAIRS[1], key=lambda smiles: read_molecule(smiles).smiles))
    mol = Chem.Mol(molecule.mol)
    mol.AddConformer(Chem.Conformer(mol.GetNumAtoms()))
    mol.GetConformer().Set3D(True)
    mol.GetConformer().SetPositions(embed(molecule, PLAIN).positions[0])
    brought = read_molecule(mol)
    assert brought.smiles == molecule.smiles
    np.testing.assert_array_equal(embed(brought, PLAIN).positions, brought.coordinates)


def test_energies_and_their_order_are_the_same_for_both():
    settings = ConformerSettings(n_conformers=4, relax="mmff")
    one, other = (embed(read_molecule(smiles), settings) for smiles in PAIRS[3])
    np.testing.assert_array_equal(one.energies, other.energies)
    for a, b in zip(one.positions, other.positions, strict=True):
        np.testing.assert_allclose(np.sort(squared_distances(a), None), np.sort(squared_distances(b), None))
