"""Classes: their names, weights and probabilities."""

import numpy as np
import pandas as pd
import pytest
from finetuning_examples import LABELS, SMILES, TARGET
from sklearn.base import clone


def test_classes_keep_their_names_and_weights_move_probabilities(classifier):
    plain = clone(classifier).set_params(train="head").fit(SMILES, LABELS)
    assert plain.classes_.tolist() == ["apolar", "polar"]
    p = plain.predict_proba(SMILES)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert ((p >= 0) & (p <= 1)).all()
    assert plain.score(SMILES, LABELS) > 0.8
    nothing = np.random.default_rng(0).permutation(LABELS)  # molecules say nothing about these
    chance = clone(plain).fit(SMILES, nothing).predict_proba(SMILES)[:, 1].mean()
    heavy = clone(plain).set_params(class_weight={"polar": 5.0}).fit(SMILES, nothing)
    assert heavy.predict_proba(SMILES)[:, 1].mean() > chance + 0.1


def test_more_than_two_classes(classifier):
    y = np.array([smiles[-1] for smiles in SMILES])
    model = clone(classifier).set_params(train="head", class_weight="balanced").fit(SMILES, y)
    assert model.predict_proba(SMILES).shape == (len(SMILES), 3)
    np.testing.assert_allclose(model.predict_proba(SMILES).sum(axis=1), 1)
    assert set(model.predict(SMILES)) <= set(y)


def test_several_tasks_of_classes(classifier):
    y = np.stack([LABELS == "polar", TARGET > 5], axis=1).astype(object)
    y[::4, 1] = None
    model = clone(classifier).set_params(train="head").fit(SMILES, y)
    assert [p.shape for p in model.predict_proba(SMILES)] == [(len(SMILES), 2)] * 2
    assert model.predict(SMILES).shape == (len(SMILES), 2)


def test_words_do_not_make_words_of_other_tasks_classes(classifier):
    y = pd.DataFrame({"kind": LABELS, "long": TARGET > 5})
    model = clone(classifier).set_params(train="head").fit(SMILES, y)
    kind, long = model.predict(SMILES).T
    assert set(kind) <= set(LABELS)
    assert set(map(type, long)) == {bool}


def test_bad_class_weights(classifier):
    for weight, message in (
        ({"solid": 1.0}, r"names 'solid', which is none of \['apolar', 'polar'\]"),
        ("even", "'balanced'"),
        ({"polar": 0}, "positive"),
        ({"polar": "5"}, "class_weight of 'polar' must be a positive number; got '5'"),
        ({"polar": np.nan}, "positive"),
        ([{"polar": 5}], r"list, as for several tasks, but y has one; got \[\{'polar': 5\}\]"),
        (["balanced"], "but y has one"),
    ):
        with pytest.raises(ValueError, match=message):
            clone(classifier).set_params(class_weight=weight).fit(SMILES, LABELS)
    several = np.stack([LABELS, LABELS], axis=1)
    for count in (1, 3):
        model = clone(classifier).set_params(class_weight=[{"polar": 2.0}] * count)
        with pytest.raises(ValueError, match=f"an entry for each of 2 tasks; got {count}"):
            model.fit(SMILES, several)
    with pytest.raises(ValueError, match="y has one"):
        clone(classifier).set_params(class_weight=[{"O": 2.0}]).fit(SMILES, [s[-1] for s in SMILES])


def test_weights_of_several_tasks_count_each_in_its_own(classifier):
    nothing = np.random.default_rng(0).permutation(LABELS)  # molecules say nothing about these
    y = np.stack([nothing, nothing], axis=1)
    model = clone(classifier).set_params(train="head", class_weight=[None, {"polar": 5.0}]).fit(SMILES, y)
    first, second = model.predict_proba(SMILES)
    assert second[:, 1].mean() > first[:, 1].mean() + 0.1


def test_logarithms_of_probabilities(classifier):
    model = clone(classifier).set_params(train="head").fit(SMILES, LABELS)
    np.testing.assert_array_equal(model.predict_log_proba(SMILES), np.log(model.predict_proba(SMILES)))
    model.fit(SMILES, np.stack([LABELS, LABELS[::-1]], axis=1))
    pairs = zip(model.predict_log_proba(SMILES), model.predict_proba(SMILES), strict=True)
    for found, probabilities in pairs:
        np.testing.assert_array_equal(found, np.log(probabilities))
