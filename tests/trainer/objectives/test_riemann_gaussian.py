"""3D-EMGP's score against automatic differentiation, its losses against single molecules and symmetries."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from objective_examples import BACKBONES, permuted, random_batch, small_potential, transformed

from skmol3d.encoders import AtomBatch
from skmol3d.trainer.objectives.riemann_gaussian import RiemannGaussian, force_target, riemann_score


@pytest.fixture(params=BACKBONES, ids=lambda config: config.kind)
def objective(request):
    return RiemannGaussian(small_potential(request.param), levels=10).double()


@pytest.fixture
def noisy(batch):
    return batch.positions + 0.3 * torch.randn_like(batch.positions)


SIGMA = torch.tensor([0.3, 0.05, 2.0], dtype=torch.float64)


def log_density(noisy, clean, sigma):
    """Of interatomic distances alone: Gram matrices of centred positions by double centring."""

    def gram(positions):
        squared = (positions[:, None] - positions).square().sum(-1)
        centre = torch.eye(len(positions), dtype=torch.float64) - 1.0 / len(positions)
        return -0.5 * centre @ squared @ centre

    return -(gram(noisy) - gram(clean)).square().sum() / (4 * sigma**2)


def test_score_is_the_gradient_of_the_log_density(batch, noisy):
    found = riemann_score(batch, noisy, SIGMA)
    for m, sigma in enumerate(SIGMA):
        own = batch.molecule == m
        positions = noisy[own].clone().requires_grad_()
        (expected,) = torch.autograd.grad(log_density(positions, batch.positions[own], sigma), positions)
        torch.testing.assert_close(found[own], expected)
        assert expected.abs().amax() > 1e-2


def test_target_is_the_score_in_units_of_its_own_scale(batch, noisy):
    target, score = force_target(batch, noisy, SIGMA), riemann_score(batch, noisy, SIGMA)
    for m, sigma in enumerate(SIGMA):
        own = (batch.molecule == m).numpy()
        y, z = (p.numpy()[own] - p.numpy()[own].mean(0) for p in (batch.positions, noisy))
        alpha = (np.linalg.norm(z.T @ z) + np.linalg.norm(y.T @ z)) / 2
        np.testing.assert_allclose(target[own], sigma.item() / alpha * score[own])


def test_target_of_molecules_with_one_geometry_and_of_single_atoms_is_zero(batch):
    turned, _ = transformed(batch, seed=4, mirror=True)
    target = force_target(batch, turned.positions, SIGMA)
    torch.testing.assert_close(target, torch.zeros_like(target), rtol=0, atol=1e-9)
    atom = AtomBatch(torch.tensor([6]), torch.ones(1, 3), torch.tensor([1]), torch.zeros(1))
    assert (force_target(atom, torch.zeros(1, 3), torch.tensor([0.1])) == 0).all()


def test_target_has_neither_sum_nor_torque(batch, noisy):
    target = force_target(batch, noisy, SIGMA)
    torque = torch.linalg.cross(noisy, target)
    for values in (target, torque):
        total = torch.zeros(3, 3, dtype=torch.float64).index_add(0, batch.molecule, values)
        torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-9)


def test_loss_is_doubly_invariant(objective, batch, noisy):
    """Clean and perturbed molecules may be moved and mirrored each on its own."""
    level = torch.tensor([3, 0, 7])
    losses = objective.losses(batch, noisy, level)
    for mirror in (False, True):
        clean, _ = transformed(batch, seed=1, mirror=mirror)
        other, _ = transformed(
            AtomBatch(batch.numbers, noisy, batch.counts, batch.charge), seed=2, mirror=not mirror
        )
        for name, value in objective.losses(clean, other.positions, level).items():
            torch.testing.assert_close(value, losses[name])
    shuffled, atoms, molecules = permuted(batch)
    for name, value in objective.losses(shuffled, noisy[atoms], level[molecules]).items():
        torch.testing.assert_close(value, losses[name])


def test_losses_against_one_molecule_at_a_time(objective, batch, noisy):
    level = torch.tensor([2, 9, 5])
    losses = objective.losses(batch, noisy, level)
    squares, entropies = [], []
    for m in range(3):
        own = batch.molecule == m
        clean, perturbed = (
            AtomBatch(batch.numbers[own], p[own], batch.counts[m : m + 1], batch.charge[m : m + 1])
            for p in (batch.positions, noisy)
        )
        _, forces = objective.potential.energy_and_forces(perturbed)
        # Levels run from 1 Å to 0.01 Å in equal factors.
        sigma = torch.tensor([10 ** (-2 * level[m].item() / 9)], dtype=torch.float64)
        squares.append((forces - force_target(clean, noisy[own], sigma)).square().sum().item())
        rows = [
            objective.atom(objective.potential.backbone(b).scalars[:, -8:]).sum(0) for b in (clean, perturbed)
        ]
        logits = objective.level(torch.cat(rows))
        entropies.append(-logits.log_softmax(0)[level[m]].item())
    assert losses["efp"].item() == pytest.approx(np.mean(squares), rel=1e-5)
    assert losses["inp"].item() == pytest.approx(np.mean(entropies))


def test_drawn_noise_has_the_size_of_its_level(objective, monkeypatch):
    batch = random_batch((6,) * 200)
    calls = []
    monkeypatch.setattr(objective, "losses", lambda *arguments: calls.append(arguments))
    objective(batch)
    (((_, noisy, level)),) = calls
    assert set(level.tolist()) == set(range(10))
    for k in range(10):
        own = (level == k)[batch.molecule]
        spread = (noisy - batch.positions)[own].std().item()
        assert spread == pytest.approx(10 ** (-2 * k / 9), rel=0.25)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda config: config.kind)
def test_training_learns_to_tell_strong_noise_from_weak(backbone):
    wide = dataclasses.replace(backbone, width=32, radial=16)
    objective = RiemannGaussian(small_potential(wide), levels=2).double()
    batch = random_batch((6,) * 12)
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.003)
    for _ in range(100):
        optimiser.zero_grad()
        losses = objective(batch)
        (losses["efp"] + 0.2 * losses["inp"]).backward()
        optimiser.step()
    assert objective.potential.head[0].weight.grad.abs().amax() > 0  # the gradient of a gradient
    with torch.no_grad():  # losses of held-out molecules are measured like this
        learnt = torch.stack([objective(batch)["inp"] for _ in range(10)]).mean()
    assert learnt < 0.5 * math.log(2)
