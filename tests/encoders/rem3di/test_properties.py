"""Estimates of descriptors: which are chosen, what they estimate, and on which scale."""

import numpy as np
import pytest
import torch
from encoder_examples import collate, embedded, moved, rem3di, reordered, rotation
from sklearn.linear_model import Ridge

from skmol3d.encoders.rem3di.dense import STEP
from skmol3d.encoders.rem3di.properties import PENALTY, PLAIN, Properties


@pytest.fixture
def data():
    """400 standardised rows; descriptors 1 and 4 follow from them, 0 partly, the others not at all."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(400, 6))
    descriptors = rng.normal(size=(400, PLAIN + 3)) * 50 + 7
    descriptors[:, 1] = 1e3 * rows[:, 0] - 5
    descriptors[:, 4] = rows[:, 1] - 2 * rows[:, 2]
    descriptors[:, 0] = rows[:, 3] + 0.7 * rng.normal(size=400)
    descriptors[:, 2] = 3.0  # constant
    descriptors[:, PLAIN] = rows[:, 4]  # a functional group: never chosen
    return torch.from_numpy(rows), torch.from_numpy(descriptors)


def fitted(rows, descriptors, size):
    made = Properties(rows.shape[1], size).double()
    made.fit(rows, descriptors)
    return made


def test_what_is_estimated_best_is_chosen(data):
    assert fitted(*data, 2).index.tolist() == [1, 4]
    assert fitted(*data, 3).index.tolist() == [0, 1, 4]


def test_estimates_are_a_ridge_regression_on_their_own_scale(data):
    rows, descriptors = data
    made = fitted(rows, descriptors, 3)
    found = made(rows)
    assert torch.equal(found / STEP, (found / STEP).round())
    for column, k in zip(found.T, made.index.tolist(), strict=True):
        low, high = np.quantile(descriptors[:, k], [0.01, 0.99])
        wanted = descriptors[:, k].clamp(low, high)
        wanted = (wanted - wanted.mean()) / wanted.std()
        ridge = Ridge(PENALTY * len(rows), fit_intercept=False).fit(rows, wanted)
        expected = ridge.predict(rows)
        expected = (expected - expected.mean()) / expected.std(ddof=1)
        np.testing.assert_allclose(column, expected, atol=STEP / 2 + 1e-9)


def test_molecules_without_a_value_do_not_count(data):
    rows, descriptors = data
    descriptors[::9, 4] = torch.nan
    descriptors[0, 1] = 1e30  # and one alone does not rule
    made = fitted(rows, descriptors, 2)
    assert made.index.tolist() == [1, 4]
    truth = rows[:, 1] - 2 * rows[:, 2]
    assert np.corrcoef(made(rows)[:, 1], truth)[0, 1] > 0.97


def test_a_constant_descriptor_is_chosen_last_and_stays_silent(data):
    rows, descriptors = data
    made = fitted(rows, descriptors[:, :3], 3)
    assert made.index.tolist() == [0, 1, 2]
    assert not made(rows)[:, 2].any()


def test_properties_of_a_row_are_invariant():
    encoder = rem3di(dense=8, properties=4)
    item = embedded("CC(=O)N[C@H](C)O")
    rows = encoder.uncompressed(
        encoder.tokens(collate(*(embedded(s) for s in ("CCO", "CCN", "CC(=O)O", "CCCl"))))
    )
    encoder.compress.mean.copy_(rows.mean(0))
    torch.manual_seed(0)
    encoder.properties.matrix.normal_()
    sizes = encoder.output_blocks()
    assert list(sizes) == ["properties", "dense"]
    expected = encoder(collate(item))[0, :4]
    assert expected.any()
    order = np.random.default_rng(1).permutation(len(item[0]))
    mirrored = moved(reordered(item, order), rotation(3) @ np.diag([1.0, 1.0, -1.0]), [3.0, 0.0, -8.0])
    assert (encoder(collate(mirrored))[0, :4] - expected).abs().max() <= STEP


def test_properties_need_dense_columns():
    with pytest.raises(ValueError, match="properties must be 0, or a number beside dense columns"):
        rem3di(properties=4)
