"""Molecule-aware estimator checks over every public featurizer.

scikit-learn's own `check_estimator` runs one check and stops for estimators that do not take 2D arrays.
"""

import pickle
import socket

import numpy as np
import pandas as pd
import polars as pl
import pytest
from rdkit import Chem
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from skmol3d.featurizers import ECFPFeaturizer, cache

SMILES = ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "CC(=O)[O-].[Na+]", "FC(F)Cl", "C#N", "C1CC1O", "CS(C)=O"]
TARGET = np.arange(len(SMILES), dtype=float)


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


def test_columns_said_to_be_whole_numbers_are(make):
    for settings in ({}, {"n_conformers": 2}):
        if not settings or "n_conformers" in make.takes:
            featurizer = make(**settings)
            rows = featurizer.transform(SMILES)
            whole = featurizer.integer_columns()
            assert whole.shape == rows.shape[1:]
            assert (rows[:, whole] == rows[:, whole].round()).all()
    assert make().integer_columns().any() == isinstance(make(), ECFPFeaturizer)


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


def test_smiles_spelling(make):
    molecules = [Chem.MolFromSmiles(text) for text in SMILES]
    spellings = [Chem.MolToSmiles(mol, doRandom=True, canonical=False) for mol in molecules]
    assert spellings != SMILES
    np.testing.assert_allclose(make().transform(spellings), make().transform(SMILES), rtol=1e-4, atol=1e-5)


def test_duplicates(make):
    rows = make().transform(SMILES + SMILES[::-1] + SMILES[:1])
    np.testing.assert_array_equal(rows[: len(SMILES)], rows[len(SMILES) : -1][::-1])
    np.testing.assert_array_equal(rows[0], rows[-1])


@pytest.mark.slow
def test_n_jobs(make):
    smiles = [f"{'C' * i}{end}" for i in range(1, 21) for end in "CNOF"] * 2
    np.testing.assert_allclose(
        make(n_jobs=2).transform(smiles), make().transform(smiles), rtol=1e-4, atol=1e-5
    )


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
