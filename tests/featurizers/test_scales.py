"""The scale of REM3DI's columns, which lets a linear model do without a scaler."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline

from skmol3d import KernelRidgeCV, REM3DIFeaturizer, hub
from skmol3d.datasets import load_small_organics
from skmol3d.featurizers.scales import SCALE, counted_columns, factors_of


@pytest.fixture(scope="module")
def table():
    data = load_small_organics().frame.sample(160, random_state=0)
    return list(data["smiles"]), data["gap"].to_numpy()


@pytest.fixture(scope="module")
def rows(table):
    return {
        scaled: REM3DIFeaturizer(device="cpu", scaled=scaled).fit_transform(table[0])
        for scaled in (True, False)
    }


def test_described_columns_say_the_factor(rows):
    featurizer = REM3DIFeaturizer(device="cpu")
    columns = featurizer.describe_columns()
    np.testing.assert_array_equal(rows[False] * columns["factor"].to_numpy(), rows[True])
    assert (REM3DIFeaturizer(device="cpu", scaled=False).describe_columns()["factor"] == 1).all()
    assert set(columns["factor"][columns["block"] == "words"]) == {SCALE}
    picked = REM3DIFeaturizer(device="cpu", blocks=("surface", "words"))
    np.testing.assert_allclose(
        picked.transform(["CCO"]) / picked.describe_columns()["factor"].to_numpy(),
        REM3DIFeaturizer(device="cpu", blocks=("surface", "words"), scaled=False).transform(["CCO"]),
        rtol=1e-6,
    )


def test_molecules_lie_about_two_units_from_their_mean(rows):
    squares = ((rows[True] - rows[True].mean(axis=0)) ** 2).sum(axis=1)
    assert 1 < np.sqrt(squares.mean()) < 3
    spread = rows[True].std(axis=0)
    assert spread.max() < 1  # of no column, whatever its unit
    assert rows[False].std(axis=0).max() > 100


def test_counts_are_told_from_rounded_columns(rows):
    whole = REM3DIFeaturizer(device="cpu", scaled=False)
    assert not REM3DIFeaturizer(device="cpu").integer_columns().any()
    varies = rows[False].std(axis=0) > 0
    for scaled in (True, False):
        counted = counted_columns(rows[scaled])
        assert counted[whole.integer_columns()].all()
        blocks = whole.describe_columns()["block"].to_numpy()
        assert not counted[varies & np.isin(blocks, ("dense", "properties", "strain"))].any()
    assert not counted_columns(np.array([[0.5, 0.04], [1.0, 0.05]])).any()


def test_the_default_penalty_is_about_right(table, rows):
    smiles, y = table

    def error(model, X):
        return np.abs(cross_val_predict(model, X, y, cv=5) - y).mean()

    tuned = error(RidgeCV(np.logspace(-3, 3, 13)), rows[True])
    assert error(Ridge(), rows[True]) < 1.05 * tuned
    pipeline = make_pipeline(REM3DIFeaturizer(device="cpu"), Ridge()).fit(smiles[:120], y[:120])
    assert (
        np.abs(pipeline.predict(smiles[120:]) - y[120:]).mean()
        < 0.8 * np.abs(y[120:] - y[:120].mean()).mean()
    )


def test_a_column_of_the_surface_is_no_count_whatever_its_steps():
    """In a small table all values of a rare column may be whole multiples of eight steps."""
    encoder = hub.from_pretrained("rem3di-small")
    step = encoder.surface.step.numpy()
    factors = factors_of(encoder)
    start = list(REM3DIFeaturizer(device="cpu").describe_columns()["block"]).index("surface")
    values = np.arange(12)[:, None] * 8 * step
    scaled = (values * factors[start : start + len(step)]).astype(np.float32)
    assert not counted_columns(scaled[:, step > 0]).any()


def test_sides_by_side_and_after_set_params():
    smiles = ["CCO", "CCCO"]
    several = REM3DIFeaturizer(device="cpu", n_conformers=2, conformer_pooling="all")
    scaled, columns = several.fit_transform(smiles), several.describe_columns()
    whole = several.set_params(scaled=False).transform(smiles)
    np.testing.assert_array_equal(whole * columns["factor"].to_numpy(), scaled)


def test_kernels_do_not_depend_on_it(table, rows):
    y = table[1]
    fits = {scaled: KernelRidgeCV().fit(rows[scaled][:120], y[:120]) for scaled in (True, False)}
    assert fits[True].chosen_ == fits[False].chosen_
    np.testing.assert_allclose(*(fits[s].predict(rows[s][120:]) for s in (True, False)), rtol=1e-3, atol=1e-3)


def test_scaled_is_yes_or_no():
    with pytest.raises(TypeError, match="scaled must be True or False; got 'yes'"):
        REM3DIFeaturizer(scaled="yes").fit(["C"])
