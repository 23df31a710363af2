"""Collections of every kind become the same stream."""

from itertools import islice

import ase
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
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
        pa.table({"smiles": SMILES}),
        pa.chunked_array([SMILES[:1], SMILES[1:]]),
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
        (pa.table({"a": ["C"], "b": ["O"]}), "2 columns"),
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
        with pytest.raises(StructureError, match=r"many\.sdf, line 27: not a valid MOL block"):
            read_molecule(second)
        assert read_molecule(third).key == read_molecule("C").key


def test_xyz_frames(tmp_path):
    path = tmp_path / "frames.xyz"
    path.write_text("1\ncharge=2\nHe 0 0 0\n2\n\nH 0 0 0\nH 0 0 0.74\n3\n\nO 0 0 0\n")
    first, second, third = iter_inputs(path)
    assert read_molecule(first).charge == 2
    assert sorted(read_molecule(second).bonds[0].tolist()) == [0, 1]
    assert isinstance(third, StructureError)


@pytest.mark.parametrize("kind", [Chem.SDMolSupplier, Chem.ForwardSDMolSupplier])
def test_suppliers_of_rdkit_are_read_once_and_give_their_reasons(kind, tmp_path, capfd):
    path = tmp_path / "many.sdf"
    block = Chem.MolToMolBlock(Chem.MolFromSmiles("CCO"))
    path.write_text(f"{block}$$$$\n{block.replace('V2000', 'V9000')}$$$$\n{block}$$$$\nbroken\n$$$$\n")
    values = iter_inputs(kind(str(path)))
    # As chunks are taken: at its end a supplier begins again.
    chunks = [list(islice(values, 2)) for _ in range(5)]
    assert [len(chunk) for chunk in chunks] == [2, 2, 0, 0, 0]
    (first, second), (third, last) = chunks[:2]
    assert read_molecule(first).key == read_molecule(third).key
    assert "record 1 of the supplier: Unsupported CTAB version: 'V9000'" in str(second)
    assert "record 3 of the supplier" in str(last)
    assert capfd.readouterr().err == ""


def test_other_types_of_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"x\.pdf: unknown file type; expected \.smi, \.csv"):
        iter_inputs(tmp_path / "x.pdf")
    for name in ("x.cif", "x.cif.gz"):
        with pytest.raises(ValueError, match="crystals are read by CrystalFeaturizer"):
            iter_inputs(name)


def test_a_missing_file_is_missed_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        iter_inputs(tmp_path / "no.sdf")
