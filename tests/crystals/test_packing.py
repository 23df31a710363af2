"""Energies of crystals from one molecule and its images."""

import numpy as np
import pytest
import torch
from crystal_examples import CHIRAL

from skmol3d.crystals import MolecularCrystal
from skmol3d.crystals.energies import RigidCrystals, lattice_energies, lennard_jones, radii
from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.packing import Packs, Rigid, atom_pairs, closest_contacts, pair_energies, reaches

NUMBERS, POSITIONS = CHIRAL.numbers, CHIRAL.positions - CHIRAL.positions.mean(0)
CELL = np.array([[9.0, 0, 0], [-0.8, 11.0, 0], [-2.0, 0.7, 10.3]])


def rigid() -> Rigid:
    positions = torch.tensor(POSITIONS)[None]
    return Rigid(positions, torch.tensor(radii(NUMBERS))[None], torch.zeros(1, len(NUMBERS)).double())


def pack(number: int, scale: float = 1.0) -> Packs:
    b_x, c_x, c_y = GROUPS[number].skew
    cell = scale * CELL * np.array([[1, 0, 0], [b_x, 1, 0], [c_x, c_y, 1]])
    turn = np.linalg.qr(np.random.default_rng(number).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    places = torch.tensor([[0.17, 0.29, 0.21]]).double()
    return Packs(
        number, torch.zeros(1, dtype=torch.long), torch.tensor(cell)[None], torch.tensor(turn)[None], places
    )


def lj(distances, sums, charges):
    return lennard_jones(distances, sums)


@pytest.mark.parametrize("number", GROUPS)
@pytest.mark.parametrize("scale", [0.8, 1.0])
def test_energies_are_those_of_the_whole_cell(number, scale):
    packs, molecules = pack(number, scale), rigid()
    pairs = atom_pairs(packs, molecules, 10.0)
    energy = pair_energies(packs, molecules, pairs, lj, 10.0).item()
    posed = packs.posed(molecules)[0].numpy() + (packs.places @ packs.cells[0]).numpy()
    crystal = MolecularCrystal.from_molecules([(NUMBERS, posed)], packs.cells[0].numpy(), number)
    whole = RigidCrystals.from_crystals([crystal])
    assert crystal.z == len(GROUPS[number].signs)
    assert energy == pytest.approx(lattice_energies(whole, lennard_jones, 10.0).item(), rel=1e-8)
    # And of the same molecules as independent ones of P1, in a doubled cell.
    places = [position for copies in crystal.copies for position in copies]
    cell = crystal.cell
    doubled = [(NUMBERS, place + shift) for place in places for shift in (np.zeros(3), cell[0])]
    low = MolecularCrystal.from_molecules(doubled, cell * [[2], [1], [1]])
    assert energy == pytest.approx(
        lattice_energies(RigidCrystals.from_crystals([low]), lennard_jones).item(), rel=1e-6
    )


@pytest.mark.parametrize("number", GROUPS)
def test_gradients(number):
    packs, molecules = pack(number), rigid()
    pairs = atom_pairs(packs, molecules, 8.0)

    def energy(cells, rotations, places):
        moved = Packs(number, packs.molecule, cells, rotations, places)
        return pair_energies(moved, molecules, pairs, lj, 20.0)

    inputs = [x.clone().requires_grad_() for x in (packs.cells, packs.rotations, packs.places)]
    assert torch.autograd.gradcheck(energy, inputs)


def test_closest_contacts_and_flat_cells():
    packs, molecules = pack(1), rigid()
    apart = [[30.0, 0, 0], [0, 30.0, 0], [0, 0, 4.0]]
    column = Packs(
        1, packs.molecule, torch.tensor([apart]).double(), torch.eye(3)[None].double(), packs.places
    )
    found = closest_contacts(column, molecules, atom_pairs(column, molecules, 6.0)).item()
    sums = radii(NUMBERS)[:, None] + radii(NUMBERS)
    gaps = np.linalg.norm(POSITIONS[:, None] - POSITIONS - [0, 0, 4.0], axis=-1)
    assert found == pytest.approx((gaps / sums).min())
    assert torch.isinf(closest_contacts(pack(1, 4.0), molecules, atom_pairs(pack(1, 4.0), molecules, 6.0)))[0]
    reach = 2 * reaches(molecules)[packs.molecule]
    assert not packs.flat(reach).any()
    flat = Packs(
        1, packs.molecule, packs.cells * torch.tensor([[[1.0], [1.0], [0.02]]]), packs.rotations, packs.places
    )
    assert flat.flat(reach).all()
