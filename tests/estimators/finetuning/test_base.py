"""The fine-tuned regressor and classifier as scikit-learn's users meet them."""

import numpy as np
import pandas as pd
import pytest
import torch
from finetuning_examples import LABELS, SMILES, TARGET
from rdkit import Chem
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks, get_tags

from skmol3d import REM3DIClassifier, REM3DIRegressor
from skmol3d.featurizers import FeaturizationError

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


def test_predicting_needs_a_fit(regressor):
    with pytest.raises(NotFittedError):
        clone(regressor).predict(SMILES)


@pytest.mark.parametrize("which", ["regressor", "classifier"])
def test_networks_are_stopped_by_molecules_that_they_do_not_learn(request, which):
    """Repeated measurements are on one side, whatever the spelling; without any, nothing changes."""
    model = request.getfixturevalue(which)
    numbers = np.random.default_rng(0).permutation(np.repeat(np.arange(12), 3))
    wanted = (numbers % 2)[:, None].astype(float)
    parts = model._parts(numbers, wanted, 7, np.random.RandomState(0))
    assert len(parts) == 7
    for learn, check in parts:
        assert not set(numbers[learn]) & set(numbers[check])
        np.testing.assert_array_equal(np.sort(np.r_[learn, check]), np.arange(36))
    held = np.concatenate([check for _, check in parts[:5]])
    np.testing.assert_array_equal(np.sort(held), np.arange(36))


def test_repeated_measurements_do_not_make_a_model_surer(regressor):
    """Of targets that the molecules do not tell, errors are as large however often each was measured."""
    noise = np.random.default_rng(0).normal(size=len(SMILES))
    model = clone(regressor).set_params(train="head", epochs=40, learning_rate=1e-2, n_estimators=5)
    std = [
        model.fit(np.repeat(SMILES, copies), np.repeat(noise, copies)).predict(SMILES, return_std=True)[1]
        for copies in (1, 4)
    ]
    assert np.sqrt((std[1] ** 2).mean()) > 0.6 * np.sqrt((std[0] ** 2).mean())


@pytest.mark.parametrize("spellings", [["CCO"] * 20, ["CCO", "OCC"] * 10])
def test_copies_of_one_molecule_are_refused_by_name(regressor, classifier, spellings):
    for model, y in ((regressor, np.arange(20.0)), (classifier, ["a", "b"] * 10)):
        with pytest.raises(ValueError, match=r"all 20 molecules to fit have the same frozen row.*'CCO'"):
            clone(model).set_params(train="head").fit(spellings, y)
