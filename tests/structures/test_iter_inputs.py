"""Collections of every kind become the same stream."""

import ase
import numpy as np
import pandas as pd
import polars as pl
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from skmol3d.structures import StructureError, iter_inputs, read_molecule

SMILES = ["CCO", "C1CC", "c1ccccc1"]


@pytest.mark.parametrize(
    "X",
    [
        SMILES,
        tuple(SMILES),
        np.array(SMILES),
        np.array(SMILES, dtype=object),
        np.array(SMILES).reshape(-1, 1),
        pd.Series(SMILES),
        pd.Series(SMILES, index=[7, 0, 7]),
        pd.Series(SMILES, dtype="category"),
        pd.DataFrame({"smiles": SMILES}, index=["c", "a", "b"]),
        pl.Series(SMILES),
        pl.DataFrame({"smiles": SMILES}),
        (smiles for smiles in SMILES),
        iter(SMILES),
    ],
    ids=lambda X: f"{type(X).__module__}.{type(X).__name__}",
)
def test_collections(X):
    assert [str(value) for value in iter_inputs(X)] == SMILES


def test_generators_are_consumed_lazily():
    def endless():
        while True:
            yield "CCO"

    stream = iter_inputs(endless())
    assert [next(stream), next(stream)] == ["CCO", "CCO"]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("CCO", r"single string 'CCO'; pass a list"),
        (Chem.MolFromSmiles("C"), "single Mol"),
        (ase.Atoms("OH"), "single Atoms"),
        (np.array("CCO"), "shape"),
        (np.array([["C", "O"]]), "shape"),
        (pd.DataFrame({"a": ["C"], "b": ["O"]}), "2 columns"),
        (pl.DataFrame({"a": ["C"], "b": ["O"]}), "2 columns"),
        ({"C": 1}, "dict"),
        ({"C"}, "set"),
        (b"CCO", "bytes"),
        (None, "NoneType"),
        (5, "int"),
    ],
)
def test_what_is_no_collection(X, message):
    with pytest.raises(TypeError, match=message):
        iter_inputs(X)


def test_sdf_records_keep_their_places(tmp_path):
    mol = Chem.AddHs(Chem.MolFromSmiles("CCO"))
    AllChem.EmbedMolecule(mol, randomSeed=1)
    block = Chem.MolToMolBlock(mol)
    path = tmp_path / "many.sdf"
    flat = Chem.MolToMolBlock(Chem.MolFromSmiles("C"))
    path.write_text(f"{block}> <name>\nethanol\n\n$$$$\nbroken\n$$$$\n{flat}$$$$\n")
    for X in (path, str(path)):
        first, second, third = iter_inputs(X)
        assert read_molecule(first).coordinates.shape == (1, 9, 3)
        with pytest.raises(StructureError, match="not a valid record"):
            read_molecule(second)
        assert read_molecule(third).key == read_molecule("C").key


def test_xyz_frames(tmp_path):
    path = tmp_path / "frames.xyz"
    path.write_text("1\ncharge=2\nHe 0 0 0\n2\n\nH 0 0 0\nH 0 0 0.74\n3\n\nO 0 0 0\n")
    first, second, third = iter_inputs(path)
    assert read_molecule(first).charge == 2
    assert sorted(read_molecule(second).bonds[0].tolist()) == [0, 1]
    assert isinstance(third, StructureError)


def test_a_missing_file_is_missed_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        iter_inputs(tmp_path / "no.sdf")
