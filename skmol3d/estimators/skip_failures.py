"""Models that skip the molecules that a featurizer failed on."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.metrics import check_scoring
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing, check_array, check_consistent_length, get_tags, indexable
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if

# Private, but what scikit-learn's own searches use: weights are cut to the rows, everything else passes.
from sklearn.utils.validation import _check_method_params, check_is_fitted

from skmol3d.estimators.failed import failures_of, reads_molecules, spread
from skmol3d.structures import iter_inputs

AROUND = (
    "SkipFailures takes rows of numbers, unless it is directly around a pipeline that begins with a "
    "featurizer. A search goes around SkipFailures; a TransformedTargetRegressor goes around the last step "
    "of the pipeline alone, or around SkipFailures with transformer=FunctionTransformer(func, inverse_func), "
    "since its own func and inverse_func refuse predictions that are NaN."
)


class SkipFailures(MetaEstimatorMixin, BaseEstimator):
    """Fit on the molecules that have a row, and predict NaN for those that have none.

    A featurizer with ``errors="nan"`` turns a molecule it fails on into a row of NaN, at which most models
    stop. Wrapped around the whole pipeline, this leaves such rows out of X, y and weights when the model is
    fitted and scored, and gives NaN where a prediction would stand, so that predictions keep the places of
    their molecules. It can be cross-validated and searched like what it wraps, whose parameters are
    ``estimator__...``.

    Parameters
    ----------
    estimator : estimator
        A `Pipeline`, whose first step makes the rows (a featurizer, or a `ColumnTransformer` or
        `FeatureUnion` with one inside); an estimator that reads molecules itself, such as
        `skmol3d.REM3DIRegressor`, whose ``errors`` is then "nan"; or, as the last step of a pipeline, any
        estimator that takes rows. A search over a pipeline goes around this, not inside. A row with a NaN in
        any column has failed: impute, within the first step, columns where gaps are no failures.
    scoring : str, callable or None, default=None
        What `score` computes, as in `sklearn.model_selection.cross_val_score`; None means the estimator's own
        score. **Set it here**, not in `cross_val_score` or `GridSearchCV`, which use it if their own
        `scoring` is left alone: scikit-learn's metrics refuse predictions that are NaN. For several metrics
        at once, drop the NaN that `cross_val_predict` gives.

    Attributes
    ----------
    estimator_ : estimator
        What was fitted on the rows: for a pipeline, its steps after the first.
    featurizer_ : Pipeline or None
        The first step of a pipeline, by itself.
    failures_ : DataFrame with columns index, input, reason
        Failures of the last `fit`, `predict` or `score`, if the first step is a featurizer or has one inside.
    classes_, n_features_in_, feature_names_in_
        Those of what is wrapped, if it has them.

    Notes
    -----
    A score says nothing about the molecules that failed; `score` warns how many they were. Models that fail
    on different molecules (a search over featurizers, say) have scores on different molecules.

    Where predictions are numbers, they become floats if one of them is NaN. Predicted classes that are no
    numbers become an array of objects, with NaN as pandas has it.

    A `TransformedTargetRegressor` goes around the last step alone: ``SkipFailures(make_pipeline(featurizer,
    TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp)))``. Around `SkipFailures`, as of
    `skmol3d.REM3DIRegressor`, which has no steps, it takes ``transformer=FunctionTransformer(np.log,
    np.exp)``: its own ``func`` and ``inverse_func`` refuse predictions that are NaN.

    With scikit-learn's metadata routing, weights go where what is wrapped requests them, but not to the first
    step of a pipeline; with `scoring` a scorer requests its own.

    Examples
    --------
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from skmol3d import ECFPFeaturizer, SkipFailures
    >>> smiles = ["CCO", "CCCO", "CCCCO", "C(", "CCN", "CCCN", "CCCCN"]
    >>> logp = [-0.3, 0.3, 0.9, 0.0, -0.1, 0.5, 1.0]
    >>> pipeline = make_pipeline(ECFPFeaturizer(errors="nan"), Ridge())
    >>> model = SkipFailures(pipeline, scoring="neg_mean_absolute_error").fit(smiles, logp)
    >>> model.failures_["input"].tolist()
    ["'C('"]
    >>> model.predict(["CCCCCO", "O=C=O=C"]).round(1)
    array([0.7, nan], dtype=float32)
    >>> search = GridSearchCV(model, {"estimator__ridge__alpha": [0.1, 1.0]}, cv=2).fit(smiles[4:], logp[4:])
    >>> search.best_params_
    {'estimator__ridge__alpha': 0.1}
    """

    estimator_: Any
    featurizer_: Any

    def __init__(self, estimator: Any, scoring: Any = None) -> None:
        self.estimator = estimator
        self.scoring = scoring

    def fit(self, X: Any, y: Any = None, **params: Any) -> Self:
        """Fit the estimator on the rows that did not fail.

        Parameters
        ----------
        X : iterable of molecules, or array-like, shape [n, n_features]
            What the estimator takes.
        y : array-like, length n
            Targets.
        **params : object
            Passed to the estimator's `fit` (for a pipeline as ``step__parameter``, or as requested where
            metadata routing is on). What has length n, such as weights, loses the same rows as `y`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If every row failed.
        """
        params = self._routed("fit", params)
        model = clone(self.estimator)
        if reads_molecules(model):
            self.featurizer_ = None
            self.estimator_ = model.set_params(errors="nan").fit(X, y, **params)
            return self
        featurizer = None
        if isinstance(model, Pipeline) and len(model.steps) > 1:
            featurizer, model = model[:1], model[1:]
        (rows,) = indexable(X if featurizer is None else featurizer.fit_transform(X, y))
        rows, y, params, _ = self._intact(featurizer, rows, y, params, "fit")
        self.featurizer_ = featurizer
        self.estimator_ = model.fit(rows, y, **params)
        self._example = _safe_indexing(rows, [0])
        return self

    @available_if(lambda self: self._wrapped("predict"))
    def predict(self, X: Any, **params: Any) -> Any:
        """Predict; NaN for what failed.

        Parameters
        ----------
        X : iterable of molecules, or array-like, shape [n, n_features]
            What the estimator takes.
        **params : object
            Passed to the estimator's `predict`, such as ``return_std=True``.

        Returns
        -------
        ndarray, shape [n] or [n, n_outputs], or tuple of such
            Of the estimator's type if nothing failed, else see the notes of the class. A tuple is what the
            estimator gives, such as predictions and standard deviations; NaN for what failed in each.
        """
        return self._predicted("predict", X, **self._routed("predict", params))

    @available_if(lambda self: self._wrapped("predict_proba"))
    def predict_proba(self, X: Any) -> Any:
        """Predict probabilities [n, n_classes], a list for several outputs; rows of NaN for what failed."""
        return self._predicted("predict_proba", X)

    @available_if(lambda self: self._wrapped("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> Any:
        """Predict logarithms of probabilities, shaped as these; rows of NaN for what failed."""
        return self._predicted("predict_log_proba", X)

    @available_if(lambda self: self._wrapped("decision_function"))
    def decision_function(self, X: Any) -> Any:
        """Decision function [n] or [n, n_classes]; NaN for what failed."""
        return self._predicted("decision_function", X)

    @available_if(lambda self: self._wrapped("score_samples"))
    def score_samples(self, X: Any) -> Any:
        """Scores [n] of the single rows, as of an outlier detector; NaN for what failed."""
        return self._predicted("score_samples", X)

    @available_if(lambda self: self.scoring is not None or self._wrapped("score"))
    def score(self, X: Any, y: Any = None, **params: Any) -> float:
        """Score the rows that did not fail; warns how many failed.

        Parameters
        ----------
        X : iterable of molecules, or array-like, shape [n, n_features]
            What the estimator takes.
        y : array-like, length n
            Targets.
        **params : object
            Passed to the scorer. What has length n, such as `sample_weight`, loses the same rows as `y`.

        Returns
        -------
        float
            Of `scoring`, or the estimator's own.

        Raises
        ------
        ValueError
            If every row failed.
        """
        params = self._routed("score", params)
        rows, y, params, failed = self._intact(self.featurizer_, self._rows(X), y, params, "score")
        if failed.any():
            warnings.warn(
                f"{failed.sum()} of {len(failed)} rows failed and are not in the score", stacklevel=2
            )
        return check_scoring(self.estimator_, self.scoring)(self.estimator_, rows, y, **params)

    def get_metadata_routing(self) -> MetadataRouter:
        """Where metadata goes, such as weights: to what is wrapped, and to a scorer of `scoring`."""
        methods = ["fit", "predict"] if self.scoring is not None else ["fit", "predict", "score"]
        mapping, router = MethodMapping(), MetadataRouter(owner=self)
        for method in methods:
            mapping.add(caller=method, callee=method)
        router.add(estimator=self.estimator, method_mapping=mapping)
        if self.scoring is not None:
            own = MethodMapping().add(caller="score", callee="score")
            router.add(scorer=check_scoring(self.estimator, self.scoring), method_mapping=own)
        return router

    def _routed(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Parameters of a call, where metadata routing is on by the names that the receiver requests."""
        if not params or not get_config()["enable_metadata_routing"]:
            return params
        receiver = "scorer" if method == "score" and self.scoring is not None else "estimator"
        return process_routing(self, method, **params)[receiver][method]

    @property
    def failures_(self) -> pd.DataFrame:
        check_is_fitted(self)
        table = failures_of(self.featurizer_ or self.estimator_)
        if table is None:
            raise AttributeError("failures_: no featurizer is in the first step")
        return table

    @property
    def classes_(self) -> Any:
        return self.estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        return self._first().n_features_in_

    @property
    def feature_names_in_(self) -> Any:
        return self._first().feature_names_in_

    def __sklearn_tags__(self) -> Any:
        tags = get_tags(self.estimator)
        tags.input_tags.allow_nan = True
        return tags

    def _wrapped(self, method: str) -> bool:
        return hasattr(getattr(self, "estimator_", self.estimator), method)

    def _first(self) -> Any:
        return self.estimator_ if self.featurizer_ is None else self.featurizer_

    def _rows(self, X: Any) -> Any:
        check_is_fitted(self)
        if reads_molecules(self.estimator_):
            return list(iter_inputs(X))
        return indexable(X if self.featurizer_ is None else self.featurizer_.transform(X))[0]

    def _intact(
        self, featurizer: Any, rows: Any, y: Any, params: dict[str, Any], purpose: str
    ) -> tuple[Any, Any, dict[str, Any], NDArray[np.bool_]]:
        """Rows, targets and parameters without what failed, and what failed [n]."""
        failed = self._failed(rows)
        check_consistent_length(failed, y)
        if failed.all():
            table = failures_of(featurizer)
            reason = "" if table is None else "; the first: {input}: {reason}".format_map(table.iloc[0])
            raise ValueError(f"all {len(failed)} rows failed, there is nothing to {purpose}{reason}")
        if failed.any():
            kept = np.flatnonzero(~failed)
            params = _check_method_params(failed, params, kept)
            rows, y = _safe_indexing(rows, kept), None if y is None else _safe_indexing(y, kept)
        return rows, y, params, failed

    def _failed(self, rows: Any) -> NDArray[np.bool_]:
        if reads_molecules(self.estimator):
            predicted: Any = np.asarray(self.estimator_.predict(rows)).reshape(len(rows), -1)
            return pd.isna(predicted).any(axis=1)
        try:
            cells = check_array(
                rows, accept_sparse="coo", dtype=None, ensure_all_finite=False, estimator=self
            )
        except ValueError as error:
            if not isinstance(self.estimator, Pipeline):
                error.add_note(AROUND)
            raise
        if scipy.sparse.issparse(cells):
            return np.bincount(cells.row[np.isnan(cells.data)], minlength=cells.shape[0]) > 0
        return pd.isna(cells).any(axis=1)

    def _predicted(self, method: str, X: Any, **params: Any) -> Any:
        rows = self._rows(X)
        predict: Callable[[Any], Any] = partial(getattr(self.estimator_, method), **params)
        if reads_molecules(self.estimator_):
            return predict(rows)
        failed = self._failed(rows)
        if not failed.any():
            return predict(rows)
        # Where no row is left, one of the training set tells the shape.
        kept = np.flatnonzero(~failed)
        known = predict(_safe_indexing(rows, kept) if len(kept) else self._example)
        if isinstance(known, list | tuple):  # probabilities of several outputs; standard deviations, too
            return type(known)(spread(part, kept, len(failed)) for part in known)
        return spread(known, kept, len(failed))
