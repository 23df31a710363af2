"""Targets of examples: environments and handedness as RDKit and geometry have them; one builder for all."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors
from trainer_examples import SMILES, embedded

from skmol3d.structures import StructureError
from skmol3d.trainer.data import examples, online
from skmol3d.trainer.data.pack import pack_corpus
from skmol3d.trainer.data.shards import read_shards


def test_packed_and_online_examples_are_the_same(tmp_path):
    pd.DataFrame({"smiles": SMILES}).to_csv(tmp_path / "smiles.csv", index=False)
    pack_corpus(tmp_path / "smiles.csv", tmp_path / "out", largest=20)
    packed = read_shards(tmp_path / "out")
    built = [examples.build_example(text) for text in SMILES[1:]]  # the first is too small for a corpus
    for name in ("numbers", "positions"):
        np.testing.assert_array_equal(
            getattr(packed, name), np.concatenate([getattr(r, name) for r in built])
        )
    for name, values in packed.atom_targets.items():
        np.testing.assert_array_equal(values, np.concatenate([row.atom_targets[name] for row in built]))
    descriptors = np.stack([row.molecule_targets["descriptors"] for row in built])
    np.testing.assert_array_equal(packed.molecule_targets["descriptors"], descriptors)
    assert online.OnlineConformers.__init__.__defaults__[-1] is examples.build_example


def test_molecules_of_another_size_are_refused():
    with pytest.raises(StructureError, match="3 heavy atoms, not 4 to 5"):
        examples.build_example("CCO", heavy=(4, 5))
    assert len(examples.build_example("CCO").numbers) == 9


@pytest.mark.parametrize(
    ("smiles", "labels"),
    [
        ("C[C@H](N)C(=O)O", {1: -1}),  # L-alanine is S
        ("C[C@@H](N)C(=O)O", {1: 1}),
        ("F[C@](Cl)(Br)[C@@H](O)C", None),
    ],
)
def test_handedness_follows_the_geometry(smiles, labels):
    mol, positions = embedded(smiles)
    found = examples.handedness(mol, positions)
    centres = dict(Chem.FindMolChiralCenters(mol))
    expected = {k: {"R": 1, "S": -1}[c] for k, c in centres.items()} if labels is None else labels
    assert {k: v for k, v in enumerate(found.tolist()) if v} == expected
    np.testing.assert_array_equal(examples.handedness(mol, positions * [1, 1, -1]), -found)
    # What the SMILES says does not count.
    Chem.RemoveStereochemistry(mol)
    np.testing.assert_array_equal(examples.handedness(mol, positions), found)


@pytest.mark.parametrize("smiles", ["CCO", "c1ccccc1", "OC(C)(C)C", "C[C@H](O)[C@H](O)C"])
def test_handedness_of_a_molecule_without_a_hand(smiles):
    mol, positions = embedded(smiles)
    found = examples.handedness(mol, positions)
    # A meso compound has one centre of each hand.
    assert found.sum() == 0
    assert np.abs(found).sum() == (2 if "@" in smiles else 0)


def test_descriptors():
    mol = Chem.AddHs(Chem.MolFromSmiles("CC(=O)Nc1ccc(O)cc1"))
    values = dict(zip(examples.DESCRIPTORS, examples.molecular_descriptors(mol).tolist(), strict=True))
    assert values["MolWt"] == pytest.approx(151.16, abs=0.01)
    assert values["HeavyAtomCount"] == 11
    assert values["TPSA"] == pytest.approx(Descriptors.TPSA(Chem.MolFromSmiles("CC(=O)Nc1ccc(O)cc1")))
