"""Heads: the estimators put on top of a feature matrix, tuned on its training part alone.

Every method meets the same heads and the same grids; a method whose rows consist of blocks offers sets of
columns, and the head takes the set with the best inner score, as a search over ``blocks`` would:

- ``linear``: standardised features; ridge regression with the penalty chosen by leave-one-out squared error
  (exact, one decomposition), or logistic regression with the penalty chosen by stratified 5-fold AUROC.
- ``forest``: random forest; the grid is read off the out-of-bag score of small forests, the winner is grown
  in full. Out-of-bag scoring costs a fraction of nested folds, and that is what lets every method have it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import mean_absolute_error, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

METRIC = {"reg": "MAE", "cls": "AUROC"}
RIDGE_ALPHAS = np.logspace(-1, 5, 13)
LOGISTIC_CS = np.logspace(-4, 0, 5)
FOREST_GRID: list[dict[str, Any]] = [
    {"max_features": features, "min_samples_leaf": leaf} for features, leaf in product(("sqrt", 0.15), (1, 2))
]
FOREST_TREES = 200
SEARCH_TREES = 50

Matrix = NDArray[np.floating]
Choices = Mapping[str, NDArray[np.intp]]


@dataclass(frozen=True, slots=True)
class HeadFit:
    """What a tuned head says about the test part.

    Attributes
    ----------
    prediction : ndarray of shape (n_test,)
        Value, or probability of the positive class.
    inner_score : float
        The metric (MAE or AUROC) estimated inside the training part: leave-one-out, 5-fold or out-of-bag.
    chosen : dict
        The hyper-parameters picked.
    """

    prediction: NDArray[np.float64]
    inner_score: float
    chosen: dict[str, Any]


def score(kind: str, y: NDArray, prediction: NDArray) -> float:
    """Return the metric of a task: MAE in the unit of `y` (``reg``), or AUROC (``cls``)."""
    return float(mean_absolute_error(y, prediction) if kind == "reg" else roc_auc_score(y, prediction))


def better(kind: str, first: float, second: float) -> bool:
    """Whether `first` is strictly the better score: lower MAE, higher AUROC."""
    return first < second if kind == "reg" else first > second


def _linear(kind: str, X: Matrix, y: NDArray, X_test: Matrix, seed: int, choices: Choices) -> HeadFit:
    X, X_test = X.astype(np.float64), X_test.astype(np.float64)
    family = _ridge if kind == "reg" else _logistic
    chosen, best = "", None
    for name, columns in choices.items():
        fit = family(X[:, columns], y, X_test[:, columns], seed)
        if best is None or better(kind, fit.inner_score, best.inner_score):
            chosen, best = name, fit
    assert best is not None
    return HeadFit(best.prediction, best.inner_score, _named(chosen) | best.chosen)


def _ridge(X: Matrix, y: NDArray, X_test: Matrix, seed: int) -> HeadFit:
    # scikit-learn's "auto" takes the slow one of its two exact decompositions when n > p.
    mode = "svd" if X.shape[0] > X.shape[1] else "eigen"
    ridge = RidgeCV(RIDGE_ALPHAS, gcv_mode=mode, store_cv_results=True)
    pipeline = make_pipeline(StandardScaler(), ridge).fit(X, y)
    squared_errors = ridge.cv_results_[:, RIDGE_ALPHAS.tolist().index(ridge.alpha_)]
    inner = float(np.sqrt(squared_errors).mean())
    return HeadFit(pipeline.predict(X_test), inner, {"alpha": f"{ridge.alpha_:.4g}"})


def _logistic(X: Matrix, y: NDArray, X_test: Matrix, seed: int) -> HeadFit:
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)),
        {"logisticregression__C": LOGISTIC_CS},
        scoring="roc_auc",
        cv=StratifiedKFold(5, shuffle=True, random_state=seed),
    ).fit(X, y)
    chosen = {"C": f"{search.best_params_['logisticregression__C']:.4g}"}
    return HeadFit(search.predict_proba(X_test)[:, 1], float(search.best_score_), chosen)


def _forest(kind: str, X: Matrix, y: NDArray, X_test: Matrix, seed: int, choices: Choices) -> HeadFit:
    def grow(trees: int, name: str, settings: dict) -> tuple[Any, float]:
        family = RandomForestRegressor if kind == "reg" else RandomForestClassifier
        forest = family(trees, oob_score=True, random_state=seed, **settings).fit(X[:, choices[name]], y)
        oob = forest.oob_prediction_ if kind == "reg" else forest.oob_decision_function_[:, 1]
        return forest, score(kind, y, oob)

    chosen, best = None, 0.0
    for name, settings in product(choices, FOREST_GRID):
        candidate = grow(SEARCH_TREES, name, settings)[1]
        if chosen is None or better(kind, candidate, best):
            chosen, best = (name, settings), candidate
    assert chosen is not None
    name, settings = chosen
    forest, inner = grow(FOREST_TREES, name, settings)
    X_test = X_test[:, choices[name]]
    prediction = forest.predict(X_test) if kind == "reg" else forest.predict_proba(X_test)[:, 1]
    return HeadFit(prediction, inner, _named(name) | settings)


def _named(choice: str) -> dict[str, Any]:
    return {"columns": choice} if choice else {}


HEADS: dict[str, Callable[[str, Matrix, NDArray, Matrix, int, Choices], HeadFit]] = {
    "linear": _linear,
    "forest": _forest,
}


def block_choices(names: Iterable[str]) -> dict[str, Choices] | None:
    """Sets of columns that each head may choose from, for rows that have dense columns and counts of words.

    Parameters
    ----------
    names : iterable of str
        Of a featurizer's columns, ``<encoder>_<block>_<i>``.

    Returns
    -------
    dict of str to (dict of str to ndarray of int), or None
        For each head, names and places of the columns: ``linear`` may have all, the dense ones, ``words``,
        and ``words`` with ``pairs``; ``forest`` the last two. None without such blocks.
    """
    blocks = np.array([name.split("_")[-2] if "_" in name else "" for name in names])
    words, counted = blocks == "words", np.isin(blocks, ("words", "pairs"))
    if not words.any() or counted.all():
        return None
    counts = {"words": np.flatnonzero(words), "words and pairs": np.flatnonzero(counted)}
    dense = {"all": np.arange(len(blocks)), "dense": np.flatnonzero(~counted)}
    # Dense columns tell all molecules apart, so that trees would split on them for nothing.
    return {"linear": dense | counts, "forest": counts}


def fit_head(
    head: str,
    kind: str,
    X: Matrix,
    y: NDArray,
    X_test: Matrix,
    seed: int = 0,
    choices: Choices | None = None,
) -> HeadFit:
    """Tune a head on a training part and predict a test part.

    Missing values are replaced by the medians of the training part, for every head and method.

    Parameters
    ----------
    head : {"linear", "forest"}
        Ridge (logistic for classes), or random forest.
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
    choices : mapping of str to ndarray of int, optional
        Sets of columns, of which the one with the best inner score is used; by default all columns.

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
    return HEADS[head](kind, X, y, X_test, seed, choices or {"": np.arange(X.shape[1])})
