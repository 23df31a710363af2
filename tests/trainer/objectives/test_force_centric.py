"""The force-centric loss against one conformer at a time, and its denoising forces as forces."""

import dataclasses

import numpy as np
import pytest
import torch
from objective_examples import BACKBONES, permuted, random_batch, small_potential, transformed

from skmol3d.encoders import AtomBatch
from skmol3d.trainer.objectives.force_centric import ForceCentric, without_rigid_motion


@pytest.fixture
def batch():
    return random_batch((6, 9, 4, 7, 5, 8, 6, 7))


@pytest.fixture(params=BACKBONES, ids=lambda config: config.kind)
def objective(request):
    return ForceCentric(small_potential(request.param))


FLAGS = torch.tensor([False, True, True, False, True, True, True, True])


def test_against_one_conformer_at_a_time(objective, batch):
    forces = torch.randn(len(batch.numbers), 3, dtype=torch.float64)
    forces[FLAGS[batch.molecule]] = torch.nan  # equilibrium conformers need no labels
    torch.manual_seed(5)
    loss = objective(batch, forces, FLAGS)
    # The same draws, in the same order.
    torch.manual_seed(5)
    coins = torch.rand(len(batch)) < 0.5
    noise = 0.04 * torch.randn_like(batch.positions)
    assert 0 < (coins & FLAGS).sum() < FLAGS.sum()
    norms = []
    for m in range(len(batch)):
        own = batch.molecule == m
        positions = batch.positions[own]
        if not FLAGS[m]:
            target = forces[own]
        elif not coins[m]:
            target = torch.zeros_like(positions)
        else:
            shift = torch.from_numpy(internal_part(positions.numpy(), noise[own].numpy()))
            positions, target = positions + shift, -(0.025852 / 0.04**2) * shift
        alone = AtomBatch(batch.numbers[own], positions, batch.counts[m : m + 1], batch.charge[m : m + 1])
        _, predicted = objective.potential.energy_and_forces(alone)
        norms += (predicted - target).norm(dim=1).tolist()
    assert loss.item() == pytest.approx(np.mean(norms), rel=1e-5)


def internal_part(positions, shift):
    """What least squares leaves of ``shift`` after the six rigid motions."""
    axes = np.eye(3)
    motions = [np.tile(a, (len(positions), 1)).ravel() for a in axes]
    motions += [np.cross(a, positions).ravel() for a in axes]
    rigid = np.stack(motions, 1)
    amounts, *_ = np.linalg.lstsq(rigid, shift.ravel(), rcond=None)
    return (shift.ravel() - rigid @ amounts).reshape(-1, 3)


def test_denoising_forces_are_forces_of_an_isolated_molecule(batch):
    shift = without_rigid_motion(batch, torch.randn_like(batch.positions))
    assert shift.abs().mean() > 0.3
    for m in range(len(batch)):
        own = batch.molecule == m
        force, zero = shift[own], torch.zeros(3, dtype=torch.float64)
        torch.testing.assert_close(force.sum(0), zero, rtol=0, atol=1e-9)
        for positions in (batch.positions[own], batch.positions[own] + force):
            torque = torch.linalg.cross(positions, force).sum(0)
            torch.testing.assert_close(torque, zero, rtol=0, atol=1e-9)


def test_rigid_motions_of_linear_molecules_and_single_atoms():
    positions = torch.tensor([[0, 0, 0], [0, 0, 1.2], [0, 0, 2.4], [5, 5, 5.0], [0, 1, 0], [0, 2.1, 0]])
    batch = AtomBatch(
        torch.tensor([8, 6, 8, 18, 7, 7]), positions.double(), torch.tensor([3, 1, 2]), torch.zeros(3)
    )
    shift = torch.randn(6, 3, dtype=torch.float64)
    found = without_rigid_motion(batch, shift)
    expected = [internal_part(p, s) for p, s in zip(*map(split, (batch.positions, shift)), strict=True)]
    torch.testing.assert_close(found, torch.from_numpy(np.concatenate(expected)))
    assert (found[3] == 0).all()
    assert found[:3].abs().amax() > 0.1


def split(values):
    return [v.numpy() for v in values.split([3, 1, 2])]


def test_symmetries_without_noise(objective, batch):
    """Reference forces turn with the molecules; the loss does not change."""
    objective = ForceCentric(objective.potential, noise=1e-12, temperature=0.0)
    forces = torch.randn(len(batch.numbers), 3, dtype=torch.float64)
    loss = objective(batch, forces, FLAGS)
    for mirror in (False, True):
        turned, matrices = transformed(batch, seed=1, mirror=mirror)
        turned_forces = (matrices @ forces[:, :, None])[:, :, 0]
        torch.testing.assert_close(objective(turned, turned_forces, FLAGS), loss)
    shuffled, atoms, molecules = permuted(batch)
    torch.testing.assert_close(objective(shuffled, forces[atoms], FLAGS[molecules]), loss)


def nitrogen(length, copies=1):
    positions = torch.tensor([[0, 0, -length / 2], [0, 0, length / 2]], dtype=torch.float64)
    return AtomBatch(
        torch.full((2 * copies,), 7),
        positions.repeat(copies, 1),
        torch.full((copies,), 2),
        torch.zeros(copies, dtype=torch.float64),
    )


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES, ids=lambda config: config.kind)
def test_training_digs_a_well_around_an_equilibrium(backbone):
    wide = dataclasses.replace(backbone, width=32, radial=16)
    objective = ForceCentric(small_potential(wide), noise=0.1).train()
    optimiser = torch.optim.Adam(objective.parameters(), lr=0.003)
    batch = nitrogen(1.1, copies=16)
    for _ in range(200):
        optimiser.zero_grad()
        objective(batch, torch.zeros_like(batch.positions), torch.full((16,), True)).backward()
        optimiser.step()
    for stretch in (-0.15, 0.0, 0.15):
        _, forces = objective.potential.energy_and_forces(nitrogen(1.1 + stretch))
        expected = -0.025852 / 0.1**2 * stretch / 2  # of the second atom, which half the stretch displaces
        assert forces[1, 2].item() == pytest.approx(expected, abs=0.06)
