"""How the shipped table was made."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from skmol3d.benchmark.experiments import make_small_organics as maker
from skmol3d.datasets import load_small_organics


@pytest.fixture(scope="module")
def table():
    return load_small_organics().frame


# Rigid molecules: another RDKit may find the conformers of a floppy one in another order.
@pytest.mark.parametrize("smiles", ["c1ccc2ccccc2c1", "c1ccoc1", "C1CC1"])
def test_labels_can_be_recomputed(table, smiles):
    row = table.set_index("smiles").loc[smiles]
    np.testing.assert_allclose(maker.label(smiles), row[["homo", "lumo", "gap", "dipole"]], atol=0.01)


def test_label_does_not_know_left_from_right():
    np.testing.assert_allclose(maker.label("C[C@H]1CO1"), maker.label("C[C@@H]1CO1"), atol=0.01)


def test_rules():
    benzene, pyrrole = Chem.MolFromSmiles("c1ccccc1"), Chem.MolFromSmiles("c1cc[nH]c1")
    nitro = Chem.MolFromSmiles("[N+](=O)[O-]")
    assert Chem.MolToSmiles(maker.attach(benzene, 0, nitro)) == "O=[N+]([O-])c1ccccc1"
    assert Chem.MolToSmiles(maker.attach(pyrrole, 3, Chem.MolFromSmiles("C"))) == "Cn1cccc1"
    for smiles in ("CC(N)O", "NN", "COO", "C=C(C)O", "CC(=O)Cl", "CN(C)Cl", "ClCCl", "CC(=O)C#N"):
        molecule = Chem.MolFromSmiles(smiles)
        assert any(map(molecule.HasSubstructMatch, maker.UNSTABLE)), smiles
    for smiles in (
        "CC(F)(F)F",
        "CS(N)(=O)=O",
        "C[N+](=O)[O-]",
        "Oc1ccccc1",
        "NC=O",
        "OC=O",
        "C1OCCO1",
        "CC#N",
    ):
        molecule = Chem.MolFromSmiles(smiles)
        assert not any(map(molecule.HasSubstructMatch, maker.UNSTABLE)), smiles


def test_mirror_image():
    assert maker.mirror_image("C[C@H](N)C(=O)O") == Chem.CanonSmiles("C[C@@H](N)C(=O)O")
    assert maker.mirror_image("CCO") == "CCO"
    meso = Chem.CanonSmiles("O[C@H]1CC[C@@H](O)C1")
    assert maker.mirror_image(meso) == meso


def test_main_writes_a_table(tmp_path, monkeypatch):
    molecules = ["C1CC1", "C[C@H]1CO1", "C[C@@H]1CO1", "CC", "c1ccoc1"]
    monkeypatch.setattr(maker, "enumerate_molecules", lambda: molecules)
    maker.main([str(tmp_path / "out.csv"), "--rows", "4"])
    made = pd.read_csv(tmp_path / "out.csv")
    assert made["smiles"].tolist() == molecules[:4]
    assert made.columns.tolist() == ["smiles", "homo", "lumo", "gap", "dipole"]
    with pytest.raises(SystemExit, match="the rules gave 5 molecules, 6 were asked for"):
        maker.main([str(tmp_path / "more.csv"), "--rows", "6"])
    assert not (tmp_path / "more.csv").exists()
