"""Folds of the ranking of crystals."""

import numpy as np
import pytest

from skmol3d.benchmark.experiments import crystal_ranking


@pytest.mark.slow
def test_structures_before_and_after_relaxation_stay_together():
    """Energies that only the structure's name decides: a fold with its twin would know them."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(30), 2)
    X, y = rng.normal(size=(30, 6))[groups], rng.normal(size=30)[groups]
    found = crystal_ranking.predictions(X, y, groups, seed=0)
    rank, r, error = crystal_ranking.scores(found, y)
    assert rank < 0.5
    assert r < 0.5
    assert error > 0.5
    linear = crystal_ranking.predictions(X, X[:, 0] - X[:, 3], groups, seed=0)
    assert crystal_ranking.scores(linear, X[:, 0] - X[:, 3])[0] > 0.95
