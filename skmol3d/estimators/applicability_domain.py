"""Which molecules resemble those that a model was trained on."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.model_selection import KFold
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.validation import check_is_fitted, validate_data

from skmol3d.featurizers.parameters import check_integer

FOLDS = 10
"""Parts of the training set; the distances of each are measured to the others."""


class ApplicabilityDomain(OutlierMixin, BaseEstimator):
    """Tell molecules that resemble the training molecules from those that do not.

    The distance of a molecule is the mean distance of its row to the `n_neighbors` nearest training rows. It
    is inside the domain if that is at most what a fraction `coverage` of the training molecules have to the
    rest of the training set, a tenth of them being held out at a time. Distances are cosine distances, after
    every column was divided by its largest absolute value in training: with fingerprints, counts and dense
    columns alike, a molecule that shares nothing with the training set is then far away. (Euclidean distances
    of standardised columns are not used: in sparse columns they call a molecule near that has next to none of
    them, such as methane.) Of REM3DI's rows take ``blocks=("surface",)``: its dense columns are relative to
    drug-like molecules, next to which all small ones look alike.

    **What is promised:** of new molecules drawn as the training molecules were, a fraction of at least about
    `coverage` is inside, whatever the rows are. **What is not:** that predictions inside are right, or those
    outside wrong; that every kind of molecule is inside with this frequency; or the fraction where training
    molecules resemble each other more than new ones resemble them, as in series of analogues, or where one
    molecule has several rows: take each once.

    Parameters
    ----------
    n_neighbors : int, default=5
        Training rows that a distance is the mean over.
    coverage : float, default=0.95
        Fraction of molecules, drawn as the training molecules were, that are to be inside; above 0, below 1.

    Attributes
    ----------
    distances_ : ndarray, shape [n]
        Distances of the training rows from those that were not held out with them: 0 to 2.
    offset_ : float
        Minus the largest distance that is inside: of n training rows, that of rank ⌈(n + 1) coverage⌉, or n
        if n is too small for this rank (19 rows are needed for a coverage of 0.95).
    n_features_in_ : int
        Number of columns.

    References
    ----------
    Sheridan et al., J. Chem. Inf. Comput. Sci. 44, 1912 (2004), https://doi.org/10.1021/ci049782w, on
    distance to the training set as a measure of reliability; Barber et al., Ann. Statist. 49, 486 (2021),
    https://doi.org/10.1214/20-AOS1965, on coverage from held-out parts of the training set.

    Examples
    --------
    >>> from sklearn.model_selection import cross_val_predict
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmol3d import ApplicabilityDomain, ECFPFeaturizer
    >>> from skmol3d.datasets import load_small_organics
    >>> smiles = load_small_organics().data.sample(500, random_state=0)
    >>> domain = make_pipeline(ECFPFeaturizer(), ApplicabilityDomain()).fit(smiles)
    >>> domain.predict(["C", "Cc1ccc(O)cc1", "ClC(Cl)(Cl)Cl"])  # methane, p-cresol, tetrachloromethane
    array([-1,  1, -1])
    >>> float((cross_val_predict(domain, smiles, cv=5) == 1).mean())  # molecules of the same table
    0.96
    """

    offset_: float
    _scaler: MaxAbsScaler
    _neighbors: NearestNeighbors

    def __init__(self, n_neighbors: int = 5, coverage: float = 0.95) -> None:
        self.n_neighbors = n_neighbors
        self.coverage = coverage

    def fit(self, X: Any, y: Any = None) -> Self:
        """Measure the distances within the training set.

        Parameters
        ----------
        X : array-like or sparse, shape [n, n_features]
            Rows of the molecules that a model is trained on: at least 10/9 of `n_neighbors`, of two or more
            columns.
        y : object
            Not looked at.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is invalid, rows are too few or numbers not finite (see `SkipFailures`).
        """
        check_integer("n_neighbors", self.n_neighbors, 1)
        if not isinstance(self.coverage, Real) or not 0 < self.coverage < 1:
            raise ValueError(f"coverage must be a number above 0 and below 1; got {self.coverage!r}")
        fewest = math.ceil(self.n_neighbors * FOLDS / (FOLDS - 1))
        X = self._validated(X, ensure_min_samples=fewest, ensure_min_features=2)
        # Out of fold with columns scaled anew: a column that only one molecule fills is new to the others.
        self.distances_ = np.empty(X.shape[0])
        for others, fold in KFold(min(FOLDS, X.shape[0]), shuffle=True, random_state=0).split(X):
            self.distances_[fold] = self._distances(*self._trained(X[others]), X[fold])
        self._scaler, self._neighbors = self._trained(X)
        rank = min(math.ceil((len(self.distances_) + 1) * self.coverage), len(self.distances_))
        self.offset_ = -float(np.sort(self.distances_)[rank - 1])
        return self

    def score_samples(self, X: Any) -> NDArray[np.floating]:
        """Minus the distance of each row [n] to the training rows; the lower, the stranger.

        A training molecule is among its own neighbours here; `distances_` has its distance to others.

        Parameters
        ----------
        X : array-like or sparse, shape [n, n_features]
            Rows.

        Returns
        -------
        ndarray, shape [n]
        """
        check_is_fitted(self)
        return -self._distances(self._scaler, self._neighbors, self._validated(X, reset=False))

    def decision_function(self, X: Any) -> NDArray[np.floating]:
        """``score_samples(X) - offset_`` [n]: negative outside the domain.

        Parameters
        ----------
        X : array-like or sparse, shape [n, n_features]
            Rows.

        Returns
        -------
        ndarray, shape [n]
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """1 inside the domain, -1 outside.

        Parameters
        ----------
        X : array-like or sparse, shape [n, n_features]
            Rows.

        Returns
        -------
        ndarray of int64, shape [n]
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def _trained(self, X: Any) -> tuple[MaxAbsScaler, NearestNeighbors]:
        scaler = MaxAbsScaler().fit(X)
        neighbors = NearestNeighbors(n_neighbors=self.n_neighbors, metric="cosine")
        return scaler, neighbors.fit(scaler.transform(X))

    def _distances(self, scaler: MaxAbsScaler, neighbors: NearestNeighbors, X: Any) -> NDArray[np.floating]:
        return neighbors.kneighbors(scaler.transform(X))[0].mean(axis=1)

    def _validated(self, X: Any, **checks: Any) -> Any:
        return validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], **checks)
