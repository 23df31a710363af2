"""Fine-tuned models in pickles and folders."""

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from finetuning_examples import LABELS, SMILES, TARGET
from sklearn.base import clone

from skmol3d import REM3DIClassifier, REM3DIRegressor


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


def test_parameters_of_numpy_and_paths_survive(regressor, tiny_checkpoint, tmp_path):
    """What a grid search sets must not become a default in the copy, which would predict something else."""
    model = clone(regressor).set_params(
        model=Path(tiny_checkpoint),
        train="head",
        n_estimators=np.int64(1),
        epochs=np.int64(2),
        width=np.int64(16),
        dropout=np.float32(0.1),
        n_conformers=np.int64(2),
        device=torch.device("cpu"),
        cache_dir=tmp_path / "cache",
        warm_start=np.False_,
    )
    model.fit(SMILES, TARGET)
    read = REM3DIRegressor.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    given = {name: value for name, value in model.get_params().items() if name != "device"}
    given |= {name: os.fspath(given[name]) for name in ("model", "cache_dir")}
    assert {name: value for name, value in read.get_params().items() if name != "device"} == given
    assert read.device == "cpu"
    np.testing.assert_array_equal(read.predict(SMILES), model.predict(SMILES))


@pytest.mark.parametrize(
    ("names", "weight"),
    [
        ([0, 1], {0: 1.0, 1: np.int64(5)}),
        ([False, True], {True: 5.0}),
        (["apolar", "polar"], {np.str_("polar"): 5.0}),
    ],
)
def test_weights_of_classes_survive_under_their_names(classifier, names, weight, tmp_path):
    labels = np.array(names)[(LABELS == "polar").astype(int)]
    model = clone(classifier).set_params(train="head", class_weight=weight).fit(SMILES, labels)
    read = REM3DIClassifier.from_pretrained(model.save_pretrained(tmp_path)).class_weight
    assert read == weight
    assert list(map(type, read)) == [type(name) for name in names if name in weight]
    several = np.stack([labels, labels], axis=1)
    model.set_params(class_weight=[weight, "balanced"]).fit(SMILES, several).save_pretrained(tmp_path)
    assert REM3DIClassifier.from_pretrained(tmp_path).class_weight == [weight, "balanced"]


def test_weights_as_they_were_once_written_are_read(classifier, tmp_path):
    model = clone(classifier).set_params(train="head", class_weight={"polar": 2.0}).fit(SMILES, LABELS)
    path = model.save_pretrained(tmp_path) / "fine-tuned.json"
    config = json.loads(path.read_text())
    config["parameters"]["class_weight"] = {"polar": 2.0}
    path.write_text(json.dumps(config))
    assert REM3DIClassifier.from_pretrained(tmp_path).class_weight == {"polar": 2.0}


def test_what_cannot_be_kept_is_named(regressor, tmp_path):
    model = clone(regressor).set_params(train="head", random_state=np.random.RandomState(0))
    model.fit(SMILES, TARGET)
    with pytest.raises(TypeError, match=r"random_state=RandomState.* cannot be kept in a folder"):
        model.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
    model.set_params(random_state=0).save_pretrained(tmp_path / "saved")
