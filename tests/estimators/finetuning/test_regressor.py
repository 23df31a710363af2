"""Numbers: units, shares, and training that goes on."""

import numpy as np
import pandas as pd
import pytest
from finetuning_examples import SMILES, TARGET
from sklearn.base import clone


def test_units_do_not_matter(regressor, fitted):
    scaled = clone(regressor).fit(SMILES, TARGET * 1000 - 7)
    mean, std = fitted.predict(SMILES, return_std=True)
    found, found_std = scaled.predict(SMILES, return_std=True)
    np.testing.assert_allclose(found, mean * 1000 - 7, rtol=1e-3)
    np.testing.assert_allclose(found_std, std * 1000, rtol=1e-2)


def test_shares_are_parts_of_a_whole_and_the_target_is_learned(fitted):
    assert ((fitted.shares_ >= 0) & (fitted.shares_ <= 1)).all()
    assert np.corrcoef(fitted.predict(SMILES), TARGET)[0, 1] > 0.8


def test_a_table_of_one_column_is_one_task(regressor):
    table = pd.DataFrame({"smiles": SMILES}, index=range(100, 100 + len(SMILES)))
    model = clone(regressor).set_params(train="head").fit(table, pd.DataFrame({"y": TARGET}))
    assert model.predict(table[:3]).shape == (3,)


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


def test_errors_of_a_kernel_that_predicts_the_mean_are_not_all_disagreement(fitted):
    # Without its own target each molecule is predicted as the mean of the others.
    y = np.random.default_rng(0).normal(size=15)
    y -= y.mean()
    model = clone(fitted).fit(SMILES, TARGET)
    honest, network = -y[:, None] / 14, np.zeros((15, 1))
    model._blend(honest, network, (network - honest) ** 2, y[:, None], np.ones((15, 1)))
    constant, slope = model._errors[0]
    assert y.var() / 3 < constant < y.var()
    np.testing.assert_allclose(constant + slope * (honest**2).mean(), y.var(), rtol=0.2)


def test_fewer_molecules_than_parts_are_left_out_one_by_one(regressor):
    model = clone(regressor).set_params(train="head", validation_fraction=0.01).fit(SMILES[:10], TARGET[:10])
    assert len(model.members_) == 2
