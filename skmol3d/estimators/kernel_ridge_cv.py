"""Kernel ridge regression as scikit-learn estimators, with nothing to tune."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skmol3d.estimators.kernel_ridge import RowKernelRidge, drawn
from skmol3d.featurizers.parameters import check_integer


class _KernelRidge(BaseEstimator):
    """What regression and classification share."""

    def __init__(self, max_samples: int = 4000, random_state: Any = 0) -> None:
        self.max_samples = max_samples
        self.random_state = random_state

    def _fit(self, kind: str, X: NDArray[np.float32], y: NDArray[np.float64]) -> None:
        check_integer("max_samples", self.max_samples, 2)
        sample = None
        if len(X) > self.max_samples:
            sample = drawn(kind, y, int(self.max_samples), check_random_state(self.random_state))
        self.kernel_ = RowKernelRidge.fit(kind, X, y, sample)
        self.chosen_ = dict(self.kernel_.chosen)

    def _predicted(self, X: Any) -> NDArray[np.float64]:
        check_is_fitted(self)
        return self.kernel_.predict(validate_data(self, X, reset=False, dtype=np.float32))


class KernelRidgeCV(RegressorMixin, _KernelRidge):
    """Kernel ridge regression for rows of counts and other columns, tuned by exact leave-one-out errors.

    Columns that hold whole numbers in training, such as counts of substructures (also as `REM3DIFeaturizer`
    scales them), get the MinMax kernel (Tanimoto's where they are 0 or 1), the others a Gaussian of the
    distance between standardised rows; both are added where there are both. The weight of the two, the
    Gaussian's width and the penalty are those with the smallest mean absolute error of every molecule
    predicted by all the others, which one decomposition of the kernel gives exactly. Equal rows (repeated
    measurements, or molecules that a fingerprint does not tell apart) are left out together. It is the head
    ``kernel`` of ``skmol3d benchmark``.

    Time grows with the cube of the number of molecules, memory with its square (some five arrays): for much
    more than ten thousand take a linear model.

    Parameters
    ----------
    max_samples : int, default=4000
        Molecules to choose kernel and penalty by; of more, this many drawn at random. All are fitted.
    random_state : int, RandomState or None, default=0
        Draws them.

    Attributes
    ----------
    chosen_ : dict
        ``penalty``, and where there are columns for them ``width`` (in medians of the squared distance) and
        ``weight`` (of the MinMax kernel).
    left_out_ : ndarray of float64, shape [n]
        Prediction of each training molecule by the fit to all others, without rows equal to its own: an
        honest look at its error, but for the choice of few settings.
    n_features_in_ : int

    References
    ----------
    MinMax kernel, https://doi.org/10.1016/j.neunet.2005.07.009

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmol3d import ECFPFeaturizer, KernelRidgeCV
    >>> model = make_pipeline(ECFPFeaturizer(count=True), KernelRidgeCV())
    >>> model.fit(["CO", "CCO", "CCCO", "CCCCO"], [1.0, 2.0, 3.0, 4.0]).predict(["CCCCCO"]).round() > 2
    array([ True])
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Choose kernel and penalty, and fit.

        Parameters
        ----------
        X : array-like, shape [n, p]
            Rows; two or more.
        y : array-like, shape [n]
            Targets in any unit.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If shapes do not fit, or numbers are not finite.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=True, ensure_min_samples=2)
        self._fit("reg", X, np.asarray(y, np.float64))
        self.left_out_ = self.kernel_.left_out
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Predict targets [m] for rows [m, p]."""
        return self._predicted(X)


class KernelRidgeClassifierCV(ClassifierMixin, _KernelRidge):
    """Two classes by kernel ridge regression of their labels, tuned by exact leave-one-out AUROC.

    As `KernelRidgeCV`, for targets -1 and 1; molecules are ranked by `decision_function`, as with
    scikit-learn's `RidgeClassifierCV`. There are no probabilities: for them wrap it in
    `sklearn.calibration.CalibratedClassifierCV`.

    Parameters
    ----------
    max_samples : int, default=4000
        Molecules to choose kernel and penalty by; of more, this many drawn at random. All are fitted.
    random_state : int, RandomState or None, default=0
        Draws them.

    Attributes
    ----------
    classes_ : ndarray, shape [2]
    chosen_ : dict
        As of `KernelRidgeCV`.
    left_out_ : ndarray of float64, shape [n]
        Decision function of each training molecule by the fit to all others, without rows equal to its own.
    n_features_in_ : int

    References
    ----------
    MinMax kernel, https://doi.org/10.1016/j.neunet.2005.07.009

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmol3d import ECFPFeaturizer, KernelRidgeClassifierCV
    >>> model = make_pipeline(ECFPFeaturizer(count=True), KernelRidgeClassifierCV())
    >>> model.fit(["CCO", "CCCO", "CCC", "CCCC"], ["polar", "polar", "not", "not"]).predict(["CCCCO"])
    array(['polar'], dtype='<U5')
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Choose kernel and penalty, and fit.

        Parameters
        ----------
        X : array-like, shape [n, p]
            Rows.
        y : array-like, shape [n]
            Labels of two classes.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If there are not two classes, shapes do not fit, or numbers are not finite.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, ensure_min_samples=2)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) > 2:
            raise ValueError(f"Only binary classification is supported; y has {len(self.classes_)} classes")
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class only, {self.classes_.tolist()[0]!r}: nothing to tell apart")
        self._fit("cls", X, codes.astype(np.float64))
        self.left_out_ = 2 * self.kernel_.left_out - 1
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:
        """Rank molecules [m]: above 0 for ``classes_[1]``, about -1 and 1 for clear cases."""
        return 2 * self._predicted(X) - 1

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict labels [m] for rows [m, p]."""
        above = self.decision_function(X) > 0
        return np.asarray(self.classes_[above.astype(int)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags
