"""A library gets the predictions of a fitted model, or the best of them."""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmol3d import ECFPFeaturizer, SkipFailures
from skmol3d.distributed import predict_library

GOOD = [i for i in range(30) if i not in (5, 23)]


@pytest.fixture
def predict(client, folder, table):
    """Fit a model to the good molecules, dump it, and predict with it for the library."""

    def predict(model, y=None, library="library", output="out", **settings):
        smiles = table.smiles[GOOD].tolist()
        model.fit(smiles, [len(text) for text in smiles] if y is None else [y(text) for text in smiles])
        joblib.dump(model, "model.joblib")
        done = predict_library(
            library, output, "model.joblib", **{"scheduler": client, "partition_size": 5, **settings}
        )
        return done, pd.read_parquet(output)

    return predict


def ridge(**settings):
    return make_pipeline(ECFPFeaturizer(n_bits=64, count=True, **settings), Ridge())


def raising():
    return ridge()


def with_nan():
    return make_pipeline(ECFPFeaturizer(n_bits=64, errors="nan"), HistGradientBoostingRegressor(max_iter=3))


def skipping():
    return SkipFailures(ridge(errors="nan"))


def searched():
    return GridSearchCV(ridge(), {"ridge__alpha": [0.1, 1.0]}, cv=2)


@pytest.mark.parametrize("make", [raising, with_nan, skipping, searched])
def test_predictions_are_those_of_the_model_and_failures_have_reasons(make, predict, table):
    done, found = predict(model := make())
    assert list(found) == ["id", "smiles", "plate", "pki", "prediction"]
    assert found["id"].tolist() == table["id"].tolist()
    values = np.asarray(model.predict(table.smiles[GOOD].tolist()), float)
    np.testing.assert_allclose(found["prediction"][GOOD], values, rtol=1e-6)
    assert found["prediction"][[5, 23]].isna().all()
    failures = pd.read_csv(done.failures)
    assert failures["id"].tolist() == ["m5", "m23"]
    assert failures["reason"].str.contains("not a valid SMILES").all()


@pytest.mark.parametrize("lowest", [False, True])
def test_the_best_of_the_whole_library_are_kept(lowest, predict, folder):
    _, every = predict(ridge(), output="all")
    done, best = predict(ridge(), top=7, lowest=lowest)
    order = every.dropna(subset="prediction").sort_values("prediction", ascending=lowest, kind="stable")
    pd.testing.assert_frame_equal(best, order[:7].reset_index(drop=True), check_dtype=False)
    assert (done.molecules, done.failed) == (30, 2)
    assert [path.name for path in (folder / "out").glob("[!_]*")] == ["top.parquet"]
    _, few = predict(ridge(), output="few", top=100)
    assert len(few) == 28


def test_a_classifier_gives_classes_and_probabilities(predict, table):
    forest = make_pipeline(ECFPFeaturizer(n_bits=64), RandomForestClassifier(5, random_state=0))
    _, found = predict(forest, y=lambda text: "alcohol" if "O" in text else "amine")
    assert list(found)[4:] == ["prediction", "probability_alcohol", "probability_amine"]
    assert found["prediction"][0] == "amine"
    _, best = predict(forest, y=lambda text: "alcohol" if "O" in text else "amine", output="top", top=3)
    assert best["probability_amine"].tolist() == sorted(found["probability_amine"].dropna())[:-4:-1]
    with pytest.raises(ValueError, match="no column 'amine'; there are: prediction, probability_N,"):
        predict(forest, y=lambda text: text[-1], output="other", top=3, by="amine")
    with pytest.raises(ValueError, match="by: 'prediction' holds texts, of which none is best"):
        predict(forest, y=lambda text: text[-1], output="other", top=3, by="prediction")


def test_of_several_targets_the_one_to_choose_by_is_named(predict):
    _, found = predict(ridge(), y=lambda text: [len(text), 1.0])
    assert list(found)[4:] == ["prediction_0", "prediction_1"]
    with pytest.raises(ValueError, match="name the column to choose by, of: prediction_0, prediction_1"):
        predict(ridge(), y=lambda text: [len(text), 1.0], output="top", top=3)
    _, best = predict(ridge(), y=lambda text: [len(text), 1.0], output="top", top=3, by="prediction_0")
    assert best["prediction_0"].is_monotonic_decreasing


def test_another_model_or_choice_is_another_run(predict):
    predict(ridge(), top=3)
    with pytest.raises(ValueError, match="made with another model;"):
        predict(ridge(radius=1), top=3)
    with pytest.raises(ValueError, match="made with another top;"):
        predict(ridge(), top=4)


def test_what_is_no_model_is_said(client, folder):
    with pytest.raises(FileNotFoundError, match=r"missing.joblib"):
        predict_library("library", "out", "missing.joblib", scheduler=client)
    joblib.dump(ridge().fit(["CCO", "CC"], [1, 2]), "model.joblib")
    with pytest.raises(TypeError, match="top must be an integer"):
        predict_library("library", "out", "model.joblib", scheduler=client, top=1.5)


@pytest.mark.parametrize("settings", [{"by": "prediction"}, {"lowest": True}])
def test_what_says_which_are_the_best_needs_a_number_of_them(settings, predict):
    with pytest.raises(ValueError, match="give top, which says how many"):
        predict(ridge(), **settings)
