"""Energies of atoms, summed over molecules."""

import numpy as np
import torch

from skmol3d.encoders import AtomBatch, EquivariantTransformerConfig, Potential, PotentialConfig


def made():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = PotentialConfig(EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=6))
        return Potential(config).double().eval()


def batch(*counts):
    rng = np.random.default_rng(0)
    molecules = [(rng.choice([1, 6, 8], n), rng.normal(0, 1.5, (n, 3)), 0, None) for n in counts]
    found = AtomBatch.from_arrays(molecules)
    return AtomBatch(found.numbers, found.positions.double(), found.counts, found.charge.double())


def test_reference_energies_are_added_for_each_atom():
    potential, atoms = made(), batch(4, 6)
    before = potential.energy(atoms)
    potential.element_energy[6] = -1000.0
    potential.element_energy[8] = -2000.0
    for molecule, change in enumerate(potential.energy(atoms) - before):
        own = atoms.numbers[atoms.molecule == molecule]
        expected = -1000.0 * (own == 6).sum() - 2000.0 * (own == 8).sum()
        torch.testing.assert_close(change, expected.double())
    assert potential(atoms).shape == (2, 1)


def test_features_that_were_computed_before_give_the_same_energy():
    potential, atoms = made(), batch(4, 6)
    features = potential.backbone(atoms)
    torch.testing.assert_close(potential.energy(atoms, features), potential.energy(atoms))


def test_forces_are_the_slope_and_only_training_keeps_their_graph():
    potential, atoms = made(), batch(5)
    energy, forces = potential.energy_and_forces(atoms)
    assert not forces.requires_grad
    step = 1e-4
    moved = atoms.positions.clone()
    moved[2, 1] += step
    change = potential.energy(AtomBatch(atoms.numbers, moved, atoms.counts, atoms.charge)) - energy
    np.testing.assert_allclose(change.item() / step, -forces[2, 1].item(), rtol=1e-2, atol=1e-6)
    _, trained = potential.train().energy_and_forces(atoms)
    assert trained.requires_grad
    with torch.inference_mode(False), torch.no_grad():
        again = potential.eval().energy_and_forces(atoms)[1]
    torch.testing.assert_close(again, forces)
