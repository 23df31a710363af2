"""Rows scaled for linear models: counts keep their scale."""

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmol3d import ECFPFeaturizer, RowScaler


@parametrize_with_checks([RowScaler()])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_counts_keep_their_scale_and_others_are_standardised():
    rng = np.random.default_rng(0)
    counts, other = rng.poisson(0.1, (50, 3)), rng.normal(5, 30, (50, 2))
    constant = np.full((50, 1), 1 / 3)
    X = np.hstack([counts, other, constant])
    scaled = RowScaler().fit_transform(X)
    np.testing.assert_allclose(scaled[:, :3], counts - counts.mean(0))
    np.testing.assert_allclose(scaled[:, 3:5], StandardScaler().fit_transform(other))
    np.testing.assert_allclose(scaled[:, 5], 0, atol=1e-12)
    later = RowScaler().fit(X).transform(X[:2] + 0.5)  # what is a count was decided in training
    np.testing.assert_allclose(later[:, :3], counts[:2] + 0.5 - counts.mean(0))


def test_rare_counts_do_not_drown_a_column_that_says_something_of_all():
    rng = np.random.default_rng(1)
    rare, told = rng.random((400, 300)) < 0.01, rng.normal(size=(400, 1))
    y = told[:, 0] + 0.1 * rng.normal(size=400)
    X = np.hstack([rare, told])
    scores = [
        make_pipeline(scaler, Ridge(30.0)).fit(X[:100], y[:100]).score(X[100:], y[100:])
        for scaler in (RowScaler(), StandardScaler())
    ]
    assert scores[0] > 0.9
    assert scores[0] > scores[1] + 0.2


def test_in_a_pipeline_names_are_kept():
    rows = ECFPFeaturizer(count=True, n_bits=32)
    model = make_pipeline(rows, RowScaler()).set_output(transform="pandas")
    table = model.fit_transform(["CO", "CCO", "CCCO"])
    assert list(table.columns) == list(rows.get_feature_names_out())
