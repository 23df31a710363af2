"""A potential as an ASE calculator: exact derivatives, devices and precisions, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.filters import FrechetCellFilter
from ase.md.verlet import VelocityVerlet
from ase.stress import full_3x3_to_voigt_6_stress

from skmol3d.calculator import PotentialCalculator, potential_energies
from skmol3d.encoders.backbones import EGNNConfig, EquivariantConvolutionConfig, EquivariantTransformerConfig
from skmol3d.encoders.potential import Potential, PotentialConfig
from skmol3d.hub import save_pretrained
from skmol3d.structures import StructureError

ELEMENTS = (1, 6, 8)
BACKBONES = {
    "equivariant transformer": EquivariantTransformerConfig(
        width=16, layers=2, heads=2, radial=8, cutoff=4.0, elements=ELEMENTS
    ),
    "egnn": EGNNConfig(width=16, layers=2, elements=ELEMENTS),
    "equivariant convolution": EquivariantConvolutionConfig(
        width=16, vectors=8, layers=2, filters=4, radial=8, cutoff=4.0, elements=ELEMENTS
    ),
}
FORMIC_ACID, WATER = molecule("HCOOH"), molecule("H2O")


@pytest.fixture(params=BACKBONES)
def potential(request: pytest.FixtureRequest) -> Potential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Potential(PotentialConfig(BACKBONES[request.param]))
    made.head[-1].weight.data.mul_(30.0)  # for forces as large as real ones
    made.element_energy[list(ELEMENTS)] = torch.tensor([-13.0, -1000.0, -2000.0])
    return made


def crystal(one: Atoms = FORMIC_ACID, size: float = 5.0, seed: int = 0) -> Atoms:
    """One molecule in a skewed cell, all atoms inside it; narrower than twice the cutoff."""
    rng = np.random.default_rng(seed)
    cell = size * (np.eye(3) + rng.uniform(-0.2, 0.2, (3, 3)))
    atoms = Atoms(one.numbers, one.positions + rng.uniform(-9, 9, 3), cell=cell, pbc=True)
    atoms.wrap()
    return atoms


def energy(calculator: PotentialCalculator, numbers: np.ndarray, positions: np.ndarray, cell=None) -> float:
    return calculator.get_potential_energy(Atoms(numbers, positions, cell=cell, pbc=cell is not None))


def test_supercells_and_single_molecules(potential: Potential) -> None:
    calculator = PotentialCalculator(potential, device="cpu")
    atoms = crystal()
    atoms.calc = calculator
    whole, forces, stress = atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress()
    larger = atoms.repeat((2, 1, 3))
    larger.wrap()
    larger.calc = calculator
    assert larger.get_potential_energy() == pytest.approx(6 * whole, rel=1e-9)
    np.testing.assert_allclose(larger.get_forces(), np.tile(forces, (6, 1)), atol=1e-8)
    np.testing.assert_allclose(larger.get_stress(), stress, atol=1e-10)
    # A molecule in a box wider than the cutoff is a molecule alone.
    box = 30 * np.eye(3)
    alone = energy(calculator, FORMIC_ACID.numbers, FORMIC_ACID.positions)
    assert energy(calculator, FORMIC_ACID.numbers, FORMIC_ACID.positions, box) == pytest.approx(
        alone, abs=1e-9
    )
    assert abs(whole - alone) > 1e-3


def test_forces_and_stress_are_the_derivatives_of_the_energy(potential: Potential) -> None:
    calculator = PotentialCalculator(potential, device="cpu")
    atoms = crystal()
    cell, places, numbers = atoms.cell.array, atoms.positions, atoms.numbers
    atoms.calc = calculator
    forces, stress = atoms.get_forces(), atoms.get_stress()
    h = 1e-4
    step = np.zeros_like(places)
    step[2, 1] = h
    ends = [energy(calculator, numbers, places + sign * step, cell) for sign in (1, -1)]
    assert forces[2, 1] == pytest.approx((ends[1] - ends[0]) / (2 * h), abs=1e-5)
    expected = np.zeros((3, 3))
    for a in range(3):
        for b in range(3):
            strain = np.zeros((3, 3))
            strain[a, b] = h
            up, down = (np.eye(3) + sign * (strain + strain.T) / 2 for sign in (1, -1))
            difference = energy(calculator, numbers, places @ up, cell @ up)
            difference -= energy(calculator, numbers, places @ down, cell @ down)
            expected[a, b] = difference / (2 * h) / atoms.cell.volume
    np.testing.assert_allclose(stress, full_3x3_to_voigt_6_stress(expected), atol=1e-7)
    assert np.abs(stress).max() > 1e-4
    # ASE's own check of the gradient in which cells are relaxed.
    assert FrechetCellFilter(atoms).get_forces().shape == (len(atoms) + 3, 3)


def test_what_a_potential_has_no_head_for_is_not_offered(potential: Potential) -> None:
    calculator = PotentialCalculator(potential, device="cpu")
    assert sorted(calculator.implemented_properties) == ["energy", "forces", "free_energy", "stress"]
    alone = WATER.copy()
    alone.calc = calculator
    for ask in (alone.get_dipole_moment, alone.get_charges, alone.get_stress):
        with pytest.raises(PropertyNotImplementedError):
            ask()


def test_single_precision_far_from_the_origin(potential: Potential) -> None:
    double = PotentialCalculator(potential, "cpu", "float64")
    single = PotentialCalculator(potential, "cpu", "float32")
    for atoms in (FORMIC_ACID.copy(), crystal()):
        atoms.positions += 5000.0
        results = []
        for calculator in (double, single):
            atoms.calc = calculator
            results.append((atoms.get_potential_energy(), atoms.get_forces()))
        assert results[1][0] == pytest.approx(results[0][0], abs=1e-4)  # of thousands of eV
        np.testing.assert_allclose(results[1][1], results[0][1], atol=1e-4)
        assert results[1][1].dtype == np.float64
    assert next(potential.parameters()).dtype == torch.float32
    assert next(potential.parameters()).requires_grad


def test_charged_molecules(potential: Potential) -> None:
    for layer in potential.backbone.modules():
        if hasattr(layer, "charge"):
            layer.charge.weight.data.copy_(torch.linspace(-1, 1, 16)[:, None])
    calculator = PotentialCalculator(potential, device="cpu")
    water = WATER.copy()
    water.calc = calculator
    neutral = water.get_potential_energy()
    water.info["charge"] = 1
    cation = water.get_potential_energy()  # ASE keeps results until it sees a change
    assert abs(cation - neutral) > 1e-3
    other = WATER.copy()
    other.set_initial_charges([1.2, -0.1, -0.1])
    assert calculator.get_potential_energy(other) == pytest.approx(cation)
    np.testing.assert_allclose(potential_energies(potential, [WATER, other]), [neutral, cation], atol=1e-4)


def test_replicas_are_as_one_by_one(potential: Potential) -> None:
    calculator = PotentialCalculator(potential, device="cpu")
    cation = WATER.copy()
    cation.info["charge"] = 1
    for atoms in (FORMIC_ACID, cation, crystal()):
        places = atoms.positions + np.random.default_rng(0).normal(0, 0.05, (3, len(atoms), 3))
        places[1] += 100.0
        energies, forces = calculator.evaluate(atoms, places)
        for place, e, f in zip(places, energies, forces, strict=True):
            one = atoms.copy()
            one.positions, one.calc = place, calculator
            assert one.get_potential_energy() == pytest.approx(e, abs=1e-9)
            np.testing.assert_allclose(one.get_forces(), f, atol=1e-9)
    assert np.ptp(energies) > 1e-3
    for wrong in (FORMIC_ACID.positions, np.zeros((0, 5, 3)), np.zeros((2, 4, 3))):
        with pytest.raises(ValueError, match=r"must have the shape \(copies, 5, 3\)"):
            calculator.evaluate(FORMIC_ACID, wrong)
    with pytest.raises(StructureError, match="not trained on N"):
        calculator.evaluate(molecule("NH3"), molecule("NH3").positions[None])


def test_dynamics_conserve_the_energy(potential: Potential) -> None:
    """Forces are the gradient of what is called the energy, in single precision, too."""
    for dtype in ("float64", "float32"):
        atoms = FORMIC_ACID.copy()
        atoms.calc = PotentialCalculator(potential, "cpu", dtype)
        atoms.set_momenta(np.random.default_rng(0).normal(size=(5, 3)))
        total, kinetic = [], []
        dynamics = VelocityVerlet(atoms, 0.1 * units.fs)
        for _ in range(40):
            dynamics.run(2)
            total.append(atoms.get_total_energy())
            kinetic.append(atoms.get_kinetic_energy())
        assert np.ptp(total) < 0.01 * np.ptp(kinetic)
        assert np.ptp(kinetic) > 0.01


def test_a_calculator_by_name(tmp_path: Path, potential: Potential) -> None:
    folder = save_pretrained(potential, tmp_path / "mine", "A card.")
    loaded = PotentialCalculator(folder, device="cpu")
    expected = PotentialCalculator(potential, device="cpu").get_potential_energy(WATER)
    assert loaded.get_potential_energy(WATER) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ValueError, match="mo3enet-small is a Mo3ENet, not a potential"):
        PotentialCalculator("mo3enet-small")


def test_results_are_kept_until_something_changes(potential: Potential) -> None:
    calculator = PotentialCalculator(potential, device="cpu")
    assert "positions" in calculator.check_state(WATER)  # before the first calculation
    water = WATER.copy()
    water.calc = calculator
    water.get_forces()
    assert not calculator.check_state(water)
    water.positions[0, 0] += 1e-12
    assert calculator.check_state(water) == ["positions"]
    assert calculator.check_state(Atoms(WATER, cell=np.eye(3), pbc=True)) == ["cell", "pbc"]


def test_parameters_are_checked(potential: Potential) -> None:
    with pytest.raises(ValueError, match="dtype must be one of 'float32', 'float64'; got 'half'"):
        PotentialCalculator(potential, dtype="half")
    with pytest.raises(ValueError, match="device='cuda:7' is not available"):
        PotentialCalculator(potential, device="cuda:7")


def test_batches_are_as_one_by_one(potential: Potential) -> None:
    """In single precision and in batches of several sizes."""
    crystals = [crystal(), crystal(WATER, 4.0, 1), crystal(seed=2), crystal(WATER, 3.5, 3)]
    calculator = PotentialCalculator(potential, device="cpu")
    expected = [calculator.get_potential_energy(atoms) for atoms in crystals]
    for at_once in (1, 12, 512):
        found = potential_energies(potential, crystals, at_once)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    alone = potential_energies(potential, [FORMIC_ACID, WATER])
    separate = [calculator.get_potential_energy(m) for m in (FORMIC_ACID, WATER)]
    np.testing.assert_allclose(alone, separate, atol=1e-4)


def test_refusals(potential: Potential) -> None:
    calculator = PotentialCalculator(potential, device="cpu")
    with pytest.raises(StructureError, match="not trained on N"):
        calculator.get_potential_energy(molecule("NH3"))
    with pytest.raises(StructureError, match="not trained on N"):
        potential_energies(potential, [WATER, molecule("NH3")])
    with pytest.raises(StructureError, match="some directions"):
        calculator.get_potential_energy(Atoms("C", cell=[5, 5, 5], pbc=[True, True, False]))
    with pytest.raises(StructureError, match="structure 0 has no atoms"):
        calculator.get_potential_energy(Atoms())
    with pytest.raises(StructureError, match="structure 1 has no atoms"):
        potential_energies(potential, [WATER, Atoms()])


def test_flat_cells_are_named_before_memory_runs_out(potential: Potential) -> None:
    calculator = PotentialCalculator(potential, device="cpu")
    for height in (1e-3, 1e-12):
        flat = Atoms("C", cell=[[6, 0, 0], [0, 6, 0], [3, 2, height]], pbc=True)
        with pytest.raises(
            StructureError, match=r"crystal 0: its cell \(sides of 6, 6, 3\.61 Å.* is too flat"
        ):
            calculator.get_potential_energy(flat)
        with pytest.raises(StructureError, match="crystal 1: its cell"):
            potential_energies(potential, [crystal(Atoms("C")), flat])
    # Each alone would do: together their images fill space.
    long = [np.diag(np.roll([0.02, 8.0, 8.0], k)) for k in range(3)]
    with pytest.raises(StructureError, match="too flat"):
        potential_energies(potential, [Atoms("C", cell=cell, pbc=True) for cell in long])


@pytest.mark.slow
def test_needs_no_spglib() -> None:
    code = (
        "import sys; sys.modules['spglib'] = sys.modules['gemmi'] = None;"
        "from skmol3d import PotentialCalculator; print(PotentialCalculator.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "PotentialCalculator"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_coordinates_that_are_not_finite_have_no_energy(value):
    calculator, water = PotentialCalculator("ec-xtb-small", device="cpu"), molecule("H2O")
    places = np.stack([water.positions, water.positions])
    places[1, 0, 0] = value
    energies, forces = calculator.evaluate(water, places)
    assert np.isnan(energies).tolist() == [False, True]
    assert np.isfinite(forces[0]).all()
    assert np.isnan(forces[1]).all()
    water.positions = places[1]
    water.calc = calculator
    with pytest.raises(StructureError, match="not finite"):
        water.get_potential_energy()


def test_the_free_energy_is_the_energy(potential: Potential) -> None:
    """ASE's relaxations of cells ask for it."""
    atoms = crystal()
    atoms.calc = PotentialCalculator(potential, device="cpu")
    found = atoms.get_potential_energy()
    assert atoms.get_potential_energy(force_consistent=True) == found
    assert FrechetCellFilter(atoms).get_potential_energy() == found


@pytest.mark.parametrize("periodic", [False, True])
def test_atoms_in_the_same_place_are_named(periodic: bool) -> None:
    calculator = PotentialCalculator("ec-xtb-small", device="cpu")
    atoms = Atoms("OH2", [[0, 0, 0], [0, 0, 0.96], [0, 0, 0.96]], cell=[8.0] * 3 if periodic else None)
    atoms.pbc = periodic
    atoms.calc = calculator
    for ask in (atoms.get_potential_energy, atoms.get_forces):
        with pytest.raises(StructureError, match=r"^atoms H1, H2 are 0\.00 Å apart"):
            ask()
    good = atoms.copy()
    good.positions[2] = [0, 0.96, 0]
    energies, forces = calculator.evaluate(atoms, [good.positions, atoms.positions])
    assert np.isnan(energies).tolist() == [False, True]
    assert np.isfinite(forces[0]).all()
    assert np.isnan(forces[1]).all()
    with pytest.raises(StructureError, match=r"structure 1: atoms H1, H2 are 0\.00 Å apart"):
        potential_energies(calculator.potential, [good, atoms])


def test_charges_that_are_not_whole_are_refused(potential: Potential) -> None:
    calculator = PotentialCalculator(potential, device="cpu")
    partial = WATER.copy()
    partial.calc = calculator
    partial.set_initial_charges([-0.804, 0.4, 0.4])  # rounded where they were written
    partial.get_potential_energy()
    partial.set_initial_charges([0.2, 0.2, 0.2])
    for ask in (partial.get_potential_energy, lambda: potential_energies(potential, [partial])):
        with pytest.raises(StructureError, match=r'charges sum to 0\.6, .* set atoms\.info\["charge"\]'):
            ask()
    partial.info["charge"] = 0
    partial.get_potential_energy()
    partial.info["charge"] = 0.4  # rounds to what it was
    with pytest.raises(StructureError, match=r'info\["charge"\] is 0\.4, not a whole number'):
        partial.get_potential_energy()
