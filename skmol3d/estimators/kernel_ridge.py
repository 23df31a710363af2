"""Kernel ridge regression on counts and dense columns, tuned by exact leave-one-out errors.

Counts get the MinMax kernel, sum of minima over sum of maxima (Ralaivola et al. 2005,
doi:10.1016/j.neunet.2005.07.009; Tanimoto's coefficient where all are 0 or 1; for counts with a sign as in
doi:10.1145/3097983.3098081), other columns a Gaussian of the distance between standardised rows. Rows with
both get a weighted sum of the two. All have a diagonal of ones.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, eigh
from scipy.linalg.lapack import dpotrf, dpotri
from scipy.sparse import csr_array
from sklearn.metrics import mean_absolute_error, roc_auc_score
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.preprocessing import StandardScaler

from skmol3d.featurizers.scales import counted_columns

PENALTIES = np.logspace(-3, 1, 9)
WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the median squared distance
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)  # of the MinMax kernel

Matrix = NDArray[np.floating]
Kernel = NDArray[np.float32]


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


def drawn(kind: str, y: NDArray, most: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """At most so many places of ``y`` at random, in order; of classes ("cls") as many of each as its share.

    And at least one: what is chosen by the area under a curve needs both.
    """
    order = rng.permutation(len(y))
    if kind == "cls" and len(y) > most:
        turns = np.empty(len(y))
        for label in np.unique(y):
            own = np.flatnonzero(y[order] == label)
            turns[own] = np.arange(len(own)) / len(own)
        order = order[np.argsort(turns, kind="stable")]
    return np.sort(order[:most])


def numbered(X: Matrix) -> NDArray[np.intp]:
    """A number [n] for each row, the same for rows that are equal; they count up as new rows come."""
    seen: dict[bytes, int] = {}
    # Adding 0 makes 0 of -0, whose bytes differ.
    return np.array([seen.setdefault((row + 0).tobytes(), len(seen)) for row in X], np.intp)


def _once(
    X: Matrix, y: NDArray, weights: NDArray | None
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray, NDArray | None]:
    """First places of the different rows of ``X``, for each row its number among these, targets, weights.

    A kernel ridge regression on copies of a row is that on the row once, with their mean target and the sum
    of their weights. So whoever leaves out the row leaves out all that was measured of it: predictions by
    others that are its copies would tell nothing of new molecules. Where all rows are equal, there are no
    others, and the copies stay.
    """
    numbers = numbered(X)
    if numbers.max() + 1 in (1, len(X)):
        every = np.arange(len(X))
        return every, every, y, weights
    each = np.ones(len(y)) if weights is None else weights
    total = np.bincount(numbers, each)
    return np.unique(numbers, return_index=True)[1], numbers, np.bincount(numbers, each * y) / total, total


def leave_one_out(
    K: NDArray, y: NDArray, penalties: NDArray, weights: NDArray | None = None
) -> NDArray[np.float64]:
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
    weights : ndarray of shape (n,), optional
        Of the rows' squared errors, above 0; all 1 by default.

    Returns
    -------
    ndarray of shape (k, n)
    """
    # With weights W the penalty is divided by them: K + penalty/W is W^-1/2 (W^1/2 K W^1/2 + penalty) W^-1/2.
    roots = None if weights is None else np.sqrt(weights).astype(K.dtype)[:, None]
    eigenvalues, V = eigh(K if roots is None else roots * K * roots.T, driver="evd", check_finite=False)
    targets = np.stack([y - np.average(y, weights=weights), np.ones(len(y))], axis=1).astype(V.dtype)
    projected, squares = V.T @ (targets if roots is None else roots * targets), V * V
    predictions = np.empty((len(penalties), len(y)))
    for k, penalty in enumerate(penalties):
        inverse = 1 / (eigenvalues.clip(0) + V.dtype.type(penalty))
        solved, diagonal = V @ (inverse[:, None] * projected), squares @ inverse
        if roots is not None:
            solved, diagonal = roots * solved, roots[:, 0] ** 2 * diagonal
        predictions[k] = _left_out(y, solved, diagonal, weights)
    return predictions


def _left_out(y: NDArray, solved: NDArray, diagonal: NDArray, weights: NDArray | None) -> NDArray[np.float64]:
    """Leave-one-out predictions from G⁻¹[y - mean, 1] [n, 2] and the diagonal of G⁻¹ [n].

    G is the kernel with the penalty, divided by the weights, on its diagonal.
    """
    # The residual of a fit without row i is linear in its targets. Those are y less the mean of the others,
    # which differs from the mean of all by (y_i - mean) / (n - 1), or (y_i - mean) / (sum w / w_i - 1).
    residual, of_ones = (solved / diagonal[:, None]).astype(np.float64).T
    others: Any = len(y) - 1 if weights is None else weights.sum() / weights - 1
    return y - residual - (y - np.average(y, weights=weights)) / others * of_ones


@dataclass(frozen=True)
class RowKernelRidge:
    """Kernel ridge regression on rows; `fit` makes it.

    Attributes
    ----------
    rows : ndarray of shape (n, n_features)
        Training rows.
    counted, dense : ndarray of bool, shape (n_features,)
        Columns of the MinMax kernel, and of the Gaussian.
    chosen : dict
        ``penalty``, and where there are columns for them ``width`` (in medians of the squared distance) and
        ``weight`` (of the MinMax kernel).
    mean : float
        Of the training targets.
    dual : ndarray of shape (n,)
        Coefficients of the kernel; of equal rows the first has that of all, the others 0.
    left_out : ndarray of shape (n,)
        Prediction of each training target by the fit to all other rows; equal rows are left out together.
    """

    rows: Matrix
    counted: NDArray[np.bool_]
    dense: NDArray[np.bool_]
    chosen: dict[str, float]
    mean: float
    dual: NDArray[np.float64]
    left_out: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        kind: str,
        X: Matrix,
        y: NDArray,
        sample: NDArray[np.intp] | None = None,
        weights: NDArray[np.float64] | None = None,
    ) -> Self:
        """Choose kernel and penalty by leave-one-out score (MAE, or AUROC of labels 0 and 1), and fit.

        Columns of whole numbers (also of scaled rows of REM3DI) are counts; positive and negative ones count
        apart. For rows with dense columns too, the width is chosen with both kernels in equal parts, and then
        the weight with that width. Equal rows are left out together.

        Parameters
        ----------
        kind : {"reg", "cls"}
            Kind of the task.
        X : ndarray of shape (n, n_features)
            Rows, none missing.
        y : ndarray of shape (n,)
            Targets.
        sample : ndarray of int, optional
            Rows to choose kernel and penalty by; all are fitted in the end.
        weights : ndarray of shape (n,), optional
            Of the rows, above 0; all 1 by default.
        """
        counted = counted_columns(X)
        # As for ridge, a column that is constant in training says nothing about test molecules.
        dense = ~counted & (X.max(axis=0) > X.min(axis=0))
        if not (counted.any() or dense.any()):
            counted = np.ones_like(counted)
        parts = _parts(X, X, counted, dense)
        grid = np.arange(len(X)) if sample is None else sample
        own = None if weights is None else weights[grid]
        search = _Search(kind, y[grid], own, _once(X[grid], y[grid], own), grid, parts)
        for width in WIDTHS if parts[1] is not None else (None,):
            search.add(width, 0.5 if parts[0] is not None and parts[1] is not None else None)
        if parts[0] is not None and parts[1] is not None:
            best_width = search.chosen["width"]
            for weight in WEIGHTS:
                if weight != 0.5:
                    search.add(best_width, weight)
        chosen = {name: float(value) for name, value in search.chosen.items() if value is not None}
        first, numbers, targets, total = _once(X, y, weights)
        K = np.asarray(_kernel(chosen, *parts), np.float64)
        if len(first) < len(X):
            K = K[np.ix_(first, first)]
        mean = float(np.average(targets, weights=total))
        penalty = chosen["penalty"] * (np.ones(len(first)) if total is None else 1 / total)
        lower = dpotrf(K + np.diag(penalty), lower=1)[0]
        solved = cho_solve((lower, True), np.stack([targets - mean, np.ones(len(first))], axis=1))
        # Again, for the one that is reported: in double precision.
        left_out = _left_out(targets, solved, np.diagonal(dpotri(lower, lower=1)[0]), total)[numbers]
        dual = np.zeros(len(X))
        dual[first] = solved[:, 0]
        return cls(X, counted, dense, chosen, mean, dual, left_out)

    def predict(self, X: Matrix) -> NDArray[np.float64]:
        """Predictions [m] for rows [m, n_features]."""
        K = _kernel(self.chosen, *_parts(X, self.rows, self.counted, self.dense))
        return np.asarray(self.mean + K.astype(np.float64) @ self.dual)


def _parts(
    X: Matrix, rows: Matrix, counted: NDArray[np.bool_], dense: NDArray[np.bool_]
) -> tuple[Kernel | None, Kernel | None]:
    """MinMax kernel of the counts and squared distances of standardised dense columns [len(X), len(rows)].

    Distances are in medians of those among `rows`.
    """
    counts = None
    if counted.any():
        A, B = (np.hstack([part.clip(0), (-part).clip(0)]) for part in (X[:, counted], rows[:, counted]))
        counts = minmax_kernel(A, B)
    if not dense.any():
        return counts, None
    scaler = StandardScaler().fit(rows[:, dense].astype(np.float64))
    Z = scaler.transform(rows[:, dense])
    squared = euclidean_distances(Z, squared=True)
    median = np.median(squared[squared > 0])
    if X is not rows:
        squared = euclidean_distances(scaler.transform(X[:, dense]), Z, squared=True)
    return counts, (squared / median).astype(np.float32)


def _kernel(chosen: dict[str, Any], counts: Kernel | None, squared: Kernel | None) -> Kernel:
    if squared is None or chosen.get("weight") == 1:
        assert counts is not None
        return counts
    gauss = np.exp(-squared / np.float32(chosen["width"]))
    if counts is None:
        return gauss
    return np.float32(chosen["weight"]) * counts + np.float32(1 - chosen["weight"]) * gauss


class _Search:
    """The best combination so far, by the rows in places ``grid``, equal ones joined by `_once`."""

    def __init__(
        self,
        kind: str,
        y: NDArray,
        weights: NDArray | None,
        once: tuple[NDArray[np.intp], NDArray[np.intp], NDArray, NDArray | None],
        grid: NDArray[np.intp],
        parts: tuple[Kernel | None, Kernel | None],
    ) -> None:
        self.y, self.weights = y, weights
        first, self.numbers, self.targets, self.total = once
        among = np.ix_(grid[first], grid[first])
        self.counts, self.squared = (None if part is None else part[among] for part in parts)
        self.loss = _absolute_error if kind == "reg" else _one_minus_auroc
        self.chosen: dict[str, Any] = {}
        self.best = np.inf

    def add(self, width: float | None, weight: float | None) -> None:
        settings = {"weight": weight, "width": width}
        K = _kernel(settings, self.counts, self.squared)
        predictions = leave_one_out(K, self.targets, PENALTIES, self.total)[:, self.numbers]
        for penalty, left_out in zip(PENALTIES, predictions, strict=True):
            loss = self.loss(self.y, left_out, self.weights)
            if loss < self.best:
                self.chosen, self.best = settings | {"penalty": penalty}, loss


def _absolute_error(y: NDArray, prediction: NDArray, weights: NDArray | None) -> float:
    return float(mean_absolute_error(y, prediction, sample_weight=weights))


def _one_minus_auroc(y: NDArray, prediction: NDArray, weights: NDArray | None) -> float:
    return 1.0 - float(roc_auc_score(y, prediction, sample_weight=weights))
