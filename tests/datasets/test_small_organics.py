"""The shipped table: what it holds, and that its script makes it."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from skmol3d.benchmark.experiments import make_small_organics as maker
from skmol3d.datasets import load_small_organics


@pytest.fixture(scope="module")
def table():
    return load_small_organics().frame


def test_smiles_are_canonical_unique_small_and_neutral(table):
    assert len(table) == 2000
    assert table["smiles"].is_unique
    for smiles in table["smiles"]:
        mol = Chem.MolFromSmiles(smiles)
        assert Chem.MolToSmiles(mol) == smiles
        assert mol.GetNumHeavyAtoms() <= 14
        assert Chem.GetFormalCharge(mol) == 0
        assert "." not in smiles
        assert {atom.GetSymbol() for atom in mol.GetAtoms()} <= {"H", "C", "N", "O", "F", "S", "Cl", "Br"}


def test_values_are_physical(table):
    assert np.isfinite(table[["homo", "lumo", "gap", "dipole"]].to_numpy()).all()
    np.testing.assert_allclose(table["gap"], table["lumo"] - table["homo"], atol=1.01e-4)
    assert table["homo"].between(-15, -7).all()
    assert table["gap"].between(0.3, 16).all()
    assert table["dipole"].between(0, 15).all()


def test_known_chemistry(table):
    rows = table.set_index("smiles")
    # Conjugation closes the gap; these have no dipole by symmetry.
    assert rows.loc["c1ccc2ccccc2c1", "gap"] < rows.loc["c1ccccc1", "gap"] < rows.loc["C1CCCCC1", "gap"]
    assert (rows.loc[["c1ccccc1", "C1CCCCC1", "CC"], "dipole"] < 0.01).all()


def test_enantiomers_come_in_pairs_with_equal_labels(table):
    rows = table.set_index("smiles")
    mirrors = {smiles: maker.mirror_image(smiles) for smiles in table["smiles"]}
    twins = {
        smiles: mirror for smiles, mirror in mirrors.items() if mirror != smiles and mirror in rows.index
    }
    assert len(twins) == 2 * maker.ENANTIOMER_PAIRS
    for smiles, mirror in twins.items():
        assert rows.loc[smiles].equals(rows.loc[mirror])
    # Many more chiral molecules stand alone.
    assert sum(mirror != smiles for smiles, mirror in mirrors.items()) > 300


def test_load():
    bunch = load_small_organics(target="dipole")
    assert (bunch.target_name, bunch.unit, bunch.split) == ("dipole", "Debye", None)
    np.testing.assert_array_equal(bunch.target, bunch.frame["dipole"])
    assert "GFN2-xTB" in bunch.DESCR
    X, y = load_small_organics(return_X_y=True)
    assert X.tolist() == bunch.data.tolist()
    np.testing.assert_array_equal(y, bunch.frame["gap"])
    assert isinstance(load_small_organics(return_X_y=True, as_frame=True)[1], pd.Series)
    with pytest.raises(ValueError, match="unknown target 'energy', choose from homo, lumo, gap, dipole"):
        load_small_organics(target="energy")
