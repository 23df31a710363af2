"""Scaling of rows that hold counts and other columns, for linear models."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skmol3d.estimators.kernel_ridge import counted_columns


class RowScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Standardise the columns of rows, but leave counts at their scale.

    A substructure that two molecules of a thousand have is a column with a standard deviation of 0.04.
    `StandardScaler` makes it as long as logP: a ridge regression then spends its penalty on hundreds of such
    columns, and the few that say something of every molecule drown. Here columns that hold whole numbers in
    training, such as counts of substructures and bits of fingerprints, are centred alone; all others get a
    standard deviation of 1, too. Columns of another kind that happen to be whole (an area that is 0 for all)
    count as counts. Rows of `skmol3d.ECFPFeaturizer` gain nearly always, those of `skmol3d.REM3DIFeaturizer`
    where few columns say most, as of solvation and solubility; try both scalers.

    Attributes
    ----------
    mean_, scale_ : ndarray of float64, shape [n_features]
        What is taken off, and what the rest is divided by: 1 for counts and constant columns.
    n_features_in_ : int

    Examples
    --------
    >>> from sklearn.linear_model import RidgeCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmol3d import ECFPFeaturizer, RowScaler
    >>> model = make_pipeline(ECFPFeaturizer(count=True), RowScaler(), RidgeCV([1, 10, 100]))
    >>> model.fit(["CO", "CCO", "CCCO", "CCCCO"], [1.0, 2.0, 3.0, 4.0]).predict(["CCCCCO"]).round() > 2
    array([ True])
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Measure means and standard deviations.

        Parameters
        ----------
        X : array-like, shape [n, n_features]
            Rows, none missing.
        y : object, default=None
            Ignored.

        Returns
        -------
        self
        """
        X = validate_data(self, X, dtype=np.float64)
        deviation = X.std(axis=0)
        # What differs by rounding alone is constant, as for StandardScaler.
        varies = deviation > 10 * np.finfo(np.float64).eps * np.abs(X).max(axis=0)
        self.mean_ = X.mean(axis=0)
        self.scale_ = np.where(counted_columns(X) | ~varies, 1.0, deviation)
        return self

    def transform(self, X: Any) -> NDArray[np.float64]:
        """Scaled rows, float64 [n, n_features]."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        scaled: NDArray[np.float64] = (X - self.mean_) / self.scale_
        return scaled
