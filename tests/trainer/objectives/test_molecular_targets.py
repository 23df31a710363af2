"""Targets of whole molecules."""

import numpy as np
import pytest
import torch

from skmol3d.trainer.objectives.molecular_targets import MolecularTargets


def test_molecular_targets_leave_out_what_is_unknown():
    module = MolecularTargets(4, 3).double()
    descriptor = torch.randn(5, 4, dtype=torch.float64)
    targets = torch.randn(5, 3, dtype=torch.float64)
    targets[0] = targets[3, 1] = torch.nan
    loss = module(descriptor, targets)
    predicted = module.head(descriptor)
    errors = [
        (predicted[i, j] - targets[i, j]).item() ** 2
        for i in range(5)
        for j in range(3)
        if not torch.isnan(targets[i, j])
    ]
    assert len(errors) == 11
    assert loss.item() == pytest.approx(np.mean(errors))
    loss.backward()
    assert torch.isfinite(module.head.weight.grad).all()
    assert module(descriptor, torch.full_like(targets, torch.nan)).item() == 0
