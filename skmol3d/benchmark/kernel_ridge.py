"""Kernel ridge regression on counts and dense columns, tuned by exact leave-one-out errors.

Counts get the MinMax kernel, sum of minima over sum of maxima (Ralaivola et al. 2005,
doi:10.1016/j.neunet.2005.07.009; Tanimoto's coefficient where all are 0 or 1; for counts with a sign as in
doi:10.1145/3097983.3098081), other columns a Gaussian of the distance between standardised rows. Rows with
both get a weighted sum of the two. All have a diagonal of ones.
"""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, eigh
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_array
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import StandardScaler

from skmol3d.benchmark.scores import Matrix, better, score

PENALTIES = np.logspace(-3, 1, 9)
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the median squared distance
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the MinMax kernel

Kernels = tuple[NDArray[np.float32], NDArray[np.float32]]  # training x training, test x training


def minmax_kernel(A: Matrix, B: Matrix) -> NDArray[np.float32]:
    """Sum over columns of min(a, b), over that of max(a, b), for all pairs of rows.

    Parameters
    ----------
    A : ndarray of shape (n, p)
        Counts, none below 0.
    B : ndarray of shape (m, p)
        Counts, none below 0.

    Returns
    -------
    ndarray of shape (n, m)
        Between 0 and 1; 1 for two rows of zeros.
    """
    # min(a, b) is the sum of the steps between a column's values that both reach, so that the sums of minima
    # are a product of sparse matrices: ten times faster than L1 distances of mostly zeros.
    both = np.concatenate([A, B])
    rows, columns = [np.empty(0, np.intp)], [np.empty(0, np.intp)]
    steps: list[float] = []
    for j in np.flatnonzero(both.any(axis=0)):
        values = np.union1d(0.0, both[:, j])
        for low, high in pairwise(values):
            rows.append(np.flatnonzero(both[:, j] >= high))
            columns.append(np.full(len(rows[-1]), len(steps)))
            steps.append(high - low)
    places = np.concatenate(rows), np.concatenate(columns)
    reached = csr_array((np.ones(len(places[0]), np.float32), places), shape=(len(both), len(steps)))
    weighted = (reached * np.asarray(steps, np.float32)).tocsr()
    minima = (weighted[: len(A)] @ reached[len(A) :].T).toarray()
    maxima = A.sum(axis=1, dtype=np.float32)[:, None] + B.sum(axis=1, dtype=np.float32) - minima
    return np.divide(minima, maxima, out=np.ones_like(minima), where=maxima > 0)


def leave_one_out(K: NDArray, y: NDArray, penalties: NDArray) -> NDArray[np.float64]:
    """Predictions for each row by a kernel ridge regression fitted to all the others.

    Exact, for targets centred on the mean of those others, from one decomposition of the kernel.

    Parameters
    ----------
    K : ndarray of shape (n, n)
        Kernel; float32 is decomposed as such.
    y : ndarray of shape (n,)
        Targets.
    penalties : ndarray of shape (k,)
        Added to the diagonal, one after the other.

    Returns
    -------
    ndarray of shape (k, n)
    """
    eigenvalues, V = eigh(K, driver="evd", check_finite=False)
    targets = np.stack([y - y.mean(), np.ones(len(y))], axis=1)
    projected, squares = V.T @ targets.astype(V.dtype), V * V
    predictions = np.empty((len(penalties), len(y)))
    for k, penalty in enumerate(penalties):
        inverse = 1 / (eigenvalues.clip(0) + V.dtype.type(penalty))
        predictions[k] = _left_out(y, V @ (inverse[:, None] * projected), squares @ inverse)
    return predictions


def _left_out(y: NDArray, solved: NDArray, diagonal: NDArray) -> NDArray[np.float64]:
    """Leave-one-out predictions from G⁻¹[y - mean, 1] [n, 2] and the diagonal of G⁻¹ [n], G = K + penalty."""
    # The residual of a fit without row i is linear in its targets. Those are y less the mean of the others,
    # which differs from the mean of all by (y_i - mean) / (n - 1).
    residual, of_ones = (solved / diagonal[:, None]).astype(np.float64).T
    return y - residual - (y - y.mean()) / (len(y) - 1) * of_ones


def fit_kernel_ridge(
    kind: str, X: Matrix, y: NDArray, X_test: Matrix
) -> tuple[NDArray[np.float64], float, dict[str, Any]]:
    """Choose kernel and penalty by leave-one-out score (MAE, or AUROC of labels 0 and 1), fit, and predict.

    Columns that hold whole numbers in both parts are counts; positive and negative ones count apart. For rows
    with dense columns too, the width is chosen with both kernels in equal parts, and then the weight with
    that width.

    Parameters
    ----------
    kind : {"reg", "cls"}
        Kind of the task.
    X : ndarray of shape (n_train, n_features)
        Training features, none missing.
    y : ndarray of shape (n_train,)
        Training targets.
    X_test : ndarray of shape (n_test, n_features)
        Test features.

    Returns
    -------
    prediction : ndarray of shape (n_test,)
        For the test part.
    inner_score : float
        Leave-one-out score of what was chosen.
    chosen : dict
        Penalty, width and weight.
    """
    counted = np.all([(part == np.rint(part)).all(axis=0) for part in (X, X_test)], axis=0)
    # As for ridge, a column that is constant in training says nothing about test molecules.
    dense = ~counted & (X.max(axis=0) > X.min(axis=0))
    counts = None
    if counted.any() or not dense.any():
        A, B = (np.hstack([part.clip(0), (-part).clip(0)]) for part in (X[:, counted], X_test[:, counted]))
        counts = minmax_kernel(A, A), minmax_kernel(B, A)
    squared = _squared_distances(X[:, dense], X_test[:, dense]) if dense.any() else None
    search = _Search(kind, y, counts, squared)
    for width in WIDTHS if squared is not None else (None,):
        search.add(width, 0.5 if counts is not None and squared is not None else None)
    if counts is not None and squared is not None:
        best_width = search.chosen["width"]
        for weight in WEIGHTS:
            if weight != 0.5:
                search.add(best_width, weight)
    K, K_test = (search.kernel(part, search.chosen) for part in (0, 1))
    lower = dpotrf(np.asarray(K, np.float64) + search.chosen["penalty"] * np.eye(len(y)), lower=1)[0]
    solved = cho_solve((lower, True), np.stack([y - y.mean(), np.ones(len(y))], axis=1))
    prediction = y.mean() + K_test.astype(np.float64) @ solved[:, 0]
    # Again, for the one that is reported: in double precision.
    left_out = _left_out(y, solved, np.diagonal(dpotri(lower, lower=1)[0]))
    chosen = {name: f"{value:.4g}" for name, value in search.chosen.items() if value is not None}
    return prediction, score(kind, y, left_out), chosen


class _Search:
    """The best combination so far."""

    def __init__(self, kind: str, y: NDArray, counts: Kernels | None, squared: Kernels | None) -> None:
        self.kind, self.y, self.counts, self.squared = kind, y, counts, squared
        self.chosen: dict[str, Any] = {}
        self.best: float | None = None

    def kernel(self, part: int, settings: dict[str, Any]) -> NDArray[np.float32]:
        weight, width = settings["weight"], settings["width"]
        if self.squared is None or weight == 1:
            assert self.counts is not None
            return self.counts[part]
        gauss = np.exp(-self.squared[part] / np.float32(width))
        if self.counts is None:
            return gauss
        return np.float32(weight) * self.counts[part] + np.float32(1 - weight) * gauss

    def add(self, width: float | None, weight: float | None) -> None:
        settings = {"weight": weight, "width": width}
        for penalty, left_out in zip(
            PENALTIES, leave_one_out(self.kernel(0, settings), self.y, PENALTIES), strict=True
        ):
            candidate = score(self.kind, self.y, left_out)
            if self.best is None or better(self.kind, candidate, self.best):
                self.chosen, self.best = settings | {"penalty": penalty}, candidate


def _squared_distances(X: Matrix, X_test: Matrix) -> Kernels:
    """Squared distances between standardised rows, in medians of those in training."""
    scaler = StandardScaler().fit(X.astype(np.float64))
    Z, Z_test = scaler.transform(X), scaler.transform(X_test)
    squared = euclidean_distances(Z, squared=True)
    median = np.median(squared[squared > 0])
    np.fill_diagonal(squared, 0.0)
    return (
        (squared / median).astype(np.float32),
        (euclidean_distances(Z_test, Z, squared=True) / median).astype(np.float32),
    )
