"""Targets: several tasks, unknown labels, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from finetuning_examples import LABELS, SMILES, TARGET
from sklearn.base import clone
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from skmol3d import SkipFailures


def test_several_tasks_with_unknown_labels(regressor):
    y = np.stack([TARGET, -TARGET, TARGET**2], axis=1)
    y[::3, 1] = np.nan
    y[1, :] = np.nan
    model = clone(regressor).fit(SMILES, y)
    mean, std = model.predict(SMILES[:4], return_std=True)
    assert mean.shape == std.shape == (4, 3)
    assert np.isfinite(mean).all()
    assert model.shares_.shape == (3,)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "y to be passed"),
        (TARGET[1:], "inconsistent numbers"),
        (np.where(TARGET > 10, np.inf, TARGET), "infinite in row"),
        (np.where(TARGET > 3, np.nan, TARGET), "n_samples=.* at least 10 are needed"),
        (LABELS, "must be numbers"),
    ],
)
def test_bad_targets(regressor, y, message):
    with pytest.raises(ValueError, match=message):
        clone(regressor).fit(SMILES, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["polar"] * len(SMILES), "one class"),
        (TARGET + 0.5, "Unknown label type"),
        (np.stack([TARGET % 2, TARGET % 3], axis=1), "3 classes for task 1"),
        (["polar"] * 8 + [None] * (len(SMILES) - 9) + ["apolar"], "n_samples=9"),
    ],
)
def test_bad_classes(classifier, y, message):
    with pytest.raises(ValueError, match=message):
        clone(classifier).fit(SMILES, y)


def test_pandas_own_missing_values_are_unknown_labels(regressor, classifier):
    table = pd.DataFrame({"a": TARGET.astype(int), "b": TARGET > 5}).convert_dtypes()
    table.loc[[0, 5], "b"] = pd.NA
    assert clone(regressor).set_params(train="head").fit(SMILES, table).predict(SMILES[:2]).shape == (2, 2)
    model = clone(classifier).set_params(train="head")
    for labels in (table["b"], pd.Series(LABELS, dtype="string").mask(np.arange(len(SMILES)) < 2)):
        known = model.fit(SMILES, labels)
        assert known.classes_.tolist() == sorted(set(labels.dropna()))


@pytest.mark.parametrize("y", [pd.date_range("2020-01-01", periods=len(SMILES)), TARGET.astype(complex)])
def test_numbers_are_not_made_of_dates_or_complex_ones(regressor, y):
    with pytest.raises(ValueError, match="must be numbers, NaN where unknown; got"):
        clone(regressor).fit(SMILES, y)


def test_weights_of_molecules_count(regressor, classifier):
    y = np.random.default_rng(0).permutation(TARGET)  # molecules say nothing about it
    heavy = y > np.median(y)
    for model in (clone(regressor), clone(regressor).set_params(train="head")):
        plain = model.fit(SMILES, y).predict(SMILES).mean()
        weighted = model.fit(SMILES, y, sample_weight=np.where(heavy, 20.0, 1.0)).predict(SMILES).mean()
        assert weighted > plain + 1.0
    model = clone(classifier).set_params(train="head")
    plain = model.fit(SMILES, heavy).predict_proba(SMILES)[:, 1].mean()
    weighted = model.fit(SMILES, heavy, sample_weight=np.where(heavy, 20.0, 1.0))
    assert weighted.predict_proba(SMILES)[:, 1].mean() > plain + 0.1


def test_molecules_that_weigh_nothing_are_left_out(regressor):
    model = clone(regressor).set_params(train="head")
    weights = np.where(np.arange(len(SMILES)) < 5, 0.0, 3.0)
    found = model.fit(SMILES, TARGET, sample_weight=weights).predict(SMILES)
    without = model.fit(SMILES[5:], TARGET[5:]).predict(SMILES)
    np.testing.assert_allclose(found, without, rtol=1e-4)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"shape \[28\]; got \[1\]"),
        ([*[1.0] * 27, -2.0], "is -2.0 in row 27; it must be at least 0"),
        ([*[1.0] * 27, "heavy"], "sample_weight must be numbers"),
        ([0.0] * 28, "n_samples=0"),
    ],
)
def test_bad_weights(regressor, weights, message):
    with pytest.raises(ValueError, match=message):
        clone(regressor).fit(SMILES, TARGET, sample_weight=weights)


def test_text_beside_numbers_is_no_class(classifier):
    labels = np.array(["-" if smiles.endswith("O") else 1 for smiles in SMILES], dtype=object)
    with pytest.raises(ValueError, match="mixes text with other labels"):
        clone(classifier).fit(SMILES, labels)


def test_unknown_labels_are_left_out_of_scores_task_by_task(regressor, classifier):
    y = np.stack([TARGET, -TARGET, np.full(len(TARGET), np.nan)], axis=1)
    y[::3, 1] = np.nan
    y[1] = np.nan
    weights = np.arange(len(TARGET)) % 4.0
    model = clone(regressor).set_params(train="head").fit(SMILES, y[:, :2])
    predicted = model.predict(SMILES)
    for given in (None, weights):
        expected = []
        for task in range(2):
            own = np.isfinite(y[:, task])
            some = None if given is None else given[own]
            expected.append(r2_score(y[own, task], predicted[own, task], sample_weight=some))
        found = model.score(SMILES, y[:, :2], sample_weight=given)
        assert found == pytest.approx(np.mean(expected))
    alone = y[:, :2].copy()
    alone[3:, 1] = np.nan  # R² of one target is not defined
    own = np.isfinite(alone[:, 0])
    assert model.score(SMILES, alone) == pytest.approx(r2_score(alone[own, 0], predicted[own, 0]))
    with pytest.raises(ValueError, match="no task of y has 2 known labels"):
        model.score(SMILES, y[:, [2, 2]])
    with pytest.raises(ValueError, match="y has 3 tasks, but the estimator was fitted to 2"):
        model.score(SMILES, y)

    kind = pd.DataFrame({"polar": LABELS, "long": TARGET > 5}).astype(object)
    kind.loc[::4, "long"] = None
    judge = clone(classifier).set_params(train="head").fit(SMILES, kind)
    named, known = judge.predict(SMILES), kind["long"].notna().to_numpy()
    expected = accuracy_score(LABELS, named[:, 0].tolist()), np.mean((named[:, 1] == kind["long"])[known])
    assert judge.score(SMILES, kind) == pytest.approx(np.mean(expected))


def test_unknown_labels_do_not_stop_searches(regressor, classifier):
    y = np.stack([TARGET, -TARGET], axis=1)
    y[::5, 1] = np.nan
    model = clone(regressor).set_params(train="head")
    assert np.isfinite(cross_val_score(model, np.array(SMILES), y, cv=2)).all()
    assert np.isfinite(GridSearchCV(model, {"width": [4]}, cv=2).fit(SMILES, y).best_score_)
    broken, more = [*SMILES, "C("], np.append(y, [[1.0, 2.0]], axis=0)
    for scoring in (None, lambda fitted, X, y: fitted.score(X, y)):
        skipping = SkipFailures(model, scoring=scoring).fit(broken, more)
        with pytest.warns(UserWarning, match="1 of 29 rows failed"):
            found = skipping.score(broken, more)
        assert found == pytest.approx(clone(model).fit(SMILES, y).score(SMILES, y))
    classes = np.where(np.isnan(y), np.nan, np.abs(y) > 5)
    judge = clone(classifier).set_params(train="head")
    assert np.isfinite(
        cross_val_score(judge, np.array(SMILES), classes, cv=KFold(2, shuffle=True, random_state=0))
    ).all()


def test_failures_are_no_part_of_a_score(regressor):
    model = clone(regressor).set_params(train="head", errors="nan").fit(SMILES, TARGET)
    with pytest.raises(ValueError, match=r"1 molecules failed .* in row 1; SkipFailures around"):
        model.score([SMILES[0], "C(", SMILES[1]], TARGET[:3])
