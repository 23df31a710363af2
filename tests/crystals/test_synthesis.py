"""Synthetic crystals: volumes, packings without overlap that follow their seed, rotations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import molecule
from crystal_examples import CHIRAL

from skmol3d.crystals.energies import (
    RigidCrystals,
    lattice_energies,
    lennard_jones,
    pad_molecules,
)
from skmol3d.crystals.synthesis import (
    Synthesis,
    canonical_crystal,
    cell_vectors,
    molecular_volumes,
    rigid_crystals,
    rotation_matrices,
    synthesise,
)

MOLECULES = [(m.numbers, m.positions) for m in (molecule("C6H6"), molecule("CH3CONH2"), CHIRAL)]


SHORT = Synthesis(steps=60, copies=3)


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


def test_synthesis() -> None:
    cells = synthesise(MOLECULES, SHORT, torch.Generator().manual_seed(0))
    assert cells.molecule.tolist() == [0, 1, 2, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert cells.optimised.tolist() == [True] * 3 + [False] * 9
    assert (cells.energies[:3] < -20).all()  # each pair of neighbouring atoms brings about -1
    assert (cells.energies[3:] > cells.energies[cells.molecule[3:]]).all()
    volumes = torch.linalg.det(cell_vectors(cells.lengths, cells.angles))
    packing = molecular_volumes(*pad_molecules(MOLECULES))[cells.molecule] / volumes
    assert ((packing[:3] > 0.6) & (packing[:3] < 0.85)).all()  # as real organic crystals pack

    rescored = lattice_energies(rigid_crystals(cells, MOLECULES, torch.float64), lennard_jones)
    np.testing.assert_allclose(rescored, cells.energies, rtol=1e-3, atol=1e-2)
    for k in (0, 2, 5):
        found = canonical_crystal(cells, k, MOLECULES)
        energy = lattice_energies(RigidCrystals.from_crystals([found]), lennard_jones)
        assert energy.item() == pytest.approx(rescored[k].item(), rel=1e-4)
        assert found.space_group == 1
        np.testing.assert_allclose(found.parameters[0, 6:9], 0.5)
        assert (np.diff(found.parameters[0, :3]) > -1e-3).all()


def test_synthesis_starts_at_the_packing_and_follows_its_seed() -> None:
    start = Synthesis(steps=0, copies=1, packing=0.4)
    one, two = (synthesise(MOLECULES, start, torch.Generator().manual_seed(7)) for _ in range(2))
    assert torch.equal(one.energies, two.energies)
    volumes = torch.linalg.det(cell_vectors(one.lengths, one.angles))[:3]
    np.testing.assert_allclose(molecular_volumes(*pad_molecules(MOLECULES)) / volumes, 0.4, rtol=1e-4)
    other = synthesise(MOLECULES, start, torch.Generator().manual_seed(8))
    assert not torch.isclose(one.energies, other.energies).any()


def test_rotation_matrices() -> None:
    quarter = rotation_matrices(torch.tensor([[0.0, 0.0, np.pi / 2]], dtype=torch.float64))[0]
    np.testing.assert_allclose(
        quarter @ torch.tensor([1.0, 0, 0], dtype=torch.float64), [0, 1, 0], atol=1e-12
    )
