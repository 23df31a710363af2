"""Conformers of one molecule."""

import pytest
import torch
from torch.nn.functional import mse_loss

from skmol3d.trainer.objectives.invariance import conformer_ratio, invariance


@pytest.fixture
def rows():
    return torch.randn(6, 5, generator=torch.Generator().manual_seed(0))


def test_identical_conformers_cost_nothing(rows):
    assert invariance(rows[[0, 0, 1, 1]], torch.tensor([7, 7, 3, 3])).item() == 0


def test_others_cost_their_mean_squared_difference(rows):
    found = invariance(rows, torch.tensor([7, 7, 3, 3, 9, 9]))
    torch.testing.assert_close(found, mse_loss(rows[::2], rows[1::2]))
    assert found > 0


def test_without_pairs_it_is_zero_and_has_a_gradient(rows):
    rows.requires_grad_()
    loss = invariance(rows, torch.arange(6))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(rows.grad, torch.zeros_like(rows))


def test_conformer_ratio_is_small_where_conformers_are_alike(rows):
    group = torch.tensor([0, 0, 1, 1, 2, 2])
    close = rows[::2].repeat_interleave(2, 0)
    close[1::2] += 0.1
    assert 0 < conformer_ratio(close, group) < 0.05
    # Descriptors that know nothing of the molecule.
    many = torch.randn(400, 5, generator=torch.Generator().manual_seed(1))
    assert conformer_ratio(many, torch.arange(400) // 2) == pytest.approx(1, abs=0.15)
    # Columns count alike, whatever their units.
    scaled = close * torch.tensor([1.0, 100, 1, 1, 0.01])
    assert conformer_ratio(scaled, group) == pytest.approx(conformer_ratio(close, group), rel=1e-3)


def test_no_conformers_to_compare_is_no_ratio(rows):
    assert conformer_ratio(rows, torch.arange(6)) is None
    assert conformer_ratio(rows, torch.zeros(6, dtype=torch.long)) is None
