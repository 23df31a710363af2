"""What the frozen row alone says, and what is kept of it."""

import pickle

import numpy as np
import pytest

from skmol3d.estimators.finetuning import frozen
from skmol3d.estimators.finetuning.frozen import CLIP, FrozenStart, RowScaler


@pytest.fixture
def rows():
    """Ten columns of counts, one of them constant, and ten of others."""
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, size=(60, 10)).astype(np.float32)
    counts[:, 3] = 2.0
    return np.concatenate([counts, rng.normal(5, 2, size=(60, 10)).astype(np.float32)], axis=1)


def test_columns_are_standard_counts_after_their_square_root(rows):
    rows[:, 0] -= 3  # signed counts, as of chirality
    scaler = RowScaler.fit(rows)
    assert scaler.counted.tolist() == [True] * 10 + [False] * 10
    assert scaler.kept.tolist() == [True] * 3 + [False] + [True] * 16
    found = scaler.transform(rows)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-5)
    roots = np.sign(rows[:, 0]) * np.sqrt(np.abs(rows[:, 0]))
    np.testing.assert_allclose(found[:, 0], (roots - roots.mean()) / roots.std(), atol=1e-5)


def test_molecules_far_away_are_not_followed(rows):
    scaler = RowScaler.fit(rows)
    far = scaler.transform(rows[:1] + 1e6)
    assert np.abs(far).max() == CLIP


def test_each_task_has_a_kernel_of_the_molecules_it_knows(rows):
    wanted = np.stack([rows[:, 10], rows[:, 11]], axis=1).astype(float)
    wanted[:20, 1] = np.nan
    start, honest = FrozenStart.fit("reg", rows, wanted, np.random.RandomState(0))
    assert [len(places) for places in start.places] == [60, 40]
    assert np.isfinite(honest).all()  # also of molecules whose label is not known
    np.testing.assert_allclose(honest[:20, 1], start.predict(rows[:20])[:, 1])
    fitted = np.abs(start.predict(rows)[:, 0] - wanted[:, 0]).mean()
    left_out = np.abs(honest[:, 0] - wanted[:, 0]).mean()
    assert fitted < left_out  # what a molecule's own target gives away is not in it


def test_of_many_molecules_a_part_is_fitted_and_the_others_are_predicted(rows, monkeypatch):
    monkeypatch.setattr(frozen, "MOST", 25)
    wanted = rows[:, [10]].astype(float)
    start, honest = FrozenStart.fit("reg", rows, wanted, np.random.RandomState(0))
    (places,) = start.places
    assert len(set(places.tolist())) == 25
    assert (np.diff(places) > 0).all()
    others = np.setdiff1d(np.arange(60), places)
    np.testing.assert_allclose(honest[others], start.predict(rows[others]))


def test_arrays_and_pickles_predict_the_same(rows):
    wanted = np.stack([rows[:, 10], rows[:, 11]], axis=1).astype(float)
    wanted[::3, 1] = np.nan
    start, _ = FrozenStart.fit("reg", rows, wanted, np.random.RandomState(0))
    expected = start.predict(rows)
    assert all(isinstance(value, np.ndarray) for value in start.arrays().values())
    np.testing.assert_array_equal(FrozenStart.from_arrays(start.arrays()).predict(rows), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(start)).predict(rows), expected)


def test_a_part_of_the_molecules_has_both_classes(rows, monkeypatch):
    monkeypatch.setattr(frozen, "MOST", 5)
    y = np.zeros(len(rows))
    y[0] = 1
    start, _ = FrozenStart.fit("cls", rows, y[:, None], np.random.RandomState(0))
    assert len(start.places[0]) == 5
    assert start.places[0][0] == 0


def test_copies_of_a_molecule_are_not_predicted_from_each_other(rows, monkeypatch):
    rng = np.random.RandomState(0)
    y, copied = rng.normal(size=60), np.repeat(rows, 2, axis=0)  # a target that rows do not tell
    errors = []
    for most in (frozen.MOST, 80):  # all fitted, or two thirds
        monkeypatch.setattr(frozen, "MOST", most)
        start, honest = FrozenStart.fit("reg", copied, np.repeat(y, 2)[:, None], np.random.RandomState(0))
        fitted = np.abs(start.predict(rows)[:, 0] - y)
        errors.append(np.abs(honest[:, 0] - np.repeat(y, 2)).mean())
        assert len(np.unique(honest[:, 0])) <= 60
        assert fitted.mean() < errors[-1]
    assert min(errors) > 0.9 * np.abs(y - y.mean()).mean()
