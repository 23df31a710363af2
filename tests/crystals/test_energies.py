"""Lattice energies against ASE and direct sums; synthesis of P1 crystals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.lj import LennardJones
from ase.data import vdw_radii
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal
from crystal_examples import CHIRAL, random_crystal

from skmol3d.calculator import PotentialCalculator
from skmol3d.crystals import CrystalError, MolecularCrystal
from skmol3d.crystals.energies import (
    PairEnergy,
    RigidCrystals,
    buckingham,
    lattice_energies,
    lattice_energy,
    lennard_jones,
    radii,
)
from skmol3d.encoders.backbones import EGNNConfig
from skmol3d.encoders.potential import Potential, PotentialConfig

WATER = Atoms("OHH", [(0, 0, 0), (0.76, 0.59, 0), (-0.76, 0.59, 0)])


def direct_sum(found: MolecularCrystal, energy: PairEnergy, cutoff: float) -> float:
    """Per molecule, by ASE's neighbour list, without the distance vectors within one molecule."""
    atoms = found.to_atoms()
    sizes = [len(m.numbers) for m, copies in zip(found.molecules, found.copies, strict=True) for _ in copies]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    i, j, d, way = neighbor_list("ijdD", atoms, cutoff)
    within = (owner[i] == owner[j]) & np.isclose(atoms.positions[j] - atoms.positions[i], way, atol=1e-6).all(
        1
    )
    sums = vdw_radii[atoms.numbers[i]] + vdw_radii[atoms.numbers[j]]
    pairs = energy(torch.tensor(d[~within]), torch.tensor(sums[~within]))
    return pairs.sum().item() / 2 / len(sizes)


@pytest.mark.parametrize("energy", [lennard_jones, buckingham])
def test_energies_equal_direct_sums(energy: PairEnergy) -> None:
    atoms = [random_crystal(n, seed=n) for n in (1, 2, 14, 33)] + [random_crystal(4, 1, (CHIRAL, WATER))]
    found = [MolecularCrystal.read(a) for a in atoms]
    batched = lattice_energies(RigidCrystals.from_crystals(found), energy, cutoff=9.0)
    expected = [direct_sum(one, energy, 9.0) for one in found]
    np.testing.assert_allclose(batched, expected, rtol=1e-9, atol=1e-9)


def test_argon_against_ase() -> None:
    argon = crystal("Ar", [(0, 0, 0)], spacegroup=225, cellpar=[5.3] * 3 + [90] * 3)
    sigma, cutoff = 2 * vdw_radii[18], 9.0
    argon.calc = LennardJones(sigma=sigma, epsilon=1.0, rc=cutoff)
    # ASE lifts every pair by its energy at the cutoff.
    pairs = len(neighbor_list("i", argon, cutoff)) / 2
    lift = 4 * ((sigma / cutoff) ** 12 - (sigma / cutoff) ** 6)
    expected = (argon.get_potential_energy() + pairs * lift) / len(argon)
    found = RigidCrystals.from_crystals([MolecularCrystal.read(argon)])
    assert lattice_energies(found, lennard_jones, cutoff).item() == pytest.approx(expected, rel=1e-9)


def test_pair_energies() -> None:
    r = torch.linspace(2.0, 9.0, 7001, dtype=torch.float64)
    s = torch.full_like(r, 3.4)
    assert r[buckingham(r, s).argmin()] == pytest.approx(3.4, abs=2e-3)
    assert buckingham(r, s).min() == pytest.approx(-1.0, abs=1e-4)
    assert r[lennard_jones(r, s).argmin()] == pytest.approx(3.4 * 2 ** (1 / 6), abs=2e-3)
    assert lennard_jones(r, s).min() == pytest.approx(-1.0, abs=1e-6)
    close = torch.tensor([2.4], dtype=torch.float64)
    assert lennard_jones(close, s[:1]) > buckingham(close, s[:1]) > 0
    with pytest.raises(CrystalError, match="no van der Waals radius for Fe"):
        radii(np.array([6, 26]))


def test_energies_are_differentiable() -> None:
    found = RigidCrystals.from_crystals([MolecularCrystal.read(random_crystal(2, seed=1))])
    cells = found.cells.clone().requires_grad_()
    positions = found.positions.clone().requires_grad_()

    def energy(cells: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        # No pair crosses this cutoff within the step of the finite differences.
        return lattice_energies(RigidCrystals(cells, positions, found.radii, found.crystal), buckingham, 7.0)

    assert torch.autograd.gradcheck(energy, (cells, positions), eps=1e-5)


def test_lattice_energy_of_several_molecules_by_ase() -> None:
    found = MolecularCrystal.read(random_crystal(4, 1, (CHIRAL, WATER)))
    calculator = LennardJones(sigma=2.0, epsilon=0.1, rc=6.0)
    atoms = found.to_atoms()
    atoms.calc = calculator
    expected = atoms.get_potential_energy()
    for single in (CHIRAL, WATER):
        alone = single.copy()
        alone.calc = calculator
        expected -= 2 * alone.get_potential_energy()
    assert lattice_energy(found, calculator) == pytest.approx(expected / 4, rel=1e-6)


def test_lattice_energy_is_that_of_the_cell_without_its_molecules() -> None:
    calculator = PotentialCalculator(Potential(PotentialConfig(EGNNConfig(width=16, layers=2))), "cpu")
    found = MolecularCrystal.read(random_crystal(2, seed=1))
    expected = calculator.get_potential_energy(found.to_atoms()) / 2 - calculator.get_potential_energy(CHIRAL)
    assert lattice_energy(found, calculator) == pytest.approx(expected, abs=1e-6)


def test_flat_cells_are_named_before_memory_runs_out() -> None:
    found = [MolecularCrystal.read(random_crystal(n, seed=n)) for n in (1, 2)]
    crystals = RigidCrystals.from_crystals(found)
    expected = lattice_energies(crystals, buckingham)
    for height in (1e-3, 1e-12, 0.0):
        flat = crystals.cells.clone()
        flat[1, 2] = 0.3 * flat[1, 0] + height * torch.tensor([0.0, 0.0, 1.0])
        with pytest.raises(CrystalError, match=r"crystal 1: its cell \(sides of .* Å, .* Å³\) is too flat"):
            lattice_energies(replace(crystals, cells=flat), buckingham)
    # Merely skewed cells stand for the same lattice.
    skewed = crystals.cells.clone()
    skewed[0, 1] += 3 * skewed[0, 0]
    skewed[1, 2] += 2 * skewed[1, 1] - 2 * skewed[1, 0]
    np.testing.assert_allclose(lattice_energies(replace(crystals, cells=skewed), buckingham), expected)


def test_lattice_energy_names_what_it_does_not_take() -> None:
    found = MolecularCrystal.read(random_crystal(2, seed=1))
    with pytest.raises(TypeError, match=r"crystal must be a MolecularCrystal, .*; got Atoms\("):
        lattice_energy(found.to_atoms(), LennardJones())
    with pytest.raises(TypeError, match=r"calculator must be one of ASE's, .* got 'ec-xtb-small'"):
        lattice_energy(found, "ec-xtb-small")
