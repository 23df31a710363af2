"""Potentials side by side give what each gives by itself."""

import pytest
import torch

from skmol3d.benchmark.experiments.stacked_potentials import StackedPotentials, fill
from skmol3d.encoders import Potential, PotentialConfig
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.backbones import EquivariantConvolutionConfig

COPIES = 3


def made(seed, **sizes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Potential(
            PotentialConfig(EquivariantConvolutionConfig(**{"width": 16, "vectors": 8, **sizes}))
        )


@pytest.fixture
def two():
    """Networks, and the numbers and positions of their molecules: ten atoms, and six that are filled up."""
    generator = torch.Generator().manual_seed(0)
    molecules = []
    for size in (10, 6):
        numbers = torch.randint(6, 9, (size,), generator=generator)
        molecules.append((numbers, 3 * torch.randn(COPIES, size, 3, generator=generator)))
    return [made(0), made(1)], molecules


def test_energies_and_forces_are_those_of_each(two):
    potentials, molecules = two
    filled = [fill(*each, 10) for each in molecules]
    numbers, places = (torch.stack(each) for each in zip(*filled, strict=True))
    energies, forces = StackedPotentials(potentials, numbers).energy_and_forces(places)
    for k, (potential, (own, positions)) in enumerate(zip(potentials, molecules, strict=True)):
        size = len(own)
        counts, charge = torch.full((COPIES,), size), torch.zeros(COPIES)
        batch = AtomBatch(own.repeat(COPIES), positions.reshape(-1, 3), counts, charge)
        energy, force = (v.detach() for v in potential.eval().energy_and_forces(batch))
        # Hydrogens far away add a constant.
        torch.testing.assert_close(energies[k] - energies[k, 0], energy - energy[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(forces[k, :, :size].reshape(-1, 3), force, atol=1e-5, rtol=1e-4)
        assert not forces[k, :, size:].any()
    torch.testing.assert_close(energies[0, 0], potentials[0](_one(molecules[0]))[0, 0])


def _one(molecule):
    numbers, positions = molecule
    return AtomBatch(numbers, positions[0], torch.tensor([len(numbers)]), torch.zeros(1))


def test_a_network_comes_out_as_it_went_in(two):
    potentials, molecules = two
    stack = StackedPotentials(potentials, molecules[0][0].repeat(2, 1))
    for k, potential in enumerate(potentials):
        for name, value in stack.potential(k).state_dict().items():
            assert torch.equal(value, potential.state_dict()[name]), name


def test_refused():
    one = torch.ones(1, 2, dtype=torch.long)
    with pytest.raises(ValueError, match="equivariant convolutions are stacked"):
        StackedPotentials([Potential(PotentialConfig())], one)
    with pytest.raises(ValueError, match="one architecture"):
        StackedPotentials([made(0), made(0, width=24)], one.repeat(2, 1))
