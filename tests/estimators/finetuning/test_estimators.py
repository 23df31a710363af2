"""The fine-tuned regressor and classifier as scikit-learn's users meet them."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from rdkit import Chem
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks, get_tags

from skmol3d import REM3DIClassifier, REM3DIRegressor
from skmol3d.featurizers import FeaturizationError

SMILES = ["C" * n + end for n in range(1, 8) for end in ("O", "N", "C(=O)O", "F")]
TARGET = np.array([float(len(smiles)) for smiles in SMILES])
LABELS = np.where([smiles.endswith("O") for smiles in SMILES], "polar", "apolar")
QUICK = {
    "n_estimators": 2,
    "epochs": 3,
    "width": 8,
    "rank": 2,
    "batch_size": 8,
    "patience": 9,
    "device": "cpu",
}
CHECKS = (
    "check_no_attributes_set_in_init",
    "check_get_params_invariance",
    "check_set_params",
    "check_parameters_default_constructible",
    "check_estimator_repr",
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_mixin_order",
)


@pytest.fixture(scope="module")
def regressor(tiny_checkpoint):
    return REM3DIRegressor(tiny_checkpoint, **QUICK)


@pytest.fixture(scope="module")
def fitted(regressor):
    return clone(regressor).fit(SMILES, TARGET)


@pytest.fixture(scope="module")
def classifier(tiny_checkpoint):
    return REM3DIClassifier(tiny_checkpoint, **QUICK)


@pytest.mark.parametrize("cls", [REM3DIRegressor, REM3DIClassifier])
@pytest.mark.parametrize("name", CHECKS)
def test_scikit_learns_checks_that_need_no_table(cls, name):
    getattr(estimator_checks, name)(cls.__name__, cls())


def test_tags(regressor, classifier):
    for estimator, kind in ((regressor, "regressor"), (classifier, "classifier")):
        tags = get_tags(estimator)
        assert tags.estimator_type == kind
        assert tags.input_tags.string
        assert not tags.input_tags.two_d_array
        assert tags.target_tags.multi_output


@pytest.mark.parametrize("train", ["head", "adapters", "all"])
def test_every_way_of_training_changes_what_it_says_and_no_more(regressor, train):
    learning = {"n_estimators": 1, "epochs": 10, "learning_rate": 1e-2}
    model = clone(regressor).set_params(train=train, **learning).fit(SMILES, TARGET)
    start, network = model._network().state_dict(), model._network()
    network.restore(model.members_[0])
    trained = network.state_dict()
    moved = {name for name in start if not torch.equal(start[name], trained[name])} - {"mean", "scale"}
    assert any(name.startswith("head.") for name in moved)
    inside = {name for name in moved if name.startswith("encoder.")}
    assert bool(inside) == (train != "head")
    assert not any("backbone" in name for name in start)
    if train == "adapters":
        assert all(name.endswith((".up", ".down")) for name in inside)
        assert not any("linear" in name for name in model.members_[0])


def test_a_spelling_does_not_matter(fitted):
    other = []
    for smiles in SMILES:
        mol = Chem.MolFromSmiles(smiles)
        order = np.random.default_rng(0).permutation(mol.GetNumAtoms()).tolist()
        other.append(Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False))
    assert other != SMILES
    np.testing.assert_allclose(fitted.predict(other), fitted.predict(SMILES), rtol=1e-4)


def test_a_prediction_does_not_depend_on_the_others(fitted):
    together, std = fitted.predict(SMILES, return_std=True)
    alone, alone_std = fitted.predict(SMILES[3:4], return_std=True)
    np.testing.assert_allclose(alone, together[3:4], rtol=1e-4)
    np.testing.assert_allclose(alone_std, std[3:4], rtol=1e-2)
    assert (std > 0).all()


def test_the_same_seed_gives_the_same_numbers(regressor, fitted):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    again = clone(regressor).fit(SMILES, TARGET)
    assert torch.equal(torch.random.get_rng_state(), before)
    np.testing.assert_array_equal(again.predict(SMILES), fitted.predict(SMILES))
    other = clone(regressor).set_params(random_state=1).fit(SMILES, TARGET)
    assert not np.allclose(other.predict(SMILES), fitted.predict(SMILES), rtol=1e-6)


def test_units_do_not_matter(regressor, fitted):
    scaled = clone(regressor).fit(SMILES, TARGET * 1000 - 7)
    mean, std = fitted.predict(SMILES, return_std=True)
    found, found_std = scaled.predict(SMILES, return_std=True)
    np.testing.assert_allclose(found, mean * 1000 - 7, rtol=1e-3)
    np.testing.assert_allclose(found_std, std * 1000, rtol=1e-2)


def test_shares_are_parts_of_a_whole_and_the_target_is_learned(fitted):
    assert ((fitted.shares_ >= 0) & (fitted.shares_ <= 1)).all()
    assert np.corrcoef(fitted.predict(SMILES), TARGET)[0, 1] > 0.8


def test_several_tasks_with_unknown_labels(regressor):
    y = np.stack([TARGET, -TARGET, TARGET**2], axis=1)
    y[::3, 1] = np.nan
    y[1, :] = np.nan
    model = clone(regressor).fit(SMILES, y)
    mean, std = model.predict(SMILES[:4], return_std=True)
    assert mean.shape == std.shape == (4, 3)
    assert np.isfinite(mean).all()
    assert model.shares_.shape == (3,)


def test_a_table_of_one_column_is_one_task(regressor):
    table = pd.DataFrame({"smiles": SMILES}, index=range(100, 100 + len(SMILES)))
    model = clone(regressor).set_params(train="head").fit(table, pd.DataFrame({"y": TARGET}))
    assert model.predict(table[:3]).shape == (3,)


def test_pickle_is_small_and_the_copy_predicts_the_same(fitted):
    content = pickle.dumps(fitted)
    assert len(content) < 60_000
    np.testing.assert_array_equal(pickle.loads(content).predict(SMILES), fitted.predict(SMILES))


@pytest.mark.parametrize("train", ["head", "adapters", "all"])
def test_a_folder_gives_the_same_estimator(regressor, train, tmp_path):
    model = clone(regressor).set_params(train=train).fit(SMILES, np.stack([TARGET, -TARGET], axis=1))
    folder = model.save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in folder.iterdir()) == ["fine-tuned.json", "fine-tuned.safetensors"]
    read = REM3DIRegressor.from_pretrained(folder, verbose=0)
    assert read.get_params() == model.get_params()
    for found, expected in zip(read.predict(SMILES, True), model.predict(SMILES, True), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_folder_of_a_classifier(classifier, tmp_path):
    model = clone(classifier).set_params(train="head", class_weight={"polar": 2.0}).fit(SMILES, LABELS)
    folder = model.save_pretrained(tmp_path)
    read = REM3DIClassifier.from_pretrained(folder)
    assert read.predict(SMILES).tolist() == model.predict(SMILES).tolist()
    np.testing.assert_array_equal(read.predict_proba(SMILES), model.predict_proba(SMILES))
    with pytest.raises(ValueError, match="holds a REM3DIClassifier, not a REM3DIRegressor"):
        REM3DIRegressor.from_pretrained(folder)
    with pytest.raises(ValueError, match=r"fine-tuned\.json"):
        REM3DIRegressor.from_pretrained(tmp_path / "nothing")


def test_another_checkpoint_under_the_name_is_noticed(fitted, tmp_path):
    folder = fitted.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="is not the one"):
        REM3DIRegressor.from_pretrained(folder, model="rem3di-small").predict(SMILES)


def test_warm_start_goes_on(regressor):
    model = clone(regressor).set_params(warm_start=True, train="head").fit(SMILES, TARGET)
    first = model.history_
    model.fit(SMILES, TARGET)
    # Epoch 0 is before training: networks that begin anew predict the mean, whose loss is about 1.
    anew = first[first.epoch == 0].validation.mean()
    assert model.history_[model.history_.epoch == 0].validation.mean() < anew
    with pytest.raises(ValueError, match="warm_start"):
        model.fit(SMILES, np.stack([TARGET, TARGET], axis=1))
    with pytest.raises(ValueError, match="rank, width"):
        model.set_params(width=9).fit(SMILES, TARGET)


def test_several_conformers(regressor):
    model = clone(regressor).set_params(n_conformers=2, n_estimators=1).fit(SMILES, TARGET)
    records = model.featurizer_.records(["CCCCO"])
    assert len(records[0]) == 2
    assert np.isfinite(model.predict(["CCCCO"])).all()


def test_grid_search_and_cross_validation(regressor):
    model = clone(regressor).set_params(train="head")
    search = GridSearchCV(model, {"width": [4, 8]}, cv=2).fit(SMILES, TARGET)
    assert search.best_params_["width"] in (4, 8)
    assert np.isfinite(cross_val_score(model, np.array(SMILES), TARGET, cv=2)).all()


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


def test_failures_are_named_or_left_out(regressor, classifier):
    broken = [*SMILES, "C(", "[Og]"]
    with pytest.raises(FeaturizationError, match=r"\[28\] 'C\('") as caught:
        clone(regressor).set_params(train="head").fit(broken, np.append(TARGET, [1, 2]))
    assert len(caught.value.failures) == 2
    model = clone(regressor).set_params(train="head", errors="nan").fit(broken, np.append(TARGET, [1, 2]))
    predicted = model.predict(broken)
    assert np.isnan(predicted[-2:]).all()
    assert np.isfinite(predicted[:-2]).all()
    assert model.failures_["index"].tolist() == [28, 29]
    np.testing.assert_array_equal(
        predicted[:-2], clone(model).set_params(errors="raise").fit(SMILES, TARGET).predict(SMILES)
    )
    named = clone(classifier).set_params(train="head", errors="nan").fit(SMILES, LABELS).predict(broken)
    assert pd.isna(named[-2:]).all()


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


@pytest.mark.parametrize(
    "parameters",
    [
        {"train": "some"},
        {"n_estimators": 0},
        {"epochs": 1.5},
        {"dropout": 1.0},
        {"learning_rate": 0},
        {"validation_fraction": 0.6},
        {"errors": "ignore"},
        {"n_conformers": 0},
        {"standardise": "all"},
    ],
)
def test_bad_parameters_are_named(regressor, parameters):
    with pytest.raises((ValueError, TypeError), match=next(iter(parameters))):
        clone(regressor).set_params(**parameters).fit(SMILES, TARGET)


def test_bad_class_weights(classifier):
    for weight, message in (
        ({"solid": 1.0}, "names 'solid'"),
        ("even", "'balanced'"),
        ({"polar": 0}, "positive"),
    ):
        with pytest.raises(ValueError, match=message):
            clone(classifier).set_params(class_weight=weight).fit(SMILES, LABELS)


def test_predicting_needs_a_fit(regressor):
    with pytest.raises(NotFittedError):
        clone(regressor).predict(SMILES)
