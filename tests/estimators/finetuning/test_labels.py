"""Targets: several tasks, unknown labels, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from finetuning_examples import LABELS, SMILES, TARGET
from sklearn.base import clone


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
