"""Heads against the same models set up by hand."""

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.metrics import mean_absolute_error, roc_auc_score
from sklearn.model_selection import LeaveOneOut, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d.benchmark.heads import (
    FOREST_GRID,
    HEADS,
    LOGISTIC_CS,
    RIDGE_ALPHAS,
    SEARCH_TREES,
    UNSCALED_ALPHAS,
    fit_head,
)


def data(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) * rng.uniform(0.1, 10, p) + 3
    y = X[:, :3] @ [0.2, -0.1, 0.3] + rng.normal(size=n)
    return X.astype(np.float32), y


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(60, 8), (30, 50)], ids=["tall", "wide"])
def test_ridge_is_leave_one_out_by_hand(shape):
    X, y = data(*shape)
    train, test = slice(0, shape[0] - 10), slice(shape[0] - 10, None)
    scaled = StandardScaler().fit(X[train].astype(float))
    Z = scaled.transform(X[train].astype(float))
    left_out = [cross_val_predict(Ridge(alpha), Z, y[train], cv=LeaveOneOut()) for alpha in RIDGE_ALPHAS]
    best = int(np.argmin([((p - y[train]) ** 2).mean() for p in left_out]))

    fit = fit_head("linear", "reg", X[train], y[train], X[test])

    assert float(fit.chosen["alpha"]) == pytest.approx(RIDGE_ALPHAS[best], rel=1e-3)
    assert fit.inner_score == pytest.approx(mean_absolute_error(y[train], left_out[best]), rel=1e-6)
    by_hand = Ridge(RIDGE_ALPHAS[best]).fit(Z, y[train]).predict(scaled.transform(X[test].astype(float)))
    np.testing.assert_allclose(fit.prediction, by_hand, rtol=1e-6)


def test_without_a_scaler_features_are_taken_as_they_come():
    X, y = data(60, 8)
    X /= 30
    tuned = fit_head("unscaled", "reg", X[:50], y[:50], X[50:])
    by_hand = RidgeCV(UNSCALED_ALPHAS).fit(X[:50].astype(float), y[:50])
    assert float(tuned.chosen["alpha"]) == pytest.approx(by_hand.alpha_, rel=1e-3)
    np.testing.assert_allclose(tuned.prediction, by_hand.predict(X[50:].astype(float)), rtol=1e-6)
    default = fit_head("default", "reg", X[:50], y[:50], X[50:])
    left_out = cross_val_predict(Ridge(), X[:50].astype(float), y[:50], cv=LeaveOneOut())
    assert default.inner_score == pytest.approx(mean_absolute_error(y[:50], left_out), rel=1e-6)
    by_hand = Ridge().fit(X[:50].astype(float), y[:50]).predict(X[50:].astype(float))
    np.testing.assert_allclose(default.prediction, by_hand, rtol=1e-6)
    labels = (y > np.median(y)).astype(int)
    default = fit_head("default", "cls", X[:50], labels[:50], X[50:])
    by_hand = LogisticRegression().fit(X[:50].astype(float), labels[:50]).predict_proba(X[50:].astype(float))
    np.testing.assert_allclose(default.prediction, by_hand[:, 1], atol=1e-4)


def test_logistic_is_five_fold_auroc_by_hand():
    X, y = data(120, 20)
    y = (y > np.median(y)).astype(int)
    folds = StratifiedKFold(5, shuffle=True, random_state=7)

    def model(c):
        return make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=5000, tol=1e-8))

    Z = X[:100].astype(float)
    means = [cross_val_score(model(c), Z, y[:100], cv=folds, scoring="roc_auc").mean() for c in LOGISTIC_CS]
    fit = fit_head("linear", "cls", X[:100], y[:100], X[100:], seed=7)
    best = LOGISTIC_CS[int(np.argmax(means))]
    assert float(fit.chosen["C"]) == pytest.approx(best)
    assert fit.inner_score == pytest.approx(max(means), abs=1e-3)
    by_hand = model(best).fit(Z, y[:100]).predict_proba(X[100:].astype(float))[:, 1]
    np.testing.assert_allclose(fit.prediction, by_hand, atol=2e-3)


@pytest.mark.parametrize("head", ["linear", "unscaled", "default"])
def test_few_of_a_class_make_fewer_folds(head):
    X, _ = data(40, 5)
    labels = np.zeros(40)
    labels[:3] = 1
    fit = fit_head(head, "cls", X, labels, X, seed=7)
    assert 0 <= fit.inner_score <= 1
    if head == "default":
        folds = StratifiedKFold(3, shuffle=True, random_state=7)
        by_hand = cross_val_score(LogisticRegression(), X, labels, cv=folds, scoring="roc_auc")
        assert fit.inner_score == pytest.approx(by_hand.mean(), abs=1e-3)
    labels[1:3] = 0
    with pytest.raises(ValueError, match="has 1 active of 40 molecules; logistic regression needs 2 or more"):
        fit_head(head, "cls", X, labels, X)


def test_forest_takes_the_setting_of_best_out_of_bag_score():
    X, y = data(80, 10)
    oob = [
        mean_absolute_error(
            y[:60],
            RandomForestRegressor(SEARCH_TREES, oob_score=True, random_state=1, **settings)
            .fit(X[:60], y[:60])
            .oob_prediction_,
        )
        for settings in FOREST_GRID
    ]
    fit = fit_head("forest", "reg", X[:60], y[:60], X[60:], seed=1)
    assert fit.chosen == FOREST_GRID[int(np.argmin(oob))]
    by_hand = RandomForestRegressor(200, random_state=1, **fit.chosen).fit(X[:60], y[:60]).predict(X[60:])
    np.testing.assert_allclose(fit.prediction, by_hand)


def test_forest_separates_classes():
    X, y = data(200, 5)
    y = (X[:, 0] > np.median(X[:, 0])).astype(int)
    fit = fit_head("forest", "cls", X[:150], y[:150], X[150:])
    assert roc_auc_score(y[150:], fit.prediction) > 0.97
    assert 0.97 < fit.inner_score <= 1


@pytest.mark.parametrize("head", HEADS)
def test_missing_values_become_training_medians(head):
    X, y = data(80, 5)
    holes, filled = X.copy(), X.copy()
    holes[[3, 70], 2] = np.nan
    median = np.median(np.delete(X[:60, 2], 3))
    filled[[3, 70], 2] = median
    holes = np.column_stack([holes, np.full(80, np.nan, np.float32)])  # a column without any value
    filled = np.column_stack([filled, np.zeros(80, np.float32)])
    with_holes = fit_head(head, "reg", holes[:60], y[:60], holes[60:])
    without = fit_head(head, "reg", filled[:60], y[:60], filled[60:])
    np.testing.assert_allclose(with_holes.prediction, without.prediction, rtol=1e-6)


def test_names_are_checked():
    X, y = data(20, 3)
    with pytest.raises(
        ValueError, match="unknown head 'svm'; known heads: linear, forest, kernel, unscaled, default"
    ):
        fit_head("svm", "reg", X, y, X)
    with pytest.raises(ValueError, match="unknown task kind 'ranking'"):
        fit_head("linear", "ranking", X, y, X)
