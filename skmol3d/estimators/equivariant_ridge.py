"""Regression of molecular vectors and tensors on Mo3ENet's vector rows."""

from __future__ import annotations

from itertools import combinations_with_replacement, groupby, permutations
from numbers import Real
from typing import Any, Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skmol3d.featurizers.parameters import check_integer
from skmol3d.featurizers.vector_rows import split_rows

Array = NDArray[np.float64]

CHANNELS = {1: 64, 2: 12, 3: 5}
"""Default number of channels by rank: about a hundred products of them."""

CHUNK = 64
"""Molecules whose features are held at a time."""

ONE_SIGN = 16
"""Coordinates side by side among which vectors have a minus sign, whatever their frames: even where all
molecules stand alike, runs without one were not longer than 6. Lengths are all positive, and so are 192
scalars in a row of "mo3enet-druglike", which are deviations."""


class EquivariantRidge(RegressorMixin, BaseEstimator):
    """Ridge regression of vectors and tensors that rotates with its input, by construction.

    For dipoles, polarisabilities, quadrupole moments, hyperpolarisabilities, ... The ansatz is that of
    arXiv:2405.13791, appendix C: from the vectors v of a row,

    - rank 1: T = Σ w v,
    - rank 2: T = Σ w 1 + Σ w (v ⊗ v' + v' ⊗ v)/2,
    - rank 3: T = Σ w sym(1 ⊗ v) + Σ w sym(v ⊗ v' ⊗ v''), sym being the mean over the orders of the indices,

    where every weight w is linear in a few invariants of the row ("gates": principal components of its
    scalars and of the lengths of its vectors). The paper learns w and the choice of vectors with a network;
    here both are fixed or linear, so that the fit is a least-squares problem with one solution, which does
    not depend on the frames the training molecules stand in. Rotating, reflecting or inverting a row (see
    `Mo3ENetFeaturizer.rotate`) does the same to its prediction. The rank is that of the targets.

    Parameters
    ----------
    alpha : float, default=1e-4
        Penalty on the squared weights, relative to the sum of squares of all features of all molecules.
    gates : int, default=32
        Invariants that weights depend on, besides a constant; 0 gives constant weights.
    channels : int or None, default=None
        Vectors to combine: the principal components of the K vectors that carry the most length. None means
        64, 12 or 5 for rank 1, 2 or 3 (at most K). The number of weights grows as ``gates`` times
        ``channels`` to the power of the rank. (Terms 1 ⊗ v of rank 3 always take all K.)

    Attributes
    ----------
    rank_ : int
        Rank of the targets: 1, 2 or 3.
    coef_ : ndarray of float64, shape [n_weights]
        Weights.
    intercept_ : ndarray of float64, shape [3], [3, 3] or [3, 3, 3]
        What predictions start from, the mean of the targets over all rotations: for rank 2 the identity times
        a third of the mean trace; zero for ranks 1 and 3.
    n_features_in_ : int
        4K.

    References
    ----------
    https://doi.org/10.48550/arXiv.2405.13791, appendix C

    Examples
    --------
    >>> import numpy as np
    >>> from skmol3d import EquivariantRidge
    >>> rows = np.random.default_rng(0).normal(size=(100, 4 * 5))  # 5 vectors and 5 scalars each
    >>> dipoles = rows[:, :15].reshape(-1, 3, 5) @ [1.0, 0.5, 0.0, 0.0, -2.0]
    >>> head = EquivariantRidge(alpha=1e-9).fit(rows[:80], dipoles[:80])
    >>> head.predict(rows[80:]).shape, round(head.score(rows[80:], dipoles[80:]), 3)
    ((20, 3), 1.0)
    """

    def __init__(self, alpha: float = 1e-4, gates: int = 32, channels: int | None = None) -> None:
        self.alpha = alpha
        self.gates = gates
        self.channels = channels

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the weights.

        Parameters
        ----------
        X : array-like, shape [n, 4K]
            Rows of ``Mo3ENetFeaturizer(output="vector")``, not those of its other outputs (which are refused
            where they can be told apart, but the scalars of "mo3enet-small" cannot), and not scaled: a
            `StandardScaler` before this model would break the equivariance.
        y : array-like, shape [n, 3], [n, 3, 3] or [n, 3, 3, 3]
            Targets in any unit, in the frame of the coordinates that the rows were made from. Tensors must be
            symmetric in all their indices.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If shapes do not fit, numbers are not finite, a target is not symmetric (the first is named), or
            rows are none of vectors by the names of their columns or, of bare arrays, by their signs.
        """
        alpha: Any = self.alpha
        if not (isinstance(alpha, Real) and float(alpha) > 0):
            raise ValueError(f"alpha must be positive; got {alpha!r}")
        check_integer("gates", self.gates, 0)
        if self.channels is not None:
            check_integer("channels", self.channels, 1)
        X = validate_data(self, X, dtype=np.float64)
        names = getattr(self, "feature_names_in_", None)
        if names is not None and not str(names[0]).endswith("_x_0"):
            raise ValueError(
                f"X: {names[0]!r} is no column of vectors; give rows of Mo3ENetFeaturizer(output='vector')"
            )
        vectors, scalars = split_rows(X)
        if names is None:
            _check_signs(vectors)
        targets = _symmetric_tensors(y, len(X))
        self.rank_ = targets.ndim - 1
        self.intercept_ = _isotropic(targets)
        self._choose_channels(vectors)
        self._choose_gates(vectors, scalars)
        wanted = _components(targets - self.intercept_)
        gram, moment = np.zeros((1, 1)), np.zeros(1)
        for start in range(0, len(X), CHUNK):
            part = slice(start, start + CHUNK)
            features = self._features(vectors[part], scalars[part])
            flat = features.reshape(-1, features.shape[-1])
            gram = gram + flat.T @ flat
            moment = moment + flat.T @ wanted[part].ravel()
        gram[np.diag_indices_from(gram)] += self.alpha * np.trace(gram)
        try:
            self.coef_ = scipy.linalg.cho_solve(scipy.linalg.cho_factor(gram), moment)
        except np.linalg.LinAlgError as error:
            reason = "all vectors of X are zero" if not vectors.any() else f"alpha={self.alpha} is too small"
            raise ValueError(f"the weights are not determined: {reason}") from error
        return self

    def predict(self, X: Any) -> Array:
        """Predict vectors or tensors.

        Parameters
        ----------
        X : array-like, shape [n, 4K]
            Rows of ``Mo3ENetFeaturizer(output="vector")``.

        Returns
        -------
        ndarray of float64, shape [n, 3], [n, 3, 3] or [n, 3, 3, 3]
            In the units of the targets and the frames of the rows.
        """
        check_is_fitted(self)
        vectors, scalars = split_rows(validate_data(self, X, dtype=np.float64, reset=False))
        parts = []
        for start in range(0, len(vectors), CHUNK):
            part = slice(start, start + CHUNK)
            parts.append(self._features(vectors[part], scalars[part]) @ self.coef_)
        return _tensors(np.concatenate(parts), self.rank_) + self.intercept_

    def score(self, X: Any, y: Any) -> float:
        """Coefficient of determination over all components together; it does not depend on frames.

        1 - Σ|y - ŷ|² / Σ|y - m|², where m is the mean of `y` over all rotations (see `intercept_`). Where y
        is m throughout it is 1 if ŷ is, too, and else 0, as of `sklearn.metrics.r2_score`.

        Parameters
        ----------
        X : array-like, shape [n, 4K]
            Rows of ``Mo3ENetFeaturizer(output="vector")``.
        y : array-like, shape [n, 3], [n, 3, 3] or [n, 3, 3, 3]
            Targets.

        Returns
        -------
        float
        """
        predicted = self.predict(X)
        targets = _symmetric_tensors(y, len(predicted))
        if targets.shape != predicted.shape:
            raise ValueError(f"y must have shape {list(predicted.shape)}; got {list(targets.shape)}")
        spread = np.square(targets - _isotropic(targets)).sum()
        error = np.square(targets - predicted).sum()
        if spread == 0:
            return float(error == 0)
        return float(1 - error / spread)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        return tags

    def _choose_channels(self, vectors: Array) -> None:
        count = CHANNELS[self.rank_] if self.channels is None else self.channels
        self._count = min(count, vectors.shape[2])
        # No mean is subtracted: it would depend on the frames.
        flat = vectors.reshape(-1, vectors.shape[2])
        spread, mixtures = np.linalg.eigh(flat.T @ flat / len(vectors))
        # Of unit length altogether, so that products of several stay of the order of the gates.
        self._mixtures = mixtures[:, ::-1] / (np.sqrt(spread.sum()) or 1.0)

    def _choose_gates(self, vectors: Array, scalars: Array) -> None:
        invariants = _invariants(vectors, scalars)
        self._mean = invariants.mean(axis=0)
        spread = invariants.std(axis=0)
        self._spread = np.where(spread > 1e-6 * np.abs(self._mean), spread, np.inf)  # constants drop out
        standard = (invariants - self._mean) / self._spread
        variance, components = np.linalg.eigh(standard.T @ standard / len(standard))
        self._components = components[:, ::-1][:, : self.gates] / (np.sqrt(variance.sum()) or 1.0)

    def _features(self, vectors: Array, scalars: Array) -> Array:
        """Independent components [n, c, features] of gated tensors."""
        standard = (_invariants(vectors, scalars) - self._mean) / self._spread
        gates = np.concatenate([np.ones((len(vectors), 1)), standard @ self._components], axis=1)
        tensors = _products(vectors @ self._mixtures, self.rank_, self._count)
        return np.einsum("ncf,ng->ncfg", tensors, gates).reshape(*tensors.shape[:2], -1)


def _check_signs(vectors: Array) -> None:
    """Raise ValueError if [n, 3, K] are no vectors: too many coordinates side by side are never negative."""
    coordinates = vectors.reshape(len(vectors), -1)
    coordinates = coordinates[:, coordinates.any(axis=0)]  # of vectors in a plane those across it say nothing
    never = np.asarray((coordinates >= 0).all(axis=0))
    longest = max((len(list(run)) for plus, run in groupby(never) if plus), default=0)
    if longest >= ONE_SIGN:
        raise ValueError(
            f"X: {longest} columns side by side are never negative, which no coordinates of vectors are; give"
            " rows of Mo3ENetFeaturizer(output='vector')"
        )


def _invariants(vectors: Array, scalars: Array) -> Array:
    return np.concatenate([scalars, np.linalg.norm(vectors, axis=1)], axis=1)


def _products(u: Array, rank: int, channels: int) -> Array:
    """Components [n, c, f] of the tensors that vectors [n, 3, C] make, in products the first `channels`."""
    if rank == 1:
        return u[:, :, :channels]
    index, weight = _independent(rank)
    eye = np.eye(3)
    if rank == 2:
        isotropic = np.ones((len(u), 1, 1)) * eye[index[:, 0], index[:, 1]][:, None]
    else:
        i, j, k = index.T
        pairs = ((i, j, k), (i, k, j), (j, k, i))
        isotropic = sum(eye[a, b][:, None] * u[:, c] for a, b, c in pairs) / 3
    places = np.array(list(combinations_with_replacement(range(channels), rank)))
    orders = list(permutations(range(rank)))
    products = np.zeros((len(u), len(index), len(places)))
    for order in orders:
        factors = [u[:, index[:, k]][:, :, places[:, m]] for m, k in enumerate(order)]
        products += np.prod(factors, axis=0) / len(orders)
    return np.concatenate([isotropic, products], axis=2) * weight[:, None]


def _independent(rank: int) -> tuple[NDArray[np.intp], Array]:
    """Indices [c, rank] of a symmetric tensor's independent components, and weights that keep its norm."""
    index = list(combinations_with_replacement(range(3), rank))
    return np.array(index), np.sqrt([len(set(permutations(i))) for i in index])


def _components(tensors: Array) -> Array:
    """Independent components [n, c] of symmetric tensors, so weighted that their squares sum alike."""
    index, weight = _independent(tensors.ndim - 1)
    return tensors[:, *index.T] * weight


def _tensors(components: Array, rank: int) -> Array:
    """Symmetric tensors of their components: the inverse of `_components`."""
    index, weight = _independent(rank)
    tensors = np.empty((len(components), *[3] * rank))
    for order in permutations(range(rank)):
        tensors[:, *index[:, order].T] = components / weight
    return tensors


def _symmetric_tensors(y: Any, count: int) -> Array:
    targets = np.asarray(y, np.float64)
    if not 2 <= targets.ndim <= 4 or targets.shape != (count, *[3] * (targets.ndim - 1)):
        wanted = " or ".join(str([count, *[3] * rank]) for rank in (1, 2, 3))
        raise ValueError(f"y must have shape {wanted}; got {list(targets.shape)}")
    axes = tuple(range(1, targets.ndim))
    if not np.isfinite(targets).all():
        raise ValueError(f"y[{int(np.argmin(np.isfinite(targets).all(axis=axes)))}] is not finite")
    for order in permutations(axes):
        excess = np.abs(targets - targets.transpose(0, *order)).max(axis=axes)
        skewed = np.flatnonzero(excess > 1e-6 * np.abs(targets).max())
        if len(skewed):
            raise ValueError(f"y[{skewed[0]}] is not symmetric in its indices")
    return targets


def _isotropic(targets: Array) -> Array:
    """Mean of tensors [n, 3, ...] over all rotations and over n: what no frame can change."""
    if targets.ndim != 3:
        return np.zeros(targets.shape[1:])
    return np.eye(3) * np.einsum("nii->", targets) / (3 * len(targets))
