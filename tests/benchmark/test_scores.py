"""The metric of each kind of task, and which of two is better."""

import numpy as np
import pytest

from skmol3d.benchmark.scores import METRIC, better, score


def test_regression_is_scored_in_its_unit_and_classes_by_rank_alone():
    y = np.array([0.0, 1.0, 0.0, 1.0])
    prediction = np.array([0.1, 0.9, 0.4, 0.3])
    assert score("reg", y, prediction) == pytest.approx((0.1 + 0.1 + 0.4 + 0.7) / 4)
    assert score("cls", y, prediction) == score("cls", y, 100 * prediction - 7) == 0.75


def test_lower_errors_and_higher_ranks_are_better_and_equal_ones_are_not():
    assert set(METRIC) == {"reg", "cls"}
    assert better("reg", 0.1, 0.2)
    assert better("cls", 0.9, 0.8)
    assert not better("reg", 0.2, 0.1)
    assert not better("cls", 0.8, 0.9)
    assert not any(better(kind, 0.5, 0.5) for kind in METRIC)
