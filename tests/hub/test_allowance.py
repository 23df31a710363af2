"""Networks may not outgrow the weights that they are read from."""

import pytest
import torch
from torch import nn

from skmol3d.benchmark.experiments.foundation import MEDIUM
from skmol3d.encoders import Potential, PotentialConfig
from skmol3d.hub.allowance import SPARE, Allowance


def test_a_network_as_large_as_its_weights_is_built():
    with Allowance(1000 * 1000 + 1000):
        layer = nn.Linear(1000, 1000)
    assert layer.weight.shape == (1000, 1000)
    assert torch.zeros(10**7).shape == (10**7,)  # and afterwards there is no bound


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Linear(10**6, 10**6),
        lambda: torch.zeros((10**6, 10**6)),
        lambda: torch.empty(size=(10**6, 10**6)),
        lambda: torch.full((10**6, 10**6), 1.0),
        lambda: torch.eye(10**6),
        lambda: torch.arange(10**12),
        lambda: torch.linspace(0.0, 1.0, steps=10**12),
        lambda: nn.Embedding(10**9, 10**3),
        lambda: [nn.Linear(100, 100) for _ in range(10**9)],  # one after the other
    ],
)
def test_more_is_refused_before_it_takes_memory_or_time(build):
    with pytest.raises(ValueError, match="more than the 1000 weights that the file holds"), Allowance(1000):
        build()


def test_small_tensors_that_are_no_weights_are_free():
    with Allowance(0):
        torch.zeros(SPARE // 2)


@pytest.mark.slow
def test_a_mace_as_large_as_published_ones_is_built():
    allowance = Allowance(10**9)
    whole = allowance.left
    with allowance:
        made = Potential(PotentialConfig(MEDIUM))
    weights = sum(value.numel() for value in made.state_dict().values())
    assert SPARE < weights < whole - allowance.left < Allowance(weights).left
