"""Heads: the estimators put on top of a feature matrix, tuned on its training part alone.

Every method meets the same heads and the same grids, with all of its columns:

- ``linear``: standardised features; ridge regression with the penalty chosen by leave-one-out squared error
  (exact, one decomposition), or logistic regression with the penalty chosen by stratified 5-fold AUROC
  (fewer folds where a class has fewer members).
- ``unscaled``: the same with the features as they come.
- ``default``: ``Ridge()`` or ``LogisticRegression()`` with the features as they come and nothing tuned.
- ``forest``: random forest; the grid is read off the out-of-bag score of small forests, the winner is grown
  in full. Out-of-bag scoring costs a fraction of nested folds, and that is what lets every method have it.
- ``kernel``: kernel ridge regression, MinMax kernel on counts and Gaussian on other columns, all chosen by
  exact leave-one-out score (`skmol3d.estimators.kernel_ridge`).

Inner scores of all heads tell of molecules that the model at hand has not met (one left out, a fold left
out, or out of bag), so that a head can be chosen by them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmol3d.benchmark.scores import METRIC, Matrix, better, score
from skmol3d.estimators.kernel_ridge import RowKernelRidge

RIDGE_ALPHAS = np.logspace(-1, 5, 13)
LOGISTIC_CS = np.logspace(-4, 0, 5)
# Standardised rows are longer the more columns there are.
UNSCALED_ALPHAS = np.logspace(-2, 4, 13)
UNSCALED_CS = np.logspace(-2, 2, 5)
FOREST_GRID: list[dict[str, Any]] = [
    {"max_features": features, "min_samples_leaf": leaf} for features, leaf in product(("sqrt", 0.15), (1, 2))
]
FOREST_TREES = 200
SEARCH_TREES = 50


@dataclass(frozen=True, slots=True)
class HeadFit:
    """What a tuned head says about the test part.

    Attributes
    ----------
    prediction : ndarray of shape (n_test,)
        Value, or what ranks the positive class (its probability, for `kernel` its regressed label).
    inner_score : float
        The metric (MAE or AUROC) estimated inside the training part: leave-one-out, over folds or out-of-bag.
    chosen : dict
        The hyper-parameters picked.
    """

    prediction: NDArray[np.float64]
    inner_score: float
    chosen: dict[str, Any]


def _linear(
    kind: str,
    X: Matrix,
    y: NDArray,
    X_test: Matrix,
    seed: int,
    scaler: Callable[[], Any] = StandardScaler,
    alphas: NDArray[np.float64] = RIDGE_ALPHAS,
    cs: NDArray[np.float64] = LOGISTIC_CS,
) -> HeadFit:
    X, X_test = X.astype(np.float64), X_test.astype(np.float64)
    if kind == "reg":
        return _ridge(X, y, X_test, scaler(), alphas)
    return _logistic(X, y, X_test, seed, scaler(), cs)


def _ridge(X: Matrix, y: NDArray, X_test: Matrix, scaler: Any, alphas: NDArray[np.float64]) -> HeadFit:
    # scikit-learn's "auto" takes the slow one of its two exact decompositions when n > p.
    mode = "svd" if X.shape[0] > X.shape[1] else "eigen"
    ridge = RidgeCV(alphas, gcv_mode=mode, store_cv_results=True)
    pipeline = make_pipeline(scaler, ridge).fit(X, y)
    squared_errors = ridge.cv_results_[:, alphas.tolist().index(ridge.alpha_)]
    inner = float(np.sqrt(squared_errors).mean())
    return HeadFit(pipeline.predict(X_test), inner, {"alpha": f"{ridge.alpha_:.4g}"})


def _logistic(
    X: Matrix, y: NDArray, X_test: Matrix, seed: int, scaler: Any, cs: NDArray[np.float64]
) -> HeadFit:
    # A fold without one of the classes has no AUROC.
    fewest = int(min((y == 0).sum(), (y == 1).sum()))
    if fewest < 2:
        raise ValueError(
            f"a training part has {int((y == 1).sum())} active of {len(y)} molecules; "
            "logistic regression needs 2 or more of either class, the heads forest and kernel do not"
        )
    search = GridSearchCV(
        make_pipeline(scaler, LogisticRegression(max_iter=5000)),
        {"logisticregression__C": cs},
        scoring="roc_auc",
        cv=StratifiedKFold(min(5, fewest), shuffle=True, random_state=seed),
    ).fit(X, y)
    chosen = {"C": f"{search.best_params_['logisticregression__C']:.4g}"}
    return HeadFit(search.predict_proba(X_test)[:, 1], float(search.best_score_), chosen)


def _forest(kind: str, X: Matrix, y: NDArray, X_test: Matrix, seed: int) -> HeadFit:
    def grow(trees: int, settings: dict[str, Any]) -> tuple[Any, float]:
        family = RandomForestRegressor if kind == "reg" else RandomForestClassifier
        forest = family(trees, oob_score=True, random_state=seed, **settings).fit(X, y)
        oob = forest.oob_prediction_ if kind == "reg" else forest.oob_decision_function_[:, 1]
        return forest, score(kind, y, oob)

    chosen, best = FOREST_GRID[0], grow(SEARCH_TREES, FOREST_GRID[0])[1]
    for settings in FOREST_GRID[1:]:
        candidate = grow(SEARCH_TREES, settings)[1]
        if better(kind, candidate, best):
            chosen, best = settings, candidate
    forest, inner = grow(FOREST_TREES, chosen)
    prediction = forest.predict(X_test) if kind == "reg" else forest.predict_proba(X_test)[:, 1]
    return HeadFit(prediction, inner, dict(chosen))


def _kernel(kind: str, X: Matrix, y: NDArray, X_test: Matrix, seed: int) -> HeadFit:
    kernel = RowKernelRidge.fit(kind, X, y)
    chosen = {name: f"{value:.4g}" for name, value in kernel.chosen.items()}
    return HeadFit(kernel.predict(X_test), score(kind, y, kernel.left_out), chosen)


HEADS: dict[str, Callable[[str, Matrix, NDArray, Matrix, int], HeadFit]] = {
    "linear": _linear,
    "forest": _forest,
    "kernel": _kernel,
    "unscaled": partial(_linear, scaler=FunctionTransformer, alphas=UNSCALED_ALPHAS, cs=UNSCALED_CS),
    "default": partial(_linear, scaler=FunctionTransformer, alphas=np.ones(1), cs=np.ones(1)),
}


def check_heads(heads: Sequence[str]) -> None:
    """Raise ValueError for heads that there are not."""
    unknown = [head for head in heads if head not in HEADS]
    if unknown:
        raise ValueError(f"unknown heads {unknown}; known heads: {', '.join(HEADS)}")


def fit_head(
    head: str,
    kind: str,
    X: Matrix,
    y: NDArray,
    X_test: Matrix,
    seed: int = 0,
) -> HeadFit:
    """Tune a head on a training part and predict a test part.

    Missing values are replaced by the medians of the training part, for every head and method.

    Parameters
    ----------
    head : {"linear", "forest", "kernel", "unscaled", "default"}
        Ridge (logistic for classes), forest, kernel ridge, or ridge without standardisation, tuned or not.
    kind : {"reg", "cls"}
        Regression, or two classes coded 0 and 1.
    X : ndarray of shape (n_train, n_features)
        Training features.
    y : ndarray of shape (n_train,)
        Training targets.
    X_test : ndarray of shape (n_test, n_features)
        Test features.
    seed : int
        Seed of the forests and of the inner folds.

    Returns
    -------
    HeadFit
        Test predictions, inner score and chosen hyper-parameters.

    Raises
    ------
    ValueError
        If the head or the kind is unknown.
    """
    if head not in HEADS:
        raise ValueError(f"unknown head {head!r}; known heads: {', '.join(HEADS)}")
    if kind not in METRIC:
        raise ValueError(f"unknown task kind {kind!r}; known kinds: {', '.join(METRIC)}")
    if np.isnan(X).any() or np.isnan(X_test).any():
        imputer = SimpleImputer(strategy="median", keep_empty_features=True).fit(X)
        X, X_test = imputer.transform(X), imputer.transform(X_test)
    return HEADS[head](kind, X, y, X_test, seed)
