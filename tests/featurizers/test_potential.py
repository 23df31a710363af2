"""Plain statistics of a potential's atom features."""

import numpy as np
import pytest
import torch
from ase.build import molecule

from skmol3d import PotentialFeaturizer, hub
from skmol3d.encoders import EGNNConfig, Potential, PotentialConfig
from skmol3d.encoders.atoms import AtomBatch

STATISTICS = ("mean", "std", "max", "min", "sum")


@pytest.fixture
def make(tiny_potential):
    return lambda **params: PotentialFeaturizer(**{"model": tiny_potential, "device": "cpu", **params})


def atom_scalars(folder, atoms):
    potential = hub.from_pretrained(folder)
    with torch.inference_mode():
        batch = AtomBatch.from_arrays([(atoms.numbers.astype(np.uint8), atoms.positions, 0, None)])
        return potential.backbone(batch).scalars.numpy()


def test_rows_are_numpy_over_the_atoms(make, tiny_potential):
    ethanol = molecule("CH3CH2OH")
    row = make().transform([ethanol, molecule("H2O")])[0]
    scalars = atom_scalars(tiny_potential, ethanol)
    assert len(scalars) == 9  # hydrogens too
    expected = [getattr(scalars, statistic)(0) for statistic in STATISTICS]
    np.testing.assert_allclose(row, np.concatenate(expected), rtol=1e-4, atol=1e-5)


def test_any_backbone(make, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        egnn = Potential(PotentialConfig(EGNNConfig(width=8, layers=1)))
    hub.save_pretrained(egnn, tmp_path, card="random")
    row = make(model=str(tmp_path), pooling=("mean",)).transform([molecule("H2O")])[0]
    np.testing.assert_allclose(row, atom_scalars(tmp_path, molecule("H2O")).mean(0), rtol=1e-4, atol=1e-5)


def test_pooling_chooses_columns_and_their_order_without_encoding_again(make, monkeypatch):
    whole = make()
    rows, names = whole.transform(["CCO", "c1ccccc1"]), list(whole.get_feature_names_out())
    monkeypatch.setattr("skmol3d.encoders.pooled.PooledBackbone.__call__", None)
    part = make(pooling=("sum", "mean"))
    chosen = list(part.get_feature_names_out())
    assert chosen == [name for s in ("sum", "mean") for name in names if name.startswith(f"potential_{s}_")]
    np.testing.assert_array_equal(part.transform(["CCO", "c1ccccc1"]), rows[:, [*map(names.index, chosen)]])


@pytest.mark.parametrize(
    ("pooling", "error", "message"),
    [
        ("mean", TypeError, r"pooling must be a list or tuple of names, e.g. \('mean',\)"),
        (("mean", "median"), ValueError, "every item of pooling must be one of 'mean', .*; got 'median'"),
        ((), ValueError, "at least one"),
        (("sum", "sum"), ValueError, "none twice"),
    ],
)
def test_wrong_pooling_is_named(make, pooling, error, message):
    for use in (lambda f: f.fit(["C"]), lambda f: f.transform(["C"]), lambda f: f.get_feature_names_out()):
        with pytest.raises(error, match=message):
            use(make(pooling=pooling))


def test_other_checkpoints_are_refused_by_name(make):
    with pytest.raises(ValueError, match=r"expected a 'potential' checkpoint, .* 'rem3di'"):
        make(model="rem3di-small").transform(["C"])


def test_elements_the_potential_does_not_know_are_failures(make):
    featurizer = make(errors="nan")
    rows = featurizer.transform(["CCO", "[SnH4]"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True]
    assert "Sn" in featurizer.failures_["reason"][0]
