"""Variance and covariance."""

import numpy as np
import pytest
import torch

from skmol3d.trainer.objectives.regularisation import effective_dimension, variance_covariance


def test_variance_and_covariance_are_measured_in_full_precision():
    rows = 30 + torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = variance_covariance(rows)
    for one, other in zip(found, variance_covariance(rows.double()), strict=True):
        assert one.dtype == torch.float32
        assert one.item() == pytest.approx(other.item(), rel=1e-3)


def test_joint_statistics_of_one_process_are_its_own():
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    for one, other in zip(variance_covariance(rows), variance_covariance(rows, joint=True), strict=True):
        assert torch.equal(one, other)


def test_variance_and_covariance_against_numpy():
    rows = torch.randn(40, 6, dtype=torch.float64) * torch.tensor([0.1, 0.5, 1.0, 2.0, 0.0, 0.7])
    rows[:, 1] += rows[:, 0]
    variance, covariance = variance_covariance(rows)
    values = rows.numpy()
    deviation = np.sqrt(values.var(0) + 1e-4)
    assert variance.item() == pytest.approx(np.mean(np.maximum(0, 1 - deviation)))
    matrix = np.cov(values.T)
    np.fill_diagonal(matrix, 0)
    assert covariance.item() == pytest.approx((matrix**2).sum() / 36)


def test_effective_dimension_of_a_known_covariance():
    spread = torch.tensor([3.0, 2.0, 1.0, 0.0])
    rows = torch.cat([torch.diag(spread), -torch.diag(spread)]) + 5.0
    assert effective_dimension(rows) == pytest.approx((9 + 4 + 1) ** 2 / (81 + 16 + 1))
    assert effective_dimension(torch.arange(5.0)[:, None] * torch.ones(3)) == pytest.approx(1)
