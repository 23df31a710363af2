"""Losses of fine-tuning."""

import pytest
import torch

from skmol3d.estimators.finetuning.training import losses


@pytest.mark.parametrize("classes", [False, True])
def test_an_unknown_label_does_not_change_what_other_tasks_teach(classes):
    generator = torch.Generator().manual_seed(0)
    wanted = (torch.rand(6, 3, generator=generator) > 0.5).float()
    weights = torch.ones(6, 3)

    def gradient(labels):
        found = torch.linspace(-1, 1, 18).reshape(6, 3).requires_grad_()
        losses(found, labels, weights, classes).mean().backward()
        return found.grad

    missing = wanted.clone()
    missing[:4, 1] = torch.nan
    full, part = gradient(wanted), gradient(missing)
    assert torch.equal(full[:, [0, 2]], part[:, [0, 2]])
    assert not part[:4, 1].any()
    assert torch.equal(full[4:, 1], part[4:, 1])
