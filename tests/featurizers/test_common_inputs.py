"""What every public featurizer of molecules takes, and what it refuses."""

import gzip
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from ase import Atoms
from rdkit import Chem
from rdkit.Chem import AllChem

from skmol3d.featurizers import FeaturizationError

SMILES = ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "CC(=O)[O-].[Na+]", "FC(F)Cl", "C#N", "C1CC1O", "CS(C)=O"]


def test_inputs_are_streamed(make):
    taken = []
    chunks = make().iter_transform((taken.append(text) or text for text in SMILES), chunk_size=2)
    assert not taken
    next(chunks)
    assert len(taken) == 2


def _without_coordinates(smiles):
    index = np.arange(len(smiles))[::-1] * 7
    mols = [Chem.MolFromSmiles(text) for text in smiles]
    return {
        "list": smiles,
        "tuple": tuple(smiles),
        "array": np.array(smiles),
        "object array": np.array(smiles, dtype=object),
        "column array": np.array(smiles)[:, None],
        "series": pd.Series(smiles, index=index),
        "string series": pd.Series(smiles, index=index, dtype="string"),
        "frame": pd.DataFrame({"smiles": smiles}, index=index),
        "polars series": pl.Series(smiles),
        "polars frame": pl.DataFrame({"smiles": smiles}),
        "generator": (text for text in smiles),
        "mols": mols,
        "mol series": pd.Series(mols, index=index),
        "inchi": [Chem.MolToInchi(mol) for mol in mols],
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(_without_coordinates(["C"])))
def test_every_container(make, kind):
    smiles = ["CCO", "c1ccccc1", "C[C@H](N)CO"]
    rows = make().fit_transform(_without_coordinates(smiles)[kind])
    np.testing.assert_allclose(rows, make().transform(smiles), rtol=1e-4, atol=1e-5)


def test_structure_files(make, tmp_path):
    mols = [Chem.AddHs(Chem.MolFromSmiles(text)) for text in ("CCO", "C[C@H](N)CO")]
    writer = Chem.SDWriter(str(tmp_path / "both.sdf"))
    for i, mol in enumerate(mols):
        AllChem.EmbedMolecule(mol, randomSeed=1)
        writer.write(mol)
        Chem.MolToMolFile(mol, str(tmp_path / f"{i}.mol"))
    writer.close()
    rows = make().transform(tmp_path / "both.sdf")
    np.testing.assert_allclose(make().transform(str(tmp_path / "both.sdf")), rows, rtol=1e-4, atol=1e-5)
    paths = [tmp_path / "0.mol", str(tmp_path / "1.mol")]
    np.testing.assert_allclose(make().transform(paths), rows, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(make().transform(mols), rows, rtol=1e-3, atol=1e-3)  # files round to 1e-4 Å


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (None, TypeError, "None"),
        ([], ValueError, "empty"),
        (pd.Series([], dtype=object), ValueError, "empty"),
        (iter(()), ValueError, "empty"),
        ("CCO", TypeError, "list"),
        (Chem.MolFromSmiles("C"), TypeError, "list"),
        (3, TypeError, "int"),
        (pd.DataFrame({"a": ["C"], "b": ["C"]}), TypeError, "columns"),
    ],
    ids=["None", "[]", "empty series", "empty generator", "string", "mol", "int", "two columns"],
)
def test_not_a_collection_of_molecules(make, X, error, message):
    with pytest.raises(error, match=message):
        make().transform(X)


BAD = ["CCO", "C(", None, "c1ccccc1", "", float("nan"), "*C", "CC"]


def test_errors_raise_names_all_failures(make):
    featurizer = make()
    with pytest.raises(FeaturizationError, match="5 of 8 molecules") as caught:
        featurizer.transform(BAD)
    assert [failure.index for failure in caught.value.failures] == [1, 2, 4, 5, 6]
    text = str(caught.value)
    for failure in caught.value.failures:
        assert f"[{failure.index}] {failure.input}: {failure.reason}" in text
    # Raised in a worker process, it must come through.
    assert str(pickle.loads(pickle.dumps(caught.value))) == text


def test_errors_raise_shows_ten(make):
    with pytest.raises(FeaturizationError, match="and 20 more") as caught:
        make().transform(["C("] * 30)
    assert len(caught.value.failures) == 30
    assert str(caught.value).count("C(") == 20  # ten lines: the input, and the reason that quotes it


def test_errors_nan_keeps_rows(make):
    featurizer = make(errors="nan")
    rows = featurizer.transform(BAD)
    failed = [1, 2, 4, 5, 6]
    assert np.isnan(rows[failed]).all()
    good = np.delete(np.arange(len(BAD)), failed)
    np.testing.assert_allclose(rows[good], make().transform([BAD[i] for i in good]), rtol=1e-4, atol=1e-5)
    assert list(featurizer.failures_.columns) == ["index", "input", "reason"]
    assert featurizer.failures_["index"].tolist() == failed
    assert featurizer.failures_["reason"].str.len().gt(5).all()
    featurizer.transform(["CC"])
    assert featurizer.failures_.empty
    assert list(featurizer.failures_.columns) == ["index", "input", "reason"]


def test_broken_objects_are_reported(make):
    named = Chem.MolFromSmiles("C*")
    named.SetProp("_Name", "CHEMBL25")
    featurizer = make(errors="nan")
    # ASE can neither print the formula of this element nor do much else with it.
    assert np.isnan(featurizer.transform([named, Atoms([200], [[0, 0, 0]]), "C" * 1000 + "("])).all()
    inputs = featurizer.failures_["input"]
    assert inputs[:2].tolist() == ["<Mol 'CHEMBL25' of 2 atoms>", "<Atoms>"]
    assert len(inputs[2]) == 80


def test_failure_positions_across_chunks(make):
    featurizer = make(errors="nan")
    chunks = list(featurizer.iter_transform(["C", "C(", "CC", "CCC", None, "CO"], chunk_size=2))
    assert [np.isnan(chunk).all(axis=1).tolist() for chunk in chunks] == [
        [False, True],
        [False, False],
        [True, False],
    ]
    assert featurizer.failures_["index"].tolist() == [1, 4]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"errors": "ignore"}, ValueError),
        ({"n_jobs": 0}, ValueError),
        ({"n_jobs": "two"}, TypeError),
    ],
)
def test_invalid_parameters_are_named(make, params, error):
    featurizer = make(**params)
    for use in (featurizer.fit, featurizer.transform):
        with pytest.raises(error, match=next(iter(params))):
            use(["C"])


def assert_close(rows, expected):
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-5)  # batches differ


@pytest.mark.slow
def test_files_and_suppliers_give_the_rows_of_their_molecules(make, tmp_path):
    with Chem.SDWriter(str(tmp_path / "in.sdf")) as writer:
        for smiles in SMILES:
            writer.write(Chem.MolFromSmiles(smiles))
    (tmp_path / "in.sdf.gz").write_bytes(gzip.compress((tmp_path / "in.sdf").read_bytes()))
    (tmp_path / "in.csv").write_text("\n".join(["id,SMILES", *(f"{i},{s}" for i, s in enumerate(SMILES))]))
    expected = make().fit_transform(SMILES)
    sources = [str(tmp_path / name) for name in ("in.sdf", "in.sdf.gz", "in.csv")]
    for X in [*sources, Chem.SDMolSupplier(sources[0]), Chem.ForwardSDMolSupplier(sources[0])]:
        assert_close(make().fit_transform(X), expected)
    supplier = Chem.SDMolSupplier(sources[0])
    chunks = list(make().iter_transform(supplier, chunk_size=3))
    assert [len(chunk) for chunk in chunks] == [3, 3, 2]
    assert_close(np.concatenate(chunks), expected)
    assert_close(make().transform(supplier), expected)  # once more from its beginning


def test_a_supplier_that_ends_badly_gives_a_row_for_each_record(make, tmp_path):
    path = tmp_path / "in.sdf"
    path.write_text(Chem.MolToMolBlock(Chem.MolFromSmiles("CCO")) + "$$$$\nbroken\n$$$$\n")
    featurizer = make(errors="nan")
    rows = featurizer.transform(Chem.SDMolSupplier(str(path)))
    assert np.isnan(rows).all(axis=1).tolist() == [False, True]
    assert featurizer.failures_["index"].tolist() == [1]


def test_crystals_and_unknown_files_are_named(make):
    with pytest.raises(ValueError, match=r"x\.cif\.gz: unknown file type; crystals are read by"):
        make().transform("x.cif.gz")
    featurizer = make(errors="nan")
    featurizer.transform(["CCO", "x.cif"])
    assert "CrystalFeaturizer" in featurizer.failures_["reason"][0]


def test_salts_are_standardised_alike(make):
    acid, salt = "CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Oc1ccccc1C(=O)[O-]"
    drawn = [acid, salt, f"{salt}.[Na+]", "CC(=O)Oc1ccccc1C(=O)O[Na]"]
    rows = make().fit_transform(drawn)
    assert (rows[0] != rows[1]).any()
    assert_close(rows[2:], rows[[1, 1]])
    assert_close(make(standardise="neutral").fit_transform(drawn), rows[[0] * 4])
    as_drawn = make(standardise=None, errors="nan").fit_transform(drawn)
    assert_close(as_drawn[:2], rows[:2])
    assert not np.array_equal(as_drawn[2], rows[2])  # more bits, or no geometry
    featurizer = make(errors="nan")
    featurizer.fit_transform(["CCO", "[Na+].[Cl-]"])
    assert featurizer.failures_["reason"].tolist() == ["no organic parent: [Cl-], [Na+]"]
    with pytest.raises(ValueError, match="standardise must be one of 'parent', 'neutral', None; got True"):
        make(standardise=True).fit(drawn)
