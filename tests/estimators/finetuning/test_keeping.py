"""Fine-tuned models in pickles and folders."""

import pickle

import numpy as np
import pytest
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
