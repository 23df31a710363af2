"""Fine-tuning's networks on the rows of other methods."""

import numpy as np
import pytest

from skmol3d import ECFPFeaturizer
from skmol3d.benchmark.fingerprint_networks import FingerprintClassifier, FingerprintRegressor, method_rows
from skmol3d.estimators import KernelRidgeCV

SMILES = ["C" * n + end for n in range(1, 9) for end in ("O", "N", "F", "C(=O)O")]
SMALL = {"train": "head", "n_estimators": 2, "epochs": 3, "width": 8}


def test_rows_are_those_of_the_method():
    rows = method_rows("ecfp-count")(SMILES)
    np.testing.assert_array_equal(rows, ECFPFeaturizer(count=True).fit_transform(SMILES))


def test_the_blend_starts_from_the_kernel_on_fingerprints():
    y = np.array([float(len(s)) for s in SMILES])
    model = FingerprintRegressor("ecfp-count", **SMALL).fit(SMILES[:24], y[:24])
    model.shares_ = np.zeros(1)  # nothing of the networks
    rows = method_rows("ecfp-count")
    kernel = KernelRidgeCV().fit(rows(SMILES[:24]), y[:24])
    np.testing.assert_allclose(model.predict(SMILES[24:]), kernel.predict(rows(SMILES[24:])), rtol=1e-5)


def test_single_missing_values_become_medians_of_the_training_molecules(monkeypatch):
    from skmol3d.benchmark import fingerprint_networks

    def rows(smiles):
        made = np.array([[len(s), s.count("O")] for s in smiles], np.float32)
        made[[s == "CCO" for s in smiles], 1] = np.nan
        return made

    monkeypatch.setattr(fingerprint_networks, "make_method", lambda *_: rows)
    of_fit = fingerprint_networks._Rows("made up", None, None).fit(["O", "OO", "OOOOO", "CCO"])
    np.testing.assert_array_equal(of_fit.transform(["CCO", "CO"]), [[3, 2], [2, 1]])


def test_classes():
    y = ["acid" if "=" in s else "other" for s in SMILES]
    model = FingerprintClassifier("ecfp-count", **SMALL).fit(SMILES, y)
    assert (model.predict(SMILES) == y).mean() > 0.9


def test_nothing_but_a_head_can_be_trained():
    with pytest.raises(ValueError, match="train must be 'head'"):
        FingerprintRegressor("ecfp-count").fit(SMILES, np.arange(len(SMILES)))
