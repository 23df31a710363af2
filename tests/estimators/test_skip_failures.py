"""Failed molecules are left out of fits and scores, and keep their places in predictions (REVIEW B2)."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from failing_examples import CLASSES, FAILED, GOOD, IN_SCORE, SMILES, TARGET, ecfp
from sklearn.base import BaseEstimator, RegressorMixin, clone, is_classifier, is_regressor
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    cross_val_predict,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmol3d import ECFPFeaturizer, REM3DIFeaturizer, SkipFailures
from skmol3d.featurizers import FeaturizationError

WRAPPED = [Ridge(), LogisticRegression(), make_pipeline(StandardScaler(), Ridge())]


@pytest.mark.slow
@parametrize_with_checks([SkipFailures(estimator) for estimator in WRAPPED])
@pytest.mark.filterwarnings("default")  # as scikit-learn's own: some checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_a_pipeline_is_fitted_without_the_failures():
    model = SkipFailures(ecfp(RidgeCV())).fit(SMILES, TARGET)
    alone = ecfp(RidgeCV()).fit(GOOD, TARGET[~FAILED])
    assert model.failures_["index"].tolist() == [1, 5, 11]
    np.testing.assert_array_equal(model.estimator_["ridgecv"].coef_, alone["ridgecv"].coef_)
    predicted = model.predict(SMILES)
    assert predicted.dtype == alone.predict(GOOD).dtype
    np.testing.assert_array_equal(np.isnan(predicted), FAILED)
    np.testing.assert_array_equal(predicted[~FAILED], alone.predict(GOOD))
    model.predict(["CCO", "C(C"])
    assert model.failures_["input"].tolist() == ["'C(C'"]


def test_rem3di_rows(tiny_checkpoint):
    featurizer = REM3DIFeaturizer(model=tiny_checkpoint, device="cpu", errors="nan")
    pipeline = make_pipeline(featurizer, StandardScaler(), RidgeCV())
    predicted = SkipFailures(pipeline).fit(SMILES, TARGET).predict(SMILES)
    alone = clone(pipeline).fit(GOOD, TARGET[~FAILED])
    np.testing.assert_array_equal(np.isnan(predicted), FAILED)
    np.testing.assert_allclose(predicted[~FAILED], alone.predict(GOOD), rtol=1e-4)


@pytest.mark.parametrize(
    "rows",
    [
        ECFPFeaturizer(n_bits=64, errors="nan"),
        ECFPFeaturizer(n_bits=64, errors="nan", sparse_output=True),
        ECFPFeaturizer(n_bits=64, errors="nan").set_output(transform="pandas"),
        ECFPFeaturizer(n_bits=64, errors="nan").set_output(transform="polars"),
    ],
    ids=["array", "sparse", "pandas", "polars"],
)
def test_as_the_last_step_of_a_pipeline(rows):
    model = make_pipeline(rows, SkipFailures(Ridge())).fit(SMILES, TARGET)
    np.testing.assert_array_equal(np.isnan(model.predict(SMILES)), FAILED)
    alone = make_pipeline(rows, Ridge()).fit(GOOD, TARGET[~FAILED])
    np.testing.assert_allclose(model.predict(GOOD), alone.predict(GOOD), rtol=1e-6)
    assert model[0].failures_.empty


@pytest.mark.parametrize("container", [list, pd.Series, np.array, pl.Series], ids=lambda kind: str(kind))
def test_targets_in_any_container(container):
    y = container(TARGET)
    model = SkipFailures(ecfp(Ridge())).fit(pd.Series(SMILES, index=range(12, 0, -1)), y)
    np.testing.assert_allclose(
        model.predict(GOOD), ecfp(Ridge()).fit(GOOD, TARGET[~FAILED]).predict(GOOD), rtol=1e-6
    )


def test_a_generator_of_molecules_is_read_once():
    model = SkipFailures(ecfp(Ridge())).fit(iter(SMILES), TARGET)
    np.testing.assert_array_equal(model.predict(iter(SMILES)), model.predict(SMILES))


@pytest.mark.parametrize("scaled", [False, True])
def test_columns_beside_the_molecule(scaled):
    """A molecule that failed has a pH all the same."""
    molecules = ECFPFeaturizer(errors="nan")
    if scaled:
        molecules = make_pipeline(molecules, StandardScaler())
    table = pd.DataFrame({"smiles": SMILES, "pH": TARGET})
    columns = ColumnTransformer([("ecfp", molecules, "smiles"), ("rest", "passthrough", ["pH"])])
    model = SkipFailures(make_pipeline(columns, Ridge())).fit(table, TARGET)
    np.testing.assert_array_equal(np.isnan(model.predict(table)), FAILED)
    assert model.failures_["index"].tolist() == np.flatnonzero(FAILED).tolist()


def test_a_molecule_that_one_of_two_featurizers_failed_on(tiny_checkpoint):
    both = make_union(
        ECFPFeaturizer(errors="nan"), REM3DIFeaturizer(model=tiny_checkpoint, device="cpu", errors="nan")
    )
    smiles = [*GOOD, "C[Au]"]  # a fingerprint, but none of the model's elements
    model = SkipFailures(make_pipeline(both, Ridge())).fit(smiles, TARGET[: len(smiles)])
    assert np.isnan(model.predict(smiles)).tolist() == [False] * len(GOOD) + [True]
    assert model.failures_["input"].tolist() == ["'C[Au]'"]


def test_several_targets():
    y = np.stack([TARGET, -TARGET], axis=1)
    predicted = SkipFailures(ecfp(Ridge())).fit(SMILES, y).predict(["C(", "CCO"])
    assert np.isnan(predicted).tolist() == [[True, True], [False, False]]


def test_classes_that_are_words():
    model = SkipFailures(ecfp(LogisticRegression())).fit(SMILES, CLASSES)
    predicted = model.predict(SMILES)
    assert predicted.dtype == object
    assert pd.isna(predicted).tolist() == FAILED.tolist()
    assert set(predicted[~FAILED]) == set(model.classes_) == {"acid", "base"}
    for rows in (model.predict_proba(SMILES), model.predict_log_proba(SMILES)):
        np.testing.assert_array_equal(np.isnan(rows), np.stack([FAILED, FAILED], axis=1))
    np.testing.assert_array_equal(np.isnan(model.decision_function(SMILES)), FAILED)
    with pytest.warns(UserWarning, match="3 of 12 rows failed and are not in the score"):
        assert model.score(SMILES, CLASSES) == np.mean(predicted[~FAILED] == CLASSES[~FAILED])


def test_without_targets():
    labels = SkipFailures(ecfp(KMeans(2, n_init=1, random_state=0))).fit(SMILES).predict(SMILES)
    np.testing.assert_array_equal(np.isnan(labels), FAILED)


def test_kind_and_methods_are_those_of_the_estimator():
    regressor, classifier = SkipFailures(ecfp(Ridge())), SkipFailures(ecfp(DummyClassifier()))
    assert is_regressor(regressor)
    assert not hasattr(regressor, "predict_proba")
    assert is_classifier(classifier)
    assert not hasattr(classifier, "decision_function")
    with pytest.raises(NotFittedError):
        regressor.predict(SMILES)


@pytest.mark.filterwarnings(IN_SCORE)
def test_cross_validation():
    """Scores are those of the molecules that did not fail."""
    split = KFold(3, shuffle=True, random_state=0)
    model = SkipFailures(ecfp(Ridge()), scoring="neg_mean_absolute_error")
    scores = cross_val_score(model, np.array(SMILES, object), TARGET, cv=split)
    predicted = cross_val_predict(model, SMILES, TARGET, cv=split)
    np.testing.assert_array_equal(np.isnan(predicted), FAILED)
    for score, (_, test) in zip(scores, split.split(SMILES), strict=True):
        kept = test[~FAILED[test]]
        assert score == pytest.approx(-mean_absolute_error(TARGET[kept], predicted[kept]))
    # In a search, and as the last step of a pipeline, it is the score that counts.
    search = GridSearchCV(model, {"estimator__ridge__alpha": [1.0]}, cv=2)
    np.testing.assert_allclose(cross_val_score(search, SMILES, TARGET, cv=split), scores)
    featurizer, *rest = ecfp(Ridge())
    last = make_pipeline(featurizer, SkipFailures(make_pipeline(*rest), scoring=model.scoring))
    np.testing.assert_allclose(cross_val_score(last, SMILES, TARGET, cv=split), scores)


@pytest.mark.filterwarnings(IN_SCORE)
def test_classes_are_stratified():
    model = SkipFailures(ecfp(LogisticRegression()))
    probabilities = cross_val_predict(model, SMILES, CLASSES, cv=2, method="predict_proba")
    folds = StratifiedKFold(2)
    expected = cross_val_predict(model, SMILES, CLASSES, cv=folds, method="predict_proba")
    np.testing.assert_array_equal(probabilities, expected)


@pytest.mark.slow
@pytest.mark.filterwarnings(IN_SCORE)
def test_grid_search_in_two_processes():
    grid = {"estimator__ecfpfeaturizer__radius": [0, 1], "estimator__ridge__alpha": [0.1, 1.0]}
    model = SkipFailures(ecfp(Ridge()))
    search = GridSearchCV(model, grid, cv=2, n_jobs=2).fit(SMILES, TARGET)
    alone = GridSearchCV(model, grid, cv=2).fit(SMILES, TARGET)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores, alone.cv_results_["mean_test_score"])
    assert np.isnan(search.predict(SMILES)).sum() == 3


def test_clone_and_pickle():
    model = SkipFailures(ecfp(Ridge()), scoring="r2")
    assert clone(model).get_params()["estimator__ridge__alpha"] == 1.0
    model.fit(SMILES, TARGET)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(SMILES), model.predict(SMILES))
    assert clone(model).__dict__.keys() == {"estimator", "scoring"}


def test_nothing_is_said_where_nothing_failed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SkipFailures(ecfp(Ridge())).fit(GOOD, TARGET[~FAILED]).score(GOOD, TARGET[~FAILED])


def test_all_failed():
    model = SkipFailures(ecfp(Ridge()))
    with pytest.raises(ValueError, match=r"all 2 rows failed, there is nothing to fit; the first: 'C\(': "):
        model.fit(["C(", "CC("], [1, 2])
    model.fit(SMILES, TARGET)
    assert np.isnan(model.predict(["C(", "CC("])).all()
    with pytest.raises(ValueError, match="all 2 rows failed, there is nothing to score"):
        model.score(["C(", "CC("], [1, 2])
    classifier = SkipFailures(ecfp(LogisticRegression())).fit(SMILES, CLASSES)
    assert classifier.predict_proba(["C("]).shape == (1, 2)
    assert pd.isna(classifier.predict(["C("])).all()
    rows = np.full((3, 2), np.nan)
    with pytest.raises(ValueError, match=r"all 3 rows failed, there is nothing to fit$"):
        SkipFailures(Ridge()).fit(rows, [1, 2, 3])
    with pytest.raises(ValueError, match="all 3 rows"):
        SkipFailures(Ridge()).fit(scipy.sparse.csr_array(rows), [1, 2, 3])


def test_a_featurizer_that_raises_still_raises():
    with pytest.raises(FeaturizationError, match="errors='nan'"):
        SkipFailures(make_pipeline(ECFPFeaturizer(), Ridge())).fit(SMILES, TARGET)


def test_a_search_goes_around_it():
    search = GridSearchCV(ecfp(Ridge()), {"ridge__alpha": [1.0]}, cv=2)
    with pytest.raises(ValueError, match="2D") as caught:
        SkipFailures(search).fit(SMILES, TARGET)
    assert "goes around SkipFailures" in caught.value.__notes__[0]


def test_pipelines_of_one_step_and_with_a_memory(tmp_path):
    rows = ECFPFeaturizer(n_bits=64, errors="nan").transform(SMILES)
    alone = SkipFailures(Ridge()).fit(rows, TARGET).predict(rows)
    for steps in ([Ridge()], ["passthrough", Ridge()]):
        model = SkipFailures(make_pipeline(*steps)).fit(rows, TARGET)
        np.testing.assert_array_equal(model.predict(rows), alone)
    stored = SkipFailures(ecfp(Ridge()).set_params(memory=str(tmp_path))).fit(SMILES, TARGET)
    np.testing.assert_array_equal(
        stored.predict(SMILES), SkipFailures(ecfp(Ridge())).fit(SMILES, TARGET).predict(SMILES)
    )


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="inconsistent"):
        SkipFailures(ecfp(Ridge())).fit(SMILES, TARGET[1:])


class Late(RegressorMixin, BaseEstimator):
    """Refuses its second fit."""

    def fit(self, X, y):
        if y[0] < 0:
            raise RuntimeError("refused")
        self.mean_ = np.mean(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.mean_)


def test_a_fit_that_fails_leaves_the_last_one():
    model = SkipFailures(Late()).fit([[1.0], [np.nan]], [3.0, 9.0])
    with pytest.raises(RuntimeError, match="refused"):
        model.fit([[1.0]], [-1.0])
    np.testing.assert_array_equal(model.predict([[5.0], [np.nan]]), [3.0, np.nan])


def test_fine_tuned_estimators_read_molecules_themselves(fine_tuned):
    smiles = np.array(["C" * n + end for n in range(1, 9) for end in ("O", "N", "F", "(")])
    failed = np.array([s.endswith("(") for s in smiles])
    y = np.array([float(len(s)) for s in smiles])
    model = SkipFailures(fine_tuned, scoring="neg_mean_absolute_error").fit(smiles, y)
    np.testing.assert_array_equal(np.isnan(model.predict(smiles)), failed)
    for part in model.predict(smiles, return_std=True):
        np.testing.assert_array_equal(np.isnan(part), failed)
    assert model.failures_["input"].tolist()[0] == "'C('"
    found = model.estimator_.predict(smiles[~failed])
    with pytest.warns(UserWarning, match="8 of 32 rows failed and are not in the score"):
        assert model.score(smiles, y) == pytest.approx(-mean_absolute_error(y[~failed], found))
    with pytest.warns(UserWarning, match="4 of 16 rows failed and are not in the score"):
        assert np.isfinite(cross_val_score(model, smiles, y, cv=2)).all()


def test_probabilities_of_several_outputs_keep_their_places():
    labels = np.stack([np.arange(len(SMILES)) % 2, np.arange(len(SMILES)) // 2 % 2], axis=1)
    model = SkipFailures(ecfp(RandomForestClassifier(5, random_state=0))).fit(SMILES, labels)
    found, expected = model.predict_proba(SMILES), model.predict_proba(GOOD)
    assert len(found) == 2
    for rows, good in zip(found, expected, strict=True):
        assert np.isnan(rows[FAILED]).all()
        np.testing.assert_array_equal(rows[~FAILED], good)
