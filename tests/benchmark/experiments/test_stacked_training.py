"""Frames, batches and steps of networks side by side."""

import numpy as np
import pytest
import torch

from skmol3d.benchmark.experiments.stacked_training import Adam, Frames, orders
from skmol3d.trainer.data.sets import Row, stack


def water(numbers):
    return Row(np.array(numbers), np.eye(3, dtype=np.float32), 0.0, 0, {}, {"energy": -2.0})


def test_frames_of_several_molecules_are_refused():
    with pytest.raises(ValueError, match="frames must be of one molecule"):
        Frames(stack([water([8, 1, 1]), water([1, 8, 1])]), "cpu")


def test_energies_are_less_the_level_before_they_lose_digits():
    frames = Frames(stack([water([8, 1, 1])] * 2), "cpu", level=-2.5)
    assert frames.energy.tolist() == [0.5, 0.5]
    assert frames.positions.shape == (2, 3, 3)
    assert frames.forces is None


def test_batches_of_a_seed_are_its_shuffled_rows_whatever_the_others():
    rows = [np.array([3, 4, 5]), np.array([7, 8, 9])]
    order = orders(rows, 2, [0, 1])
    found = np.array([next(order) for _ in range(3)])  # [batches, seeds, 2]: two passes
    for own, seen in zip(rows, found.transpose(1, 0, 2).reshape(2, 2, 3), strict=True):
        assert all(sorted(one) == own.tolist() for one in seen)
    alone = orders(rows[1:], 2, [1])
    np.testing.assert_array_equal(found[:, 1], [next(alone)[0] for _ in range(3)])


def test_steps_are_those_of_adamw_row_by_row():
    start = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    gradients = torch.randn(5, 2, 2, generator=torch.Generator().manual_seed(0))
    rates = (0.1, 0.01)
    rows = start.clone()
    adam = Adam(rows, torch.tensor(rates), clip=0.5, decay=0.1, ema=0.5)
    alone = [torch.nn.Parameter(row.clone()) for row in start]
    others = [
        torch.optim.AdamW([one], lr=rate, weight_decay=0.1) for one, rate in zip(alone, rates, strict=True)
    ]
    averages = None
    for gradient in gradients:
        adam.step(gradient, 0.5)
        for one, other, rate, own in zip(alone, others, rates, gradient, strict=True):
            one.grad = own.clone()
            torch.nn.utils.clip_grad_norm_([one], 0.5)
            other.param_groups[0]["lr"] = 0.5 * rate
            other.step()
        now = torch.stack([one.detach() for one in alone])
        averages = now if averages is None else 0.5 * (averages + now)
    torch.testing.assert_close(rows, now)
    torch.testing.assert_close(adam.average, averages)
