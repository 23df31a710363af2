"""Energies, forces, charges, dipoles and orbitals against loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from objective_examples import BACKBONES

from skmol3d.encoders import (
    Potential,
    PotentialConfig,
)
from skmol3d.trainer.objectives.forces import PotentialObjective


def test_potential_objective(batch):
    objective = PotentialObjective(Potential(PotentialConfig(BACKBONES[0]))).double()
    n, b = len(batch.numbers), len(batch)
    targets = {
        k: torch.randn(shape, dtype=torch.float64)
        for k, shape in {
            "forces": (n, 3),
            "charges": n,
            "energy": b,
            "dipole": (b, 3),
            "homo": b,
            "lumo": b,
        }.items()
    }
    losses = {k: v.item() for k, v in objective(batch, targets).items()}
    energy, forces = objective.potential.energy_and_forces(batch)
    assert losses["forces"] == pytest.approx(
        np.mean([np.linalg.norm(f) for f in (forces - targets["forces"]).detach().numpy()])
    )
    errors = (energy - targets["energy"]).abs().tolist()
    assert losses["energy"] == pytest.approx(
        np.mean([e / c**0.5 for e, c in zip(errors, (6, 9, 4), strict=True)])
    )
    features = objective.potential.backbone(batch)
    charges = objective.charges(features.scalars)[:, 0]
    assert losses["charges"] == pytest.approx((charges - targets["charges"]).abs().mean().item())
    levels = objective.orbitals(features.scalars)
    dipoles, homos, lumos = [], [], []
    for m in range(b):
        own = batch.molecule == m
        dipole = (charges[own] - charges[own].mean()) @ batch.positions[own]
        dipole = dipole + (features.vectors[own] @ objective.atomic_dipole.weight[0]).sum(0)
        dipoles.append((dipole - targets["dipole"][m]).norm().item())
        weights = levels[own, 2:].softmax(0)
        homo, lumo = (weights * levels[own, :2]).sum(0).tolist()
        homos.append(abs(homo - 10 - targets["homo"][m].item()))
        lumos.append(abs(lumo - 7 - targets["lumo"][m].item()))
    assert losses["dipole"] == pytest.approx((dipoles[0] + dipoles[2]) / 2)  # an ion's depends on the origin
    assert losses["homo"] == pytest.approx(np.mean(homos))
    assert losses["lumo"] == pytest.approx(np.mean(lumos))
    assert set(losses) == {"forces", "energy", "charges", "dipole", "homo", "lumo"}


def test_force_loss_trains_the_potential(batch):
    objective = PotentialObjective(Potential(PotentialConfig(BACKBONES[0]))).double()
    n, b = len(batch.numbers), len(batch)
    shapes = {"forces": (n, 3), "charges": n, "energy": b, "dipole": (b, 3), "homo": b, "lumo": b}
    targets = {k: torch.zeros(shape, dtype=torch.float64) for k, shape in shapes.items()}
    objective(batch, targets)["forces"].backward()
    weight = objective.potential.head[0].weight
    assert weight.grad.abs().amax() > 0  # the gradient of a gradient


def test_dipoles_do_not_depend_on_the_origin(batch):
    """Even where nothing has taught the charges to add up to that of the molecule."""
    objective = PotentialObjective(Potential(PotentialConfig(BACKBONES[0])), ["dipole"]).double()
    targets = {"dipole": torch.randn(len(batch), 3, dtype=torch.float64)}
    moved = replace(batch, positions=batch.positions + torch.tensor([3.0, -2.0, 5.0]))
    found = [objective(b, targets)["dipole"].item() for b in (batch, moved)]
    assert found[1] == pytest.approx(found[0])
