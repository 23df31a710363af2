"""Variance and covariance."""

import pytest
import torch

from skmol3d.trainer.objectives.regularisation import variance_covariance


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
