"""Kernel ridge against loops, refits and scikit-learn."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import mean_absolute_error, roc_auc_score
from sklearn.preprocessing import StandardScaler

from skmol3d.estimators.kernel_ridge import (
    PENALTIES,
    WEIGHTS,
    WIDTHS,
    RowKernelRidge,
    leave_one_out,
    minmax_kernel,
)


def fit_kernel_ridge(kind, X, y, X_test):
    """Predictions for test rows, leave-one-out score and choices."""
    model = RowKernelRidge.fit(kind, X, y)
    score = mean_absolute_error if kind == "reg" else roc_auc_score
    return model.predict(X_test), score(y, model.left_out), model.chosen


def counts(n, p=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.poisson(1.0, (n, p)) * (rng.random((n, p)) < 0.6)).astype(np.float32)


def refits(K, y, penalty, weights=None):
    """Each target predicted by a fit to the others, centred on their mean."""
    predictions = np.empty(len(y))
    for i in range(len(y)):
        others = np.delete(np.arange(len(y)), i)
        own = None if weights is None else weights[others]
        mean = np.average(y[others], weights=own)
        model = KernelRidge(alpha=penalty, kernel="precomputed").fit(
            K[np.ix_(others, others)], y[others] - mean, sample_weight=own
        )
        predictions[i] = mean + model.predict(K[i : i + 1, others])[0]
    return predictions


def test_minmax_is_the_loop_over_pairs():
    A, B = counts(7), counts(5, seed=1) * 1000.0
    A[3] = B[2] = 0
    loop = [[np.minimum(a, b).sum() / max(np.maximum(a, b).sum(), 1) for b in B] for a in A]
    loop[3][2] = 1.0  # both empty
    np.testing.assert_allclose(minmax_kernel(A, B), loop, rtol=1e-6)
    np.testing.assert_array_equal(np.diag(minmax_kernel(A, A)), np.ones(7))


def test_minmax_of_bits_is_tanimoto():
    A = counts(9) > 0
    np.testing.assert_allclose(minmax_kernel(A.astype(float), A), 1 - cdist(A, A, "jaccard"), rtol=1e-6)


def test_no_columns_tell_nothing_apart():
    np.testing.assert_array_equal(minmax_kernel(np.zeros((2, 0)), np.zeros((3, 0))), np.ones((2, 3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_leave_one_out_is_what_refits_say(dtype):
    X = counts(25)
    X[4] = X[5]  # repeated molecules make the kernel singular
    y = X[:, :3].sum(1) + np.random.default_rng(1).normal(size=25) + 10
    K = minmax_kernel(X, X)
    left_out = leave_one_out(K.astype(dtype), y, PENALTIES)
    expected = [refits(K.astype(float), y, penalty) for penalty in PENALTIES]
    np.testing.assert_allclose(left_out, expected, rtol=1e-9 if dtype == np.float64 else 2e-4)


def test_weighted_rows_are_left_out_as_refits_with_weights_say():
    X = counts(25)
    rng = np.random.default_rng(1)
    y, weights = X[:, :3].sum(1) + rng.normal(size=25) + 10, rng.uniform(0.2, 3.0, size=25)
    K = minmax_kernel(X, X).astype(float)
    expected = [refits(K, y, penalty, weights) for penalty in PENALTIES]
    np.testing.assert_allclose(leave_one_out(K, y, PENALTIES, weights), expected, rtol=1e-9)
    model = RowKernelRidge.fit("reg", X, y, weights=weights)
    chosen = PENALTIES.tolist().index(model.chosen["penalty"])
    np.testing.assert_allclose(model.left_out, expected[chosen], rtol=1e-6)
    losses = [mean_absolute_error(y, found, sample_weight=weights) for found in expected]
    assert chosen == int(np.argmin(losses))
    same = RowKernelRidge.fit("reg", X, y, weights=np.ones(25))
    np.testing.assert_allclose(same.predict(X), RowKernelRidge.fit("reg", X, y).predict(X), rtol=1e-6)


@pytest.mark.parametrize("kind", ["reg", "cls"])
def test_on_counts_it_is_kernel_ridge_with_the_best_penalty_of_refits(kind):
    X = counts(50)
    y = X[:, :3].sum(1) + np.random.default_rng(1).normal(size=50)
    y = y if kind == "reg" else (y > np.median(y)).astype(float)
    X, X_test, y = X[:35], X[35:], y[:35]
    K = minmax_kernel(X, X).astype(float)
    left_out = [refits(K, y, penalty) for penalty in PENALTIES]
    inner = [mean_absolute_error(y, p) if kind == "reg" else -roc_auc_score(y, p) for p in left_out]
    best = int(np.argmin(inner))

    prediction, score, chosen = fit_kernel_ridge(kind, X, y, X_test)

    assert float(chosen["penalty"]) == pytest.approx(PENALTIES[best], rel=1e-3)
    assert set(chosen) == {"penalty"}
    assert score == pytest.approx(abs(inner[best]))
    model = KernelRidge(alpha=PENALTIES[best], kernel="precomputed").fit(K, y - y.mean())
    np.testing.assert_allclose(prediction, y.mean() + model.predict(minmax_kernel(X_test, X)), rtol=1e-6)


def test_on_dense_columns_it_is_gaussian_in_medians_of_the_squared_distance():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 6)).astype(np.float32) * [0.1, 1, 10, 100, 1, 0] + [0, 0, 0, 0, 0, 0.5]
    X[45:, 5] = 1e6  # constant in training
    y = np.sin(X[:, 0] * 10) + X[:, 1]
    prediction, score, chosen = fit_kernel_ridge("reg", X[:45], y[:45], X[45:])
    assert set(chosen) == {"penalty", "width"}
    assert float(chosen["width"]) in WIDTHS
    Z = StandardScaler().fit(X[:45, :5]).transform(X[:, :5])
    squared = cdist(Z, Z, "sqeuclidean")
    median = np.median(squared[:45, :45][~np.eye(45, dtype=bool)])
    K = np.exp(-squared / median / float(chosen["width"]))
    penalty = PENALTIES[np.argmin(abs(PENALTIES - float(chosen["penalty"])))]
    model = KernelRidge(alpha=penalty, kernel="precomputed").fit(K[:45, :45], y[:45] - y[:45].mean())
    np.testing.assert_allclose(prediction, y[:45].mean() + model.predict(K[45:, :45]), rtol=1e-4, atol=1e-4)
    assert score == pytest.approx(mean_absolute_error(y[:45], refits(K[:45, :45], y[:45], penalty)), rel=1e-4)


@pytest.mark.parametrize("informative", ["counts", "dense"])
def test_the_kernel_that_knows_the_target_gets_the_weight(informative):
    rng = np.random.default_rng(0)
    dense, words = rng.normal(size=(120, 5)), counts(120)
    y = 3.0 * (words[:, :4].sum(1) if informative == "counts" else dense[:, 0])
    X = np.hstack([dense, words]).astype(np.float32)
    _, _, chosen = fit_kernel_ridge("reg", X[:90], y[:90], X[90:])
    weight = float(chosen["weight"])
    assert weight in WEIGHTS
    assert weight >= 0.75 if informative == "counts" else weight <= 0.25


def test_positive_and_negative_counts_count_apart():
    """Of two opposite counts nothing is shared: the kernel of a loop over pairs, signs told apart."""
    X = counts(40) - counts(40, seed=3)
    assert (X < 0).any()
    y = X[:, 0] + 0.1 * X[:, 1]
    prediction, _, chosen = fit_kernel_ridge("reg", X[:30], y[:30], X[30:])
    assert set(chosen) == {"penalty"}
    K = np.empty((40, 40))
    for i, a in enumerate(X):
        for j, b in enumerate(X):
            shared = np.where(a * b > 0, np.minimum(abs(a), abs(b)), 0).sum()
            K[i, j] = shared / (abs(a).sum() + abs(b).sum() - shared)
    penalty = PENALTIES[np.argmin(abs(PENALTIES - float(chosen["penalty"])))]
    model = KernelRidge(alpha=penalty, kernel="precomputed").fit(K[:30, :30], y[:30] - y[:30].mean())
    np.testing.assert_allclose(prediction, y[:30].mean() + model.predict(K[30:, :30]), rtol=1e-4, atol=1e-4)


def test_a_training_row_is_predicted_as_the_kernel_of_the_fit_says():
    rng = np.random.default_rng(0)
    X = np.hstack([counts(30), rng.normal(size=(30, 4))]).astype(np.float32)
    y = X[:, 0] + X[:, -1]
    model = RowKernelRidge.fit("reg", X, y)
    np.testing.assert_allclose(model.predict(X.copy()), model.predict(X), atol=1e-5)
    assert np.abs(model.predict(X) - y).mean() < np.abs(model.left_out - y).mean()


def test_constant_columns_predict_the_mean():
    X = np.full((10, 2), -0.5, np.float32)
    prediction, _, _ = fit_kernel_ridge("reg", X[:8], np.arange(8.0), X[8:])
    np.testing.assert_allclose(prediction, 3.5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sampled", [False, True])
def test_equal_rows_are_left_out_together_as_refits_say(weighted, sampled):
    rng = np.random.default_rng(1)
    once = counts(20)
    molecules = rng.permutation(np.repeat(np.arange(20), 3)[:50])
    X = once[molecules]
    X[1] *= np.where(X[1] == 0, -1, 1)  # zeros with a sign are zeros
    y = X[:, :3].sum(1) + rng.normal(size=50) + 10
    weights = rng.uniform(0.2, 3.0, size=50) if weighted else None
    K = minmax_kernel(X, X).astype(float)

    def by_refits(penalty, places):
        found = np.empty(len(places))
        for molecule in molecules[places]:
            out, others = molecules[places] == molecule, places[molecules[places] != molecule]
            own = None if weights is None else weights[others]
            mean = np.average(y[others], weights=own)
            model = KernelRidge(alpha=penalty, kernel="precomputed")
            model.fit(K[np.ix_(others, others)], y[others] - mean, sample_weight=own)
            found[out] = mean + model.predict(K[np.ix_(places[out], others)])
        return found

    sample = np.sort(rng.permutation(50)[:30]) if sampled else None
    places = np.arange(50) if sample is None else sample
    model = RowKernelRidge.fit("reg", X, y, sample, weights)
    own = None if weights is None else weights[places]
    losses = [
        mean_absolute_error(y[places], by_refits(penalty, places), sample_weight=own) for penalty in PENALTIES
    ]
    penalty = PENALTIES[int(np.argmin(losses))]
    assert model.chosen == {"penalty": penalty}
    np.testing.assert_allclose(model.left_out, by_refits(penalty, np.arange(50)), rtol=1e-6)
    mean = np.average(y, weights=weights)
    fitted = KernelRidge(alpha=penalty, kernel="precomputed").fit(K, y - mean, sample_weight=weights)
    np.testing.assert_allclose(model.predict(X), mean + fitted.predict(K), rtol=1e-6)
