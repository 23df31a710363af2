"""Molecule-aware estimator checks over every public featurizer.

scikit-learn's own `check_estimator` runs one check and stops for estimators that do not take 2D arrays.
"""

import gzip
import inspect
import pickle
import socket

import numpy as np
import pandas as pd
import polars as pl
import pytest
from ase import Atoms
from rdkit import Chem
from rdkit.Chem import AllChem
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from skmol3d.featurizers import FeaturizationError, all_featurizers, cache

SMILES = ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "CC(=O)[O-].[Na+]", "FC(F)Cl", "C#N", "C1CC1O", "CS(C)=O"]
TARGET = np.arange(len(SMILES), dtype=float)


@pytest.fixture(params=all_featurizers(), ids=lambda cls: cls.__name__)
def make(request, tiny_checkpoint, tiny_mo3enet, tiny_potential):
    """Build the featurizer with the given parameters, on a tiny random model where it needs one."""
    cls = request.param
    takes = inspect.signature(cls).parameters
    models = {
        "Mo3ENetFeaturizer": tiny_mo3enet,
        "PotentialFeaturizer": tiny_potential,
        "REM3DIFeaturizer": tiny_checkpoint,
    }
    defaults = {"model": models[cls.__name__], "device": "cpu"} if "model" in takes else {}

    def build(**params):
        cache.clear()
        return cls(**{**defaults, **params})

    build.takes = takes
    return build


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a featurizer opened a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_init_stores_parameters_untouched(make):
    marks = {name: object() for name in make.takes}
    assert make(**marks).get_params() == marks


def test_set_params_and_clone(make):
    featurizer = make(errors="nan").set_params(verbose=3)
    copy = clone(featurizer)
    assert copy is not featurizer
    assert copy.get_params() == {**featurizer.get_params(), "verbose": 3, "errors": "nan"}
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        featurizer.set_params(nonsense=1)


def test_repr_and_html(make):
    featurizer = make(errors="nan")
    assert "errors='nan'" in repr(featurizer)
    assert type(featurizer).__name__ in featurizer._repr_html_()


def test_tags(make):
    tags = get_tags(make())
    assert not tags.requires_fit
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.string


def test_fit_returns_self_and_leaves_a_generator_alone(make):
    featurizer = make()
    generator = iter(SMILES)
    assert featurizer.fit(generator) is featurizer
    np.testing.assert_array_equal(featurizer.transform(generator), make().fit_transform(SMILES))


def test_transform_without_fit(make):
    rows = make().transform(SMILES)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert len({row.tobytes() for row in rows}) == len(SMILES)
    np.testing.assert_array_equal(rows, make().fit(SMILES).transform(SMILES))


def test_pickle_is_small_and_gives_the_same_rows(make):
    featurizer = make().fit(SMILES)
    rows = featurizer.transform(SMILES)
    text = pickle.dumps(featurizer)
    assert len(text) < 2**20
    cache.clear()
    np.testing.assert_array_equal(pickle.loads(text).transform(SMILES), rows)


def test_order_and_subset(make):
    rows = make().transform(SMILES)
    order = np.random.default_rng(0).permutation(len(SMILES))
    np.testing.assert_allclose(
        make().transform([SMILES[i] for i in order]), rows[order], rtol=1e-4, atol=1e-5
    )
    for i in (0, 5):
        np.testing.assert_allclose(make().transform([SMILES[i]]), rows[[i]], rtol=1e-4, atol=1e-5)


def test_chunks_and_batches(make):
    rows = make().transform(SMILES)
    chunks = list(make().iter_transform(iter(SMILES), chunk_size=3))
    assert [len(chunk) for chunk in chunks] == [3, 3, 2]
    np.testing.assert_allclose(np.concatenate(chunks), rows, rtol=1e-4, atol=1e-5)
    if "batch_size" in make.takes:
        np.testing.assert_allclose(make(batch_size=12).transform(SMILES), rows, rtol=1e-4, atol=1e-5)


def test_inputs_are_streamed(make):
    taken = []
    chunks = make().iter_transform((taken.append(text) or text for text in SMILES), chunk_size=2)
    assert not taken
    next(chunks)
    assert len(taken) == 2


def test_smiles_spelling(make):
    molecules = [Chem.MolFromSmiles(text) for text in SMILES]
    spellings = [Chem.MolToSmiles(mol, doRandom=True, canonical=False) for mol in molecules]
    assert spellings != SMILES
    np.testing.assert_allclose(make().transform(spellings), make().transform(SMILES), rtol=1e-4, atol=1e-5)


def test_duplicates(make):
    rows = make().transform(SMILES + SMILES[::-1] + SMILES[:1])
    np.testing.assert_array_equal(rows[: len(SMILES)], rows[len(SMILES) : -1][::-1])
    np.testing.assert_array_equal(rows[0], rows[-1])


def test_n_jobs(make):
    smiles = [f"{'C' * i}{end}" for i in range(1, 21) for end in "CNOF"] * 2
    np.testing.assert_allclose(
        make(n_jobs=2).transform(smiles), make().transform(smiles), rtol=1e-4, atol=1e-5
    )


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


def test_feature_names(make):
    featurizer = make()
    names = featurizer.get_feature_names_out()
    assert len(names) == featurizer.transform(["C"]).shape[1]
    assert len(set(names)) == len(names)
    prefix = type(featurizer).__name__.removesuffix("Featurizer").lower()
    assert all(name.startswith(f"{prefix}_") for name in names)


def test_set_output(make):
    rows = make().transform(SMILES)
    series = pd.Series(SMILES, index=list("hgfedcba"), name="smiles")
    featurizer = make()
    for X in (series, series.to_frame()):
        frame = featurizer.set_output(transform="pandas").transform(X)
        assert isinstance(frame, pd.DataFrame)
        assert frame.index.equals(series.index)
        assert frame.columns.tolist() == featurizer.get_feature_names_out().tolist()
        assert set(frame.dtypes) == {np.dtype(np.float32)}
        np.testing.assert_array_equal(frame.to_numpy(), rows)
    frame = featurizer.set_output(transform="polars").fit_transform(SMILES)
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns == featurizer.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frame.to_numpy(), rows)


def test_column_transformer_keeps_rows_together(make):
    table = pd.DataFrame({"smiles": SMILES, "pH": TARGET}, index=np.arange(len(SMILES))[::-1])
    columns = ColumnTransformer([("molecule", make(), "smiles"), ("rest", "passthrough", ["pH"])])
    frame = columns.set_output(transform="pandas").fit_transform(table)
    assert frame.index.equals(table.index)
    np.testing.assert_array_equal(frame["rest__pH"], table["pH"])
    np.testing.assert_array_equal(frame.to_numpy()[:, :-1].astype(np.float32), make().transform(SMILES))


def test_pipeline_pickles_small_and_predicts_alike(make):
    pipeline = make_pipeline(make(), Ridge()).fit(SMILES, TARGET)
    text = pickle.dumps(pipeline)
    assert len(text) < 2**20
    cache.clear()
    np.testing.assert_allclose(pickle.loads(text).predict(SMILES), pipeline.predict(SMILES), rtol=1e-6)


def test_grid_search_in_two_processes(make):
    pipeline = make_pipeline(make(), Ridge())
    search = GridSearchCV(pipeline, {"ridge__alpha": [0.1, 10.0]}, cv=2, n_jobs=2).fit(SMILES, TARGET)
    alone = GridSearchCV(pipeline, {"ridge__alpha": [0.1, 10.0]}, cv=2).fit(SMILES, TARGET)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], rtol=1e-3
    )


@pytest.mark.usefixtures("no_network")
def test_no_network(make):
    assert np.isfinite(make().fit_transform(["CCO"])).all()


def test_progress_bar(make, capsys):
    make(verbose=1).transform(SMILES)
    assert f"{len(SMILES)}/{len(SMILES)}" in capsys.readouterr().err
    make().transform(SMILES)
    assert capsys.readouterr().err == ""


# --- files and salts -------------------------------------------------------------------------------------


def assert_close(rows, expected):
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-5)  # batches differ


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
