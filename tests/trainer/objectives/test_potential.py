"""Objectives of potentials together."""

import pytest
import torch
from objective_examples import BACKBONES, small_potential

from skmol3d.trainer.objectives.forces import PotentialObjective
from skmol3d.trainer.objectives.potential import PotentialObjectives


@pytest.fixture
def targets(batch):
    return {
        "forces": torch.randn_like(batch.positions),
        "charges": torch.randn_like(batch.positions[:, 0]),
        **{name: torch.randn(len(batch), dtype=torch.float64) for name in ("energy", "homo", "lumo")},
        "dipole": torch.randn(len(batch), 3, dtype=torch.float64),
    }


def test_only_the_objectives_that_have_a_weight_are_built(batch, targets):
    objectives = PotentialObjectives(small_potential(BACKBONES[0]), ("forces", "energy")).double()
    assert [type(part) for part in objectives.parts.values()] == [PotentialObjective]
    assert objectives(batch, targets).keys() >= {"forces", "energy"}


def test_losses_are_those_of_the_objectives_alone(batch, targets):
    together = PotentialObjectives(small_potential(BACKBONES[0]), ("forces", "energy")).double()
    alone = PotentialObjective(small_potential(BACKBONES[0])).double()
    found, expected = together(batch, targets), alone(batch, targets)
    for name in ("forces", "energy"):
        torch.testing.assert_close(found[name], expected[name])


def test_all_parts_train_one_potential():
    potential = small_potential(BACKBONES[0])
    objectives = PotentialObjectives(potential, ("forces", "force_centric"))
    assert len(objectives.parts) == 2
    assert all(part.potential is potential for part in objectives.parts.values())
