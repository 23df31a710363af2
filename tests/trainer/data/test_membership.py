"""Atoms of substructures, against RDKit's fragments."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import Fragments
from trainer_examples import ASPIRIN, DRUGS

from skmol3d.trainer.data.membership import substructure_membership
from skmol3d.trainer.data.substructures import read_substructures

LIST = read_substructures()


COLUMN = {s.name: k for k, s in enumerate(LIST)}


def test_atoms_of_aspirin():
    found = substructure_membership(Chem.MolFromSmiles(ASPIRIN))
    ring = set(range(4, 10))
    expected = {
        "methyl": {0},
        "ester": {0, 1, 2, 3, 4} - {0},
        "benzene": ring,
        "carboxylic_acid": {10, 11, 12},
        "aryl_carboxyl": {9, 10, 11, 12},
        "hbond_acceptor_carbonyl": {2, 11},
        "benzene_ortho_disubstituted": ring | {3, 10},
        "amide": set(),
        "alcohol": set(),
        "phenol": set(),
    }
    assert {name: set(np.flatnonzero(found[:, COLUMN[name]])) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("nitrile", "fr_nitrile"),
        ("nitroarene", "fr_nitro_arom"),
        ("sulfonamide", "fr_sulfonamd"),
        ("urea", "fr_urea"),
        ("morpholine", "fr_morpholine"),
        ("furan", "fr_furan"),
        ("thiazole", "fr_thiazole"),
        ("pyridine", "fr_pyridine"),
        ("nh_azole", "fr_Nhpyrrole"),
        ("imide", "fr_imide"),
        ("methoxy", "fr_methoxy"),
        ("amide", "fr_amide"),
        ("benzene", "fr_benzene"),
    ],
)
def test_agrees_with_rdkit_on_what_molecules_have(name, fragment):
    mols = [Chem.MolFromSmiles(s) for s in DRUGS]
    has = [bool(substructure_membership(mol)[:, COLUMN[name]].any()) for mol in mols]
    assert has == [getattr(Fragments, fragment)(mol) > 0 for mol in mols]
    assert any(has)
    assert not all(has)


@pytest.mark.parametrize("smiles", [*DRUGS, "[2H]C([2H])O", "[H][H]", "[H+]"])
def test_hydrogens_belong_to_nothing_and_change_nothing(smiles):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    order = np.random.default_rng(0).permutation(mol.GetNumAtoms())
    found = substructure_membership(mol)
    shuffled = substructure_membership(Chem.RenumberAtoms(mol, order.tolist()))
    np.testing.assert_array_equal(shuffled, found[order])
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    bare = Chem.RemoveAllHs(mol) if heavy else mol
    np.testing.assert_array_equal(found[heavy], substructure_membership(bare)[: len(heavy)])
    assert not np.delete(found, heavy, 0).any()
