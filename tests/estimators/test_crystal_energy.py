"""CrystalEnergyRegressor: learns, keeps its seed, survives a round trip, refuses what is wrong."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from ase.build import molecule
from crystal_examples import DRY_ICE
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from skmol3d import CrystalEnergyRegressor, CrystalFeaturizer, hub
from skmol3d.encoders.crystal_energy import CrystalEnergy, CrystalEnergyConfig
from skmol3d.estimators import crystal_energy

SMALL = {"width": 32, "layers": 2, "batch_size": 32, "epochs": 30}


@pytest.mark.slow
def test_scikit_learns_own_checks():
    # Only what needs the switch for other array libraries is left out.
    results = check_estimator(
        CrystalEnergyRegressor(width=16, layers=2, batch_size=16, epochs=30), on_skip=None
    )
    assert sum(result["status"] == "passed" for result in results) >= len(results) - 1


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 12)) * 3.0 + 50.0
    X[:, 7] = 5.0  # a column that never changes
    Z = (X - 50.0) / 3.0
    y = np.stack([-900 + 100 * Z[:, 0] * Z[:, 1], 0.1 * np.abs(Z[:, 2]) - 0.5], 1)
    return X, y


@pytest.mark.slow
def test_learns_what_a_linear_model_cannot(data):
    X, y = data
    model = CrystalEnergyRegressor(**SMALL, random_state=0)
    assert cross_val_score(model, X, y, cv=3).min() > 0.6
    assert cross_val_score(Ridge(), X, y, cv=3).max() < 0.1


@pytest.mark.slow
def test_several_energies_and_one(data):
    X, y = data
    both = CrystalEnergyRegressor(**SMALL).fit(X, y)
    assert both.predict(X[:5]).shape == (5, 2)
    one = CrystalEnergyRegressor(**SMALL).fit(X, y[:, 1])
    assert one.predict(X[:5]).shape == (5,)
    again = clone(one).fit(X, y[:, 1])
    np.testing.assert_array_equal(again.predict(X), one.predict(X))
    other = clone(one).set_params(random_state=1).fit(X, y[:, 1])
    assert not np.allclose(other.predict(X), one.predict(X), rtol=1e-6)


@pytest.mark.slow
def test_the_units_of_the_energies_do_not_matter(data):
    X, y = data
    one = CrystalEnergyRegressor(**SMALL).fit(X, y[:, 1]).predict(X)
    other = CrystalEnergyRegressor(**SMALL).fit(X, y[:, 1] * 1000 - 7e4).predict(X)
    np.testing.assert_allclose(other, one * 1000 - 7e4, atol=1.0)


def test_a_few_absurd_energies_do_no_harm(data):
    X, y = data
    wild = y[:, 1].copy()
    wild[0] = 1e9
    model = CrystalEnergyRegressor(**SMALL, clip=0.01).fit(X, wild)
    assert np.abs(model.predict(X)).max() < 2.0


def test_round_trip(data, tmp_path):
    X, y = data
    model = CrystalEnergyRegressor(**SMALL).fit(X, y, targets=("soft", "hard"))
    model.save(tmp_path / "energy", "# energies")
    read = CrystalEnergyRegressor.from_pretrained(str(tmp_path / "energy"))
    np.testing.assert_allclose(read.predict(X), model.predict(X), rtol=1e-6)
    assert read.network_.config.targets == ("soft", "hard")
    with pytest.raises(ValueError, match="features"):
        read.predict(X[:, 1:])


def test_prediction_leaves_the_network_where_it_is(data, monkeypatch):
    """Threads share it: one that moved it to its device would take it away from the others."""
    X, y = data
    model = CrystalEnergyRegressor(**SMALL, device="cpu").fit(X, y)
    expected = model.predict(X)
    with monkeypatch.context() as patched:
        # A device that is there on every machine, but gives no numbers.
        patched.setattr(crystal_energy, "find_device", lambda name: torch.device("meta"))
        with pytest.raises(NotImplementedError):
            model.predict(X)
    assert {parameter.device.type for parameter in model.network_.parameters()} == {"cpu"}
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(model.predict, [X] * 32):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("X", "kind"),
    [
        ([molecule("H2O"), molecule("CO2")], "Atoms"),
        (molecule("H2O"), "Atoms"),
        (pd.Series([molecule("H2O"), molecule("CO2")]), "Atoms"),
        (["urea.cif", "benzene.cif"], "paths"),
        ("urea.cif", "paths"),
        ([Path("urea.cif")], "paths"),
    ],
)
def test_crystals_instead_of_rows(data, X, kind):
    model = CrystalEnergyRegressor(**SMALL).fit(*data)
    for use in (model.predict, lambda X: model.fit(X, [1.0, 2.0])):
        with pytest.raises(
            TypeError, match=f"rows of numbers are expected, not {kind}: make them with Crystal"
        ):
            use(X)


def test_refusals(data):
    X, y = data
    with pytest.raises(ValueError, match="3 names for 2 energies"):
        CrystalEnergyRegressor(**SMALL).fit(X, y, targets=("a", "b", "c"))
    with pytest.raises(ValueError, match="NaN"):
        CrystalEnergyRegressor(**SMALL).fit(np.where(X > 55, np.nan, X), y)
    with pytest.raises(ValueError, match="dropout must be"):
        CrystalEnergyRegressor(dropout=1.0).fit(X, y)
    with pytest.raises(ValueError, match="et-xtb-small: a checkpoint of potential, not of crystal-energy"):
        CrystalEnergyRegressor.from_pretrained("et-xtb-small")
    assert "et-xtb-small" in hub.bundled()


@pytest.mark.parametrize(("version", "added"), [(1, 21), (2, 8), (3, 0)])
def test_networks_of_rows_without_the_latest_columns_say_the_same(version, added):
    """Rows of version 1 knew neither several molecules (thirteen columns) nor the space group (eight)."""
    config = {"columns": 15, "targets": ("a", "b"), "width": 8, "layers": 1, "dropout": 0.0}
    old = CrystalEnergy(CrystalEnergyConfig(**config)).eval()
    rng = np.random.default_rng(0)
    for value in old.state_dict().values():
        value.copy_(torch.from_numpy(rng.uniform(0.5, 1.5, value.shape)))
    config, state = CrystalEnergy.upgrade(config, old.state_dict(), version)
    new = CrystalEnergy(CrystalEnergyConfig(**config)).eval()
    new.load_state_dict(state)
    rows = torch.from_numpy(rng.normal(size=(20, 15 + added))).float()
    torch.testing.assert_close(new(rows), old(rows[:, :15]))
    assert config["columns"] == 15 + added
    with pytest.raises(ValueError, match="does not say which rows it takes: 12 columns"):
        CrystalEnergyRegressor(**SMALL, device="cpu").fit(np.ones((40, 12)), np.arange(40.0)).featurizer()


def test_the_bundled_checkpoint_makes_the_rows_that_it_takes():
    model = CrystalEnergyRegressor.from_pretrained("crystal-energy-small")
    featurizer = model.featurizer(errors="nan")
    rows = featurizer.fit_transform([DRY_ICE])
    assert rows.shape == (1, model.n_features_in_)
    assert model.predict(rows).shape == (1, 2)
    assert featurizer.errors == "nan"
    assert featurizer.molecule.output == "scalar"


def test_rows_of_other_molecules_columns_are_refused_by_name():
    """scikit-learn's message would count columns, and not say whose they are."""
    model = CrystalEnergyRegressor.from_pretrained("crystal-energy-small")
    rows = CrystalFeaturizer().fit_transform([DRY_ICE])  # the vectors of the same checkpoint
    wanted = r'1209 of CrystalFeaturizer\(Mo3ENetFeaturizer\("mo3enet-druglike", output="scalar"\)\)'
    with pytest.raises(
        ValueError, match=f"rows of 129 columns; this network takes the {wanted}: make them with"
    ):
        model.predict(rows)


def test_a_saved_network_remembers_its_rows(data, tmp_path):
    X, y = data
    model = CrystalEnergyRegressor(**SMALL).fit(X, y, embedding="mo3enet-small", output="vector")
    model.save(tmp_path / "energy", "# energies")
    molecule = CrystalEnergyRegressor.from_pretrained(str(tmp_path / "energy")).featurizer().molecule
    assert (molecule.model, molecule.output) == ("mo3enet-small", "vector")


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_of_energies_do_not_matter(unit):
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    y = X[:, 0].astype(float)
    model = CrystalEnergyRegressor(width=16, layers=1, epochs=40, batch_size=32, device="cpu")
    assert model.fit(X, y * unit).score(X, y * unit) > 0.9


def test_a_column_of_rounding_errors_is_none():
    X = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    X[:, 2] *= 1e-16
    model = CrystalEnergyRegressor(width=16, layers=1, epochs=20, device="cpu").fit(X, X[:, 0])
    turned = X.copy()
    turned[:, 2] = 0.1
    assert np.abs(model.predict(turned) - model.predict(X)).max() < 1


@pytest.mark.parametrize("epochs", [1, 10])
def test_any_number_of_steps_will_do(epochs):
    X = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    model = CrystalEnergyRegressor(width=8, layers=1, epochs=epochs, device="cpu").fit(X, X[:, 0])
    assert np.isfinite(model.predict(X)).all()
