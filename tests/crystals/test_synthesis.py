"""Synthetic crystals: volumes, packings without overlap that follow their seed, rotations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase.build import molecule
from crystal_examples import CHIRAL

from skmol3d.crystals.energies import pad_molecules
from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.packing import Rigid, atom_pairs, closest_contacts
from skmol3d.crystals.synthesis import (
    POLAR_RADIUS,
    Synthesis,
    cell_vectors,
    molecular_volumes,
    overlapping,
    rigid_molecules,
    rotation_matrices,
    synthesise,
)

MOLECULES = [(m.numbers, m.positions) for m in (molecule("C6H6"), molecule("CH3CONH2"), CHIRAL)]
SHORT = Synthesis(steps=60, copies=3, starts=3)


def made(group: int, seed: int = 0, settings: Synthesis = SHORT):
    molecules = rigid_molecules(MOLECULES)
    generator = torch.Generator().manual_seed(seed)
    return molecules, *synthesise(molecules, torch.arange(3), group, settings, generator)


def test_volumes_of_unions_of_spheres() -> None:
    apart, distance = 10.0, 1.5
    a, b = 1.7, 1.2
    positions = torch.tensor([[[0, 0, 0], [apart, 0, 0]], [[0, 0, 0], [distance, 0, 0]]], dtype=torch.float64)
    sizes = torch.tensor([[a, b], [a, b]], dtype=torch.float64)
    both = 4 / 3 * np.pi * (a**3 + b**3)
    lens = (
        np.pi
        * (a + b - distance) ** 2
        * (distance**2 + 2 * distance * (a + b) - 3 * (a - b) ** 2)
        / (12 * distance)
    )
    found = molecular_volumes(positions, sizes)
    assert found[0].item() == pytest.approx(both, rel=1e-6)
    assert found[1].item() == pytest.approx(both - lens, rel=0.02)


@pytest.mark.parametrize("group", GROUPS)
def test_crystals_are_dense_and_without_overlap(group: int) -> None:
    molecules, packs, optimised = made(group)
    assert packs.molecule[optimised].tolist() == [0, 1, 2]
    assert 3 < len(packs) <= 12
    assert set(packs.molecule[~optimised].tolist()) <= {0, 1, 2}
    contacts = closest_contacts(packs, molecules, atom_pairs(packs, molecules, 6.0))
    assert (contacts >= SHORT.closest).all()
    volumes = molecular_volumes(*pad_molecules(MOLECULES))[packs.molecule]
    packing = volumes * len(GROUPS[group].signs) / torch.linalg.det(packs.cells)
    assert ((packing[optimised] > 0.45) & (packing[optimised] < 0.95)).all()
    b_x, c_x, c_y = GROUPS[group].skew
    free = torch.tensor([[1, 0, 0], [b_x, 1, 0], [c_x, c_y, 1]]).bool()
    assert not packs.cells[:, ~free].any()  # the shape of its crystal system


def test_crystals_start_at_the_packing_and_follow_their_seed() -> None:
    start = Synthesis(steps=0, copies=0, packing=0.3, closest=0.0)
    (molecules, one, _), (_, two, _) = (made(14, 7, start) for _ in range(2))
    assert torch.equal(one.cells, two.cells)
    assert torch.equal(one.places, two.places)
    volumes = 4 * molecular_volumes(molecules.positions, molecules.radii)
    np.testing.assert_allclose(volumes / torch.linalg.det(one.cells), 0.3, rtol=1e-4)
    assert not torch.isclose(one.places, made(14, 8, start)[1].places).any()


def test_overlapping_crystals_are_found() -> None:
    molecules, packs, optimised = made(2)
    good = packs[optimised.nonzero()[:, 0]]
    assert not overlapping(good, molecules, 0.72).any()
    assert overlapping(replace(good, cells=0.8 * good.cells), molecules, 0.72).all()


def test_hydrogens_on_nitrogen_come_near_and_others_do_not() -> None:
    found = rigid_molecules(MOLECULES, [np.arange(len(n)) for n, _ in MOLECULES])
    numbers, _ = MOLECULES[1]
    polar = found.radii[1, : len(numbers)].numpy()[numbers == 1] == np.float32(POLAR_RADIUS)
    assert polar.sum() == 2
    assert not (found.radii[0] == np.float32(POLAR_RADIUS)).any()
    assert found.charges[1, :3].tolist() == [0, 1, 2]
    assert isinstance(found[torch.tensor([1])], Rigid)


def test_rotation_matrices() -> None:
    vectors = torch.tensor([[0.0, 0.0, np.pi / 2], [0.0, 0.0, 0.0], [0.3, -0.4, 1.2]], dtype=torch.float64)
    found = rotation_matrices(vectors)
    np.testing.assert_allclose(found[0] @ torch.tensor([1.0, 0, 0]).double(), [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(found[1], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(found @ found.transpose(1, 2), np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)


def test_cell_vectors() -> None:
    angles = torch.tensor([[1.4, 1.6, 1.5]], dtype=torch.float64)
    found = cell_vectors(torch.tensor([[5.0, 6.0, 7.0]], dtype=torch.float64), angles)[0].numpy()
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [5, 6, 7])
    units = found / np.array([[5], [6], [7]])
    np.testing.assert_allclose((units @ units.T)[[1, 0, 0], [2, 2, 1]], np.cos([1.4, 1.6, 1.5]))
