"""What is passed through `SkipFailures`: weights and other parameters, metadata, transformed targets."""

import numpy as np
import pytest
from failing_examples import FAILED, GOOD, IN_SCORE, SMILES, TARGET, ecfp
from sklearn import config_context
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skmol3d import ECFPFeaturizer, SkipFailures


def test_weights_lose_the_same_rows():
    weights = np.linspace(0.1, 2, len(SMILES))
    model = SkipFailures(ecfp(Ridge())).fit(SMILES, TARGET, ridge__sample_weight=weights)
    alone = ecfp(Ridge()).fit(GOOD, TARGET[~FAILED], ridge__sample_weight=weights[~FAILED])
    np.testing.assert_allclose(model.predict(GOOD), alone.predict(GOOD), rtol=1e-6)
    with pytest.warns(UserWarning, match="not in the score"):
        score = model.score(SMILES, TARGET, sample_weight=weights)
    assert score == pytest.approx(alone.score(GOOD, TARGET[~FAILED], sample_weight=weights[~FAILED]))


def test_targets_transformed_inside_or_around_it(fine_tuned):
    """The ways that the message recommends, also for an estimator that reads molecules itself."""
    by_name = {"func": np.log1p, "inverse_func": np.expm1}
    alone = TransformedTargetRegressor(ecfp(Ridge()), **by_name).fit(GOOD, TARGET[~FAILED]).predict(GOOD)
    inside = SkipFailures(ecfp(TransformedTargetRegressor(Ridge(), **by_name)))
    logarithm = FunctionTransformer(np.log1p, np.expm1)
    around = TransformedTargetRegressor(SkipFailures(ecfp(Ridge())), transformer=logarithm)
    for model in (inside, around):
        predicted = model.fit(SMILES, TARGET).predict(SMILES)
        np.testing.assert_array_equal(np.isnan(predicted), FAILED)
        np.testing.assert_allclose(predicted[~FAILED], alone, rtol=1e-5)
    smiles = ["C" * n + end for n in range(1, 6) for end in ("O", "N", "F", "(")]
    network = TransformedTargetRegressor(SkipFailures(fine_tuned), transformer=logarithm)
    predicted = network.fit(smiles, np.arange(20.0)).predict(smiles)
    np.testing.assert_array_equal(np.isnan(predicted), np.arange(20) % 4 == 3)
    with pytest.raises(ValueError, match="2D") as caught:
        SkipFailures(TransformedTargetRegressor(ecfp(Ridge()), **by_name)).fit(SMILES, TARGET)
    assert "transformer=FunctionTransformer(func, inverse_func)" in caught.value.__notes__[0]


def test_standard_deviations_keep_their_places():
    model = SkipFailures(ecfp(BayesianRidge())).fit(SMILES, TARGET)
    found, expected = model.predict(SMILES, return_std=True), model.predict(GOOD, return_std=True)
    assert isinstance(found, tuple)
    for part, good in zip(found, expected, strict=True):
        np.testing.assert_array_equal(np.isnan(part), FAILED)
        np.testing.assert_allclose(part[~FAILED], good)
    assert [np.isnan(part).tolist() for part in model.predict(["C("], return_std=True)] == [[True], [True]]


@pytest.mark.filterwarnings(IN_SCORE)
def test_metadata_is_routed_to_what_requests_it():
    weights = np.linspace(0.1, 2, len(SMILES))
    split = KFold(3, shuffle=True, random_state=0)
    wanted = []
    for learn, test in split.split(SMILES):
        learn, test = learn[~FAILED[learn]], test[~FAILED[test]]
        X = np.array(SMILES, object)
        alone = ecfp(Ridge()).fit(X[learn], TARGET[learn], ridge__sample_weight=weights[learn])
        error = mean_absolute_error(TARGET[test], alone.predict(X[test]), sample_weight=weights[test])
        wanted.append((alone.score(X[test], TARGET[test], sample_weight=weights[test]), -error))
    scores, errors = np.transpose(wanted)
    with config_context(enable_metadata_routing=True):
        ridge = Ridge().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(ECFPFeaturizer(n_bits=64, errors="nan"), scaler, ridge)
        rows = make_pipeline(
            ECFPFeaturizer(n_bits=64, errors="nan"), SkipFailures(make_pipeline(scaler, ridge))
        )
        scorer = make_scorer(mean_absolute_error, greater_is_better=False)
        scorer.set_score_request(sample_weight=True)
        for model, expected in (
            (SkipFailures(pipeline), scores),
            (rows, scores),
            (SkipFailures(pipeline, scoring=scorer), errors),
        ):
            found = cross_val_score(model, SMILES, TARGET, cv=split, params={"sample_weight": weights})
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            SkipFailures(ecfp(Ridge())).fit(SMILES, TARGET, sample_weight=weights)
        std = SkipFailures(ecfp(BayesianRidge().set_predict_request(return_std=True))).fit(SMILES, TARGET)
        assert len(std.predict(SMILES, return_std=True)) == 2


def test_routed_weights_reach_an_estimator_that_is_no_pipeline():
    rows = ECFPFeaturizer(n_bits=64, errors="nan").transform(SMILES)
    weights = np.linspace(0.1, 2, len(SMILES))
    alone = SkipFailures(Ridge()).fit(rows, TARGET, sample_weight=weights)
    with config_context(enable_metadata_routing=True):
        routed = SkipFailures(Ridge().set_fit_request(sample_weight="mass")).fit(rows, TARGET, mass=weights)
    np.testing.assert_array_equal(routed.estimator_.coef_, alone.estimator_.coef_)
