"""The domain holds the stated fraction of molecules like the training set, and no stranger (REVIEW B13)."""

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from skmol3d import ApplicabilityDomain, ECFPFeaturizer, REM3DIFeaturizer, SkipFailures
from skmol3d.datasets import load_small_organics

STRANGERS = ["C", "ClC(Cl)(Cl)Cl", "FC(F)(F)C(F)(F)C(F)(F)C(F)(F)F"]


@pytest.fixture(scope="module")
def smiles():
    return load_small_organics().data.sample(300, random_state=0).tolist()


@pytest.mark.slow
@parametrize_with_checks([ApplicabilityDomain(), ApplicabilityDomain(coverage=0.5)])
@pytest.mark.filterwarnings("default")  # as scikit-learn's own: some checks provoke warnings
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("count", [False, True])
def test_strangers_are_outside(smiles, count):
    """Methane has one bit, so that standardised Euclidean distances call it near."""
    domain = make_pipeline(ECFPFeaturizer(count=count), ApplicabilityDomain()).fit(smiles)
    strangers = STRANGERS[:1] if count else STRANGERS
    assert domain.predict(strangers).tolist() == [-1] * len(strangers)
    assert (domain.predict(smiles) == 1).mean() > 0.95


@pytest.mark.slow
def test_strangers_by_surface(smiles):
    """By the block that the docstring advises for the shipped model: columns of areas and energies."""
    featurizer = REM3DIFeaturizer(device="cpu", blocks=("surface",))
    domain = make_pipeline(featurizer, ApplicabilityDomain()).fit(smiles[:60])
    assert domain.predict(STRANGERS).tolist() == [-1, -1, -1]


@pytest.mark.slow
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_coverage_of_molecules_like_the_training_set(smiles, coverage):
    rows = ECFPFeaturizer(n_bits=512, count=True).transform(smiles)
    inside = cross_val_predict(ApplicabilityDomain(coverage=coverage), rows, cv=10) == 1
    spread = np.sqrt(coverage * (1 - coverage) / len(smiles))
    assert coverage - 3 * spread < inside.mean() < coverage + 6 * spread


def test_columns_that_one_molecule_fills_do_not_shrink_the_coverage():
    """Counts of thousands in columns of their own: each molecule is as strange to the others as a new one."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.uniform(1, 2, (200, 20)), np.diag(rng.uniform(1, 5000, 200))], axis=1)
    domain = ApplicabilityDomain(coverage=0.9).fit(rows[:100])
    assert (domain.predict(rows[100:]) == 1).mean() > 0.8


def test_scale_of_a_column_does_not_matter():
    rng = np.random.default_rng(0)
    rows, new = rng.normal(size=(80, 6)), rng.normal(size=(20, 6))
    scales = np.array([1e-3, 1, 10, 1e5, 2, 7])
    near = ApplicabilityDomain().fit(rows).decision_function(new)
    np.testing.assert_allclose(ApplicabilityDomain().fit(rows * scales).decision_function(new * scales), near)


def test_sparse_rows_give_the_same():
    rows = ECFPFeaturizer(n_bits=256).transform(load_small_organics().data[:60])
    dense, sparse = ApplicabilityDomain().fit(rows), ApplicabilityDomain().fit(scipy.sparse.csr_array(rows))
    np.testing.assert_allclose(
        sparse.score_samples(scipy.sparse.csr_array(rows)), dense.score_samples(rows), atol=1e-6
    )


def test_distances_are_those_to_the_others():
    """A pair of twins is near once they may see each other, and a row alone is far."""
    rows = np.eye(20)
    rows[1] = rows[0]
    domain = ApplicabilityDomain(n_neighbors=1, coverage=0.5).fit(rows)
    assert domain.distances_[2:].tolist() == [1.0] * 18
    np.testing.assert_allclose(domain.score_samples(rows), 0, atol=1e-12)
    assert domain.offset_ == -1
    np.testing.assert_allclose(domain.decision_function(rows), 1)


@pytest.mark.parametrize(("coverage", "inside"), [(0.5, 20), (0.9, 36), (0.95, 38), (0.99, 39)])
def test_the_boundary_is_a_distance_within_the_training_set(coverage, inside):
    """Of 39 molecules and a new one, 40 in all, a share of `coverage` is no farther, or else all 39 are."""
    rows = np.random.default_rng(0).normal(size=(39, 4))
    domain = ApplicabilityDomain(coverage=coverage).fit(rows)
    assert (domain.distances_ <= -domain.offset_).sum() == inside
    assert -domain.offset_ in domain.distances_


def test_failed_molecules_are_neither_inside_nor_outside(smiles):
    model = SkipFailures(make_pipeline(ECFPFeaturizer(errors="nan"), ApplicabilityDomain())).fit(
        ["C(", *smiles]
    )
    np.testing.assert_array_equal(model.predict([smiles[0], "C(", "C"]), [1, np.nan, -1])
    assert np.isnan(model.score_samples(["C(", "C"])).tolist() == [True, False]


def test_pickle(smiles):
    domain = make_pipeline(ECFPFeaturizer(), ApplicabilityDomain()).fit(smiles[:50])
    read = pickle.loads(pickle.dumps(domain))
    np.testing.assert_array_equal(read.decision_function(smiles), domain.decision_function(smiles))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"n_neighbors": 0}, ValueError, "n_neighbors"),
        ({"n_neighbors": 2.5}, TypeError, "n_neighbors"),
        ({"coverage": 1.0}, ValueError, "coverage"),
        ({"coverage": "most"}, ValueError, "coverage"),
        ({"n_neighbors": 10}, ValueError, "minimum of 12"),
    ],
)
def test_what_cannot_be_fitted(params, error, message):
    with pytest.raises(error, match=message):
        ApplicabilityDomain(**params).fit(np.eye(11))


def test_fewest_rows():
    for k in range(1, 30):
        rows = np.random.default_rng(0).normal(size=(-(-10 * k // 9), 3))
        assert len(ApplicabilityDomain(n_neighbors=k).fit(rows).distances_) == len(rows)


def test_rows_with_nan_are_refused():
    with pytest.raises(ValueError, match="NaN"):
        ApplicabilityDomain().fit(np.full((20, 3), np.nan))
    with pytest.raises(ValueError, match="features"):
        make_pipeline(ApplicabilityDomain()).fit(np.eye(20)).predict(np.eye(19))
