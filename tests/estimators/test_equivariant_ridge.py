"""Heads for vectors and tensors: exact on targets of their form, and they turn with their rows."""

import pickle
from itertools import permutations

import numpy as np
import pandas as pd
import pytest
from ase.build import molecule
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmol3d import EquivariantRidge, Mo3ENetFeaturizer
from skmol3d.featurizers.vector_rows import rotate_rows

K = 4
MATRICES = {
    "rotation": Rotation.random(random_state=3).as_matrix(),
    "inversion": -np.eye(3),
    "reflection": Rotation.random(random_state=4).as_matrix() @ np.diag([1.0, 1.0, -1.0]),
}


def examples(n=240, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n, 4 * K))
    return rows, rows[:, : 3 * K].reshape(n, 3, K), rows[:, 3 * K :]


def symmetric(tensors):
    axes = range(1, tensors.ndim)
    orders = list(permutations(axes))
    return sum(tensors.transpose(0, *order) for order in orders) / len(orders)


def target(rank, vectors, scalars):
    """Products with weights linear in the scalars, written out."""
    a, b, c = (vectors[:, :, k] for k in (0, 1, 3))
    if rank == 1:
        return (1.0 + scalars[:, [0]]) * a - 2.0 * scalars[:, [2]] * b
    if rank == 2:
        isotropic = (3.0 - scalars[:, 1])[:, None, None] * np.eye(3)
        return isotropic + scalars[:, 3, None, None] * symmetric(np.einsum("ni,nj->nij", a, b))
    first = symmetric(np.einsum("n,ij,nk->nijk", scalars[:, 0], np.eye(3), c))
    return first + symmetric(np.einsum("ni,nj,nk->nijk", a, b, c))


def turn(tensors, matrix):
    for axis in range(1, tensors.ndim):
        tensors = np.moveaxis(np.tensordot(tensors, matrix, (axis, 1)), -1, axis)
    return tensors


@pytest.fixture(scope="module", params=[1, 2, 3])
def fitted(request):
    rows, vectors, scalars = examples()
    y = target(request.param, vectors, scalars)
    return EquivariantRidge(alpha=1e-12, channels=K).fit(rows[:180], y[:180]), rows, y


def test_targets_of_its_form_are_recovered(fitted):
    head, rows, y = fitted
    predicted = head.predict(rows[180:])
    assert predicted.shape == y[180:].shape
    np.testing.assert_allclose(predicted, y[180:], atol=1e-4 * np.abs(y).max())
    assert head.score(rows[180:], y[180:]) > 1 - 1e-8


@pytest.mark.parametrize("motion", MATRICES)
def test_predictions_turn_with_the_rows(fitted, motion):
    head, rows, _ = fitted
    matrix = MATRICES[motion]
    predicted = head.predict(rows)
    moved = head.predict(rotate_rows(rows, matrix))
    np.testing.assert_allclose(moved, turn(predicted, matrix), atol=1e-4 * np.abs(predicted).max())
    for order in permutations(range(1, predicted.ndim)):
        np.testing.assert_array_equal(predicted, predicted.transpose(0, *order))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_fit_does_not_depend_on_frames(rank):
    rows, vectors, scalars = examples(60)
    noise = symmetric(np.random.default_rng(1).normal(size=(60, *[3] * rank)))
    y = target(rank, vectors, scalars) + noise
    matrices = Rotation.random(60, random_state=5).as_matrix()
    turned = np.concatenate([turn(one[None], matrix) for one, matrix in zip(y, matrices, strict=True)])
    head = EquivariantRidge(alpha=1e-3, gates=2)
    before, after = clone(head).fit(rows, y), clone(head).fit(rotate_rows(rows, matrices), turned)
    np.testing.assert_allclose(before.predict(rows), after.predict(rows), atol=1e-4)
    np.testing.assert_allclose(before.score(rows, y), after.score(rows, y), atol=1e-5)
    assert before.score(rows, y) < 0.99


def test_constant_gates_are_ordinary_ridge_regression():
    rows, vectors, _ = examples()
    y = np.random.default_rng(2).normal(size=(len(rows), 3))
    head = EquivariantRidge(alpha=0.01, gates=0).fit(rows, y)
    # Every component of every molecule is one row of the same three columns; the penalty is rescaled.
    flat = vectors.reshape(-1, K)
    ridge = Ridge(alpha=0.01 * np.square(flat).sum(), fit_intercept=False).fit(flat, y.ravel())
    np.testing.assert_allclose(head.predict(rows), ridge.predict(flat).reshape(-1, 3), atol=1e-10)


def test_the_intercept_is_what_no_rotation_changes():
    rows, *_ = examples()
    y = np.tile(np.diag([1.0, 2.0, 6.0]), (len(rows), 1, 1))
    head = EquivariantRidge(alpha=1e9).fit(rows, y)
    np.testing.assert_allclose(head.intercept_, 3.0 * np.eye(3))
    np.testing.assert_allclose(head.predict(rows), np.tile(3.0 * np.eye(3), (len(rows), 1, 1)), atol=1e-6)
    assert abs(head.score(rows, y)) < 1e-6
    np.testing.assert_array_equal(EquivariantRidge().fit(rows, y[:, 0]).intercept_, np.zeros(3))


def test_constant_scalars_and_duplicates_of_vectors_do_no_harm():
    rows, vectors, scalars = examples()
    rows = np.concatenate([vectors, vectors[:, :, :1]], axis=2).reshape(len(rows), -1)
    rows = np.concatenate([rows, scalars, np.full((len(rows), 1), 7.0)], axis=1)
    y = target(1, vectors, scalars)
    assert EquivariantRidge(alpha=1e-10).fit(rows[:180], y[:180]).score(rows[180:], y[180:]) > 0.9999


def test_estimator_conventions():
    rows, vectors, scalars = examples()
    y = target(2, vectors, scalars)
    head = EquivariantRidge(alpha=0.5, gates=3, channels=2)
    assert clone(head).get_params() == {"alpha": 0.5, "gates": 3, "channels": 2}
    search = GridSearchCV(head, {"alpha": [1e-8, 10.0], "channels": [2, None]}, cv=3).fit(rows, y)
    assert search.best_params_["alpha"] == 1e-8
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(again.predict(rows), search.predict(rows))
    assert again.n_features_in_ == 4 * K
    assert head.fit(rows, y) is head
    head.fit(rows, y[:, 0])  # the rank is that of the last fit
    assert head.predict(rows).shape == (len(rows), 3)


@pytest.mark.parametrize(
    ("params", "change", "message"),
    [
        ({"alpha": 0.0}, {}, "alpha must be positive"),
        ({"alpha": float("nan")}, {}, "alpha must be positive"),
        ({"alpha": "1"}, {}, "alpha must be positive; got '1'"),
        ({"gates": -1}, {}, "gates must be at least 0"),
        ({"channels": 0}, {}, "channels must be at least 1"),
        ({}, {"y": np.ones(8)}, r"y must have shape \[8, 3\] or \[8, 3, 3\] or \[8, 3, 3, 3\]; got \[8\]"),
        ({}, {"y": np.ones((7, 3))}, r"got \[7, 3\]"),
        ({}, {"y": np.ones((8, 3, 2))}, r"got \[8, 3, 2\]"),
        ({}, {"y": np.arange(72.0).reshape(8, 3, 3)}, r"y\[0\] is not symmetric"),
        ({}, {"y": np.array([[0, 0, 0]] * 7 + [[0, np.nan, 0]])}, r"y\[7\] is not finite"),
        ({}, {"X": np.ones((8, 7))}, "7 columns do not divide by 4"),
        ({}, {"X": np.full((8, 8), np.nan)}, "NaN"),
        ({}, {"X": np.zeros((8, 8))}, "all vectors of X are zero"),
    ],
)
def test_refusals(params, change, message):
    data = {"X": np.random.default_rng(0).normal(size=(8, 8)), "y": np.ones((8, 3))} | change
    with pytest.raises(ValueError, match=message):
        EquivariantRidge(**params).fit(**data)


def test_score_wants_targets_of_the_rank_it_was_fitted_to():
    rows, vectors, scalars = examples(40)
    head = EquivariantRidge().fit(rows, target(1, vectors, scalars))
    with pytest.raises(ValueError, match=r"y must have shape \[40, 3\]; got \[40, 3, 3\]"):
        head.score(rows, target(2, vectors, scalars))


def test_columns_that_are_named_are_those_of_vectors():
    X, y = np.random.default_rng(0).normal(size=(6, 8)), np.zeros((6, 3))
    vectors = [f"mo3enet_{x}_{k}" for x in "xyz" for k in range(2)] + ["mo3enet_scalar_0", "mo3enet_scalar_1"]
    EquivariantRidge().fit(pd.DataFrame(X, columns=vectors), y)
    with pytest.raises(ValueError, match=r"'mo3enet_0' is no column of vectors; .*output='vector'"):
        EquivariantRidge().fit(pd.DataFrame(X, columns=[f"mo3enet_{i}" for i in range(8)]), y)


@pytest.mark.parametrize(
    ("model", "output"),
    [("mo3enet-druglike", "scalar"), ("mo3enet-druglike", "norm"), ("mo3enet-smooth", "norm")],
)
def test_rows_of_scalars_are_no_vectors(model, output):
    """A featurizer's other rows reach it in a pipeline as bare arrays, some of which divide by four."""
    molecules = ["CCO", "CCN", "CC(=O)O", "C1CC1O", "CCCF"]
    with pytest.raises(ValueError, match=r"never negative, .*Mo3ENetFeaturizer\(output='vector'\)"):
        make_pipeline(Mo3ENetFeaturizer(model, output=output), EquivariantRidge()).fit(
            molecules, np.ones((5, 3))
        )


@pytest.mark.parametrize("model", ["mo3enet-druglike", "mo3enet-small"])
@pytest.mark.parametrize("name", ["CH3CONH2", "C6H6", "CO2", "HCN"])
def test_vectors_of_molecules_that_all_stand_alike_are_vectors(model, name):
    rng = np.random.default_rng(0)
    frames = [molecule(name) for _ in range(6)]
    for frame in frames:
        frame.positions += rng.normal(0, 0.02, frame.positions.shape)
    pipeline = make_pipeline(Mo3ENetFeaturizer(model, output="vector"), EquivariantRidge())
    assert pipeline.fit(frames, rng.normal(size=(6, 3))).predict(frames).shape == (6, 3)


def test_targets_that_no_rotation_changes_have_the_score_of_scikit_learn():
    rows, *_ = examples(40)
    y = np.tile(np.eye(3), (40, 1, 1))
    assert EquivariantRidge().fit(rows, 0 * y).score(rows, 0 * y) == 1.0
    head = EquivariantRidge().fit(rows, np.random.default_rng(0).normal(size=(40, 3)))
    assert head.score(rows, np.zeros((40, 3))) == 0.0
