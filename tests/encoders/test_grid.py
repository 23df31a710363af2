"""Grids: padding that stays is not seen by what reads atoms."""

import numpy as np
import pytest
import torch
from encoder_examples import CONVOLUTION, collate, example

from skmol3d.encoders import AtomBatch, Potential, PotentialConfig
from skmol3d.encoders.grid import GridBatch

MOLECULES = [
    example("CH3CH2OH"),
    example("H2O", 1.0),
    example("CH3COOH"),
    (np.array([17]), np.zeros((1, 3)), 0.0, None),
]


def grid(ragged: AtomBatch, longest: int, padding: float = 0.0) -> GridBatch:
    """``ragged`` with every molecule padded to ``longest`` places; padding lies at ``padding`` (Å)."""
    numbers = torch.zeros(len(ragged), longest, dtype=torch.long)
    positions = torch.full((len(ragged), longest, 3), padding, dtype=ragged.positions.dtype)
    numbers[ragged.molecule, ragged.slot] = ragged.numbers
    positions[ragged.molecule, ragged.slot] = ragged.positions
    return GridBatch(numbers.flatten(), positions.flatten(0, 1), ragged.counts, ragged.charge)


@pytest.fixture(scope="module")
def potential():
    torch.manual_seed(0)
    return Potential(PotentialConfig(CONVOLUTION)).double().eval()


@pytest.mark.parametrize("padding", [0.0, 0.5, 40.0])
@pytest.mark.parametrize("longest", [9, 14])
def test_energies_and_gradients_are_those_of_the_ragged_batch(potential, longest, padding):
    ragged = collate(*MOLECULES)
    expected, forces = potential.energy_and_forces(ragged)
    own = grid(ragged, longest, padding)
    positions = own.positions.requires_grad_()
    energy = potential.energy(own)
    torch.testing.assert_close(energy, expected)
    (gradient,) = torch.autograd.grad(energy.sum(), positions)
    places = own.real.flatten()
    torch.testing.assert_close(-gradient[places], forces)
    assert not gradient[~places].any()


def test_padding_is_told_from_atoms():
    ragged = collate(*MOLECULES)
    own = grid(ragged, 12)
    assert torch.equal(own.flat_index >= 0, own.real)
    assert own.real.sum(1).tolist() == ragged.counts.tolist()
    kept = own.only_atoms(torch.ones(48, 2))
    assert torch.equal(kept[:, 0].view(4, 12), own.real.float())
    assert torch.equal(ragged.only_atoms(ragged.positions), ragged.positions)


def test_moved_grids_are_grids():
    assert isinstance(grid(collate(*MOLECULES), 9).to("cpu"), GridBatch)


def test_bonds_and_odd_places_are_refused():
    ragged = collate(*MOLECULES)
    with pytest.raises(ValueError, match="equally many places"):
        GridBatch(ragged.numbers, ragged.positions, ragged.counts, ragged.charge)
    with pytest.raises(ValueError, match="neither bonds"):
        GridBatch(ragged.numbers, ragged.positions, ragged.counts, ragged.charge, torch.zeros(2, 0).long())
