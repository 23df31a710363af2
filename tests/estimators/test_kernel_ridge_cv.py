"""Kernel ridge regression as estimators: scikit-learn's promises, and what they are fitted to."""

import pickle

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmol3d import ECFPFeaturizer, KernelRidgeClassifierCV, KernelRidgeCV
from skmol3d.benchmark.heads import fit_head


@parametrize_with_checks([KernelRidgeCV(), KernelRidgeClassifierCV()])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture
def data():
    """Rows of counts and of dense columns that both matter."""
    rng = np.random.default_rng(0)
    X = np.hstack([rng.poisson(1.0, (120, 8)), rng.normal(size=(120, 4))]).astype(np.float32)
    return X, X[:, :3].sum(1) + np.sin(X[:, 9]) + 0.1 * rng.normal(size=120)


def test_it_is_the_head_of_the_benchmark(data):
    X, y = data
    mine = KernelRidgeCV().fit(X[:90], y[:90])
    np.testing.assert_allclose(
        mine.predict(X[90:]), fit_head("kernel", "reg", X[:90], y[:90], X[90:]).prediction
    )
    assert set(mine.chosen_) == {"penalty", "width", "weight"}
    labels = np.where(y > y.mean(), "yes", "no")
    classes = KernelRidgeClassifierCV().fit(X[:90], labels[:90])
    ranked = fit_head("kernel", "cls", X[:90], (labels[:90] == "yes").astype(int), X[90:]).prediction
    np.testing.assert_allclose(classes.decision_function(X[90:]), 2 * ranked - 1)
    assert (classes.predict(X[90:]) == labels[90:]).mean() > 0.8


def test_left_out_predictions_are_honest(data):
    X, y = data
    fitted = KernelRidgeCV().fit(X, y)
    assert np.abs(fitted.left_out_ - y).mean() < 0.7 * np.abs(y - y.mean()).mean()
    assert np.abs(fitted.left_out_ - y).mean() > np.abs(fitted.predict(X) - y).mean()


def test_settings_come_from_a_part_but_the_fit_from_all(data):
    X, y = data
    whole, part = KernelRidgeCV().fit(X, y), KernelRidgeCV(max_samples=40).fit(X, y)
    assert len(part.kernel_.rows) == len(X)
    np.testing.assert_array_equal(part.predict(X), KernelRidgeCV(max_samples=40).fit(X, y).predict(X))
    assert np.abs(part.left_out_ - y).mean() < 1.3 * np.abs(whole.left_out_ - y).mean()
    with pytest.raises(ValueError, match="max_samples"):
        KernelRidgeCV(max_samples=1).fit(X, y)


def test_it_stands_behind_a_featurizer_and_pickles():
    smiles = ["C" * n + tail for n in range(1, 9) for tail in ("O", "N", "")]
    lengths = [len(s) for s in smiles]
    model = make_pipeline(ECFPFeaturizer(count=True), KernelRidgeCV())
    assert cross_val_score(model, smiles, lengths, cv=3).shape == (3,)
    model.fit(smiles, lengths)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(smiles), model.predict(smiles))
    alcohols = np.array([s.endswith("O") for s in smiles])
    ranker = make_pipeline(ECFPFeaturizer(count=True), KernelRidgeClassifierCV())
    assert cross_val_score(ranker, smiles, alcohols, cv=3, scoring="roc_auc").mean() > 0.9
    assert roc_auc_score(alcohols, ranker.fit(smiles, alcohols)[-1].left_out_) > 0.9


def test_labels_of_one_class_or_three_are_refused(data):
    X, _ = data
    with pytest.raises(ValueError, match="one class only, 'a'"):
        KernelRidgeClassifierCV().fit(X, ["a"] * len(X))
    with pytest.raises(ValueError, match="y has 3 classes"):
        KernelRidgeClassifierCV().fit(X, np.arange(len(X)) % 3)


@pytest.mark.parametrize("seed", range(3))
def test_settings_of_rare_classes_come_from_both(seed):
    X = np.random.default_rng(0).normal(size=(300, 4))
    y = np.zeros(300)
    y[:3], X[:3] = 1, X[:3] + 5
    fitted = KernelRidgeClassifierCV(max_samples=50, random_state=seed).fit(X, y)
    assert (fitted.decision_function(X).argsort()[-3:] < 3).all()


def test_repeated_measurements_do_not_vouch_for_each_other(data):
    """Errors and penalties are those of new molecules, however often each was measured."""
    X, y = data
    rng = np.random.default_rng(0)
    y = y + rng.normal(size=len(y))  # what the rows do not say of a molecule
    once, thrice = KernelRidgeCV().fit(X, y), KernelRidgeCV().fit(np.repeat(X, 3, axis=0), np.repeat(y, 3))
    errors = [np.abs(once.left_out_ - y).mean(), np.abs(thrice.left_out_ - np.repeat(y, 3)).mean()]
    assert errors[1] == pytest.approx(errors[0], rel=0.1)
    new = np.hstack([rng.poisson(1.0, (200, 8)), rng.normal(size=(200, 4))]).astype(np.float32)
    apart = np.abs(thrice.predict(new) - once.predict(new)).mean()
    assert apart < 0.2 * once.predict(new).std()
    labels = y > y.mean()
    ranker = KernelRidgeClassifierCV().fit(X, labels)
    again = KernelRidgeClassifierCV().fit(np.repeat(X, 3, axis=0), np.repeat(labels, 3))
    areas = [roc_auc_score(labels, ranker.left_out_), roc_auc_score(np.repeat(labels, 3), again.left_out_)]
    assert areas[1] == pytest.approx(areas[0], abs=0.03)
