"""Dynamics of replicas: a canonical ensemble, replicas that do not know each other, what counts as broken."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.morse import MorsePotential
from ase.constraints import FixAtoms
from numpy.typing import NDArray

from skmol3d import PotentialCalculator
from skmol3d.dynamics import (
    BINS,
    FARTHEST,
    distribution_error,
    nose_hoover,
    one_by_one,
    pair_distances,
)

WATER = molecule("H2O")
BONDS = np.array([[0, 1], [0, 2], [1, 2]])
LENGTHS = np.linalg.norm(WATER.positions[BONDS[:, 0]] - WATER.positions[BONDS[:, 1]], axis=1)
STIFF = 10.0  # eV/Å²


def springs(positions: NDArray, stiff: float = STIFF) -> tuple[NDArray, NDArray]:
    """Water of three springs."""
    apart = positions[:, BONDS[:, 0]] - positions[:, BONDS[:, 1]]
    length = np.linalg.norm(apart, axis=-1)
    pull = -stiff * (length - LENGTHS)[..., None] * apart / length[..., None]
    forces = np.zeros_like(positions)
    for k, (i, j) in enumerate(BONDS):
        forces[:, i] += pull[:, k]
        forces[:, j] -= pull[:, k]
    return 0.5 * stiff * ((length - LENGTHS) ** 2).sum(1), forces


def test_temperature_and_conserved_energy():
    found = nose_hoover(springs, WATER, 20_000, replicas=8, temperature=300.0)
    assert np.isinf(found.stable).all()
    late = found.temperatures[200:]
    assert late.mean() == pytest.approx(300.0, rel=0.1)
    # 3 degrees of freedom: the kinetic energy of a canonical ensemble spreads by √(2/3) of its mean.
    assert late.std() / late.mean() == pytest.approx(np.sqrt(2 / 3), rel=0.25)
    errors = []
    for timestep in (0.5, 0.125):  # of second order
        short = nose_hoover(springs, WATER, round(500 / timestep), temperature=300.0, timestep=timestep)
        errors.append(np.abs(short.conserved - short.conserved[0]).max())
    assert errors[1] < errors[0] / 10 < 0.005 * 3 * units.kB * 300.0
    assert found.temperatures[0] == pytest.approx(300.0)
    # Neither do the molecules fly away nor turn.
    assert np.abs(np.average(found.positions[-1], axis=1, weights=WATER.get_masses())).max() == pytest.approx(
        np.abs(WATER.get_center_of_mass()).max(), abs=1e-6
    )


def test_replicas_are_as_runs_of_their_own():
    together = nose_hoover(springs, WATER, 50, replicas=3, every=25)
    assert together.positions.shape == (3, 3, 3, 3)
    assert together.times.tolist() == pytest.approx([0.0, 0.0125, 0.025])
    alone = nose_hoover(springs, WATER, 50, replicas=1, every=25)  # the first velocities drawn are the same
    np.testing.assert_allclose(together.positions[:, :1], alone.positions, atol=1e-12)
    assert np.abs(together.positions[-1, 0] - together.positions[-1, 1]).max() > 1e-3


def test_a_broken_replica_ends_and_the_others_go_on():
    seen = []

    def forces(positions: NDArray) -> tuple[NDArray, NDArray]:
        seen.append(len(positions))
        energies, found = springs(positions)
        if len(positions) == 3 and len(seen) > 20:
            found[1] = np.nan
        return energies, found

    found = nose_hoover(forces, WATER, 100, replicas=3, every=10)
    assert np.isinf(found.stable[[0, 2]]).all()
    assert found.stable[1] == pytest.approx(0.015)  # frames are every 0.005 ps
    assert np.isnan(found.positions[3:, 1]).all()
    assert np.isfinite(found.positions[:, [0, 2]]).all()
    assert seen[-1] == 2


def test_bonds_that_grow_too_long_are_broken():
    found = nose_hoover(lambda x: springs(x, 0.01), WATER, 5000, replicas=2, temperature=2000.0)
    assert np.isfinite(found.stable).all()
    assert len(found.times) < 501  # nothing is left to run
    apart = np.linalg.norm(found.positions[:, :, BONDS[:2, 0]] - found.positions[:, :, BONDS[:2, 1]], axis=-1)
    assert np.nanmax(np.abs(apart - LENGTHS[:2])) <= 0.5


def test_time_ends_a_run():
    found = nose_hoover(springs, WATER, 10**9, seconds=0.0)
    assert found.times.tolist() == [0.0]


def test_refusals():
    for change in ({"steps": 0}, {"replicas": 0}, {"temperature": -1.0}, {"timestep": 0.0}, {"every": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(change))} must be positive, got"):
            nose_hoover(springs, WATER, **({"steps": 1} | change))
    for wrong in (Atoms("C"), Atoms(WATER, cell=np.eye(3), pbc=True)):
        with pytest.raises(ValueError, match="single molecules of two atoms or more"):
            nose_hoover(springs, wrong, 1)
    for change, message in (
        ({"steps": 10.0}, "steps must be an integer; got 10.0"),
        ({"replicas": "2"}, "replicas must be an integer; got '2'"),
        ({"temperature": "300"}, "temperature must be a number; got '300'"),
    ):
        with pytest.raises(TypeError, match=message):
            nose_hoover(springs, WATER, **({"steps": 1} | change))


def test_constraints_are_not_passed_over():
    fixed = WATER.copy()
    fixed.set_constraint(FixAtoms([0]))
    with pytest.raises(ValueError, match="know no constraints, which these atoms have"):
        nose_hoover(springs, fixed, 1)


def test_functions_that_are_none_of_positions_alone_are_refused():
    calculator = PotentialCalculator("ec-xtb-small", device="cpu")
    with pytest.raises(TypeError, match=r"a function of positions, such as lambda x: calculator\.evaluate"):
        nose_hoover(calculator, WATER, 1)
    with pytest.raises(TypeError, match=r"take positions alone, as lambda x: .*'positions'"):
        nose_hoover(calculator.evaluate, WATER, 1)
    for wrong in (
        lambda x: (springs(x)[0][:1], springs(x)[1]),
        lambda x: (springs(x)[0], springs(x)[1][:, :1]),
        lambda x: springs(x)[0],
    ):
        with pytest.raises(
            ValueError, match=r"energies of shape \(2,\) and forces of shape \(2, 3, 3\); got"
        ):
            nose_hoover(wrong, WATER, 1, replicas=2)


def test_calculators_of_ase_run_replicas():
    dimer = Atoms("N2", [[0, 0, 0], [0, 0, 1.0]])
    calculators = [MorsePotential() for _ in range(2)]
    energies, forces = one_by_one(dimer, calculators)(np.stack([dimer.positions, 1.2 * dimer.positions]))
    assert energies[0] == pytest.approx(-1.0)
    assert energies[1] > energies[0]
    assert forces.shape == (2, 2, 3)
    assert len(one_by_one(dimer, calculators)(dimer.positions[None])[0]) == 1


def test_pair_distances():
    density = pair_distances(np.stack([WATER.positions, np.full((3, 3), np.nan)]))
    width = FARTHEST / BINS
    assert density.sum() * width == pytest.approx(1.0)
    assert density[int(LENGTHS[0] / width)] * width == pytest.approx(2 / 3)
    assert distribution_error(density, density) == 0.0
    assert distribution_error(density, pair_distances(3 * WATER.positions)) == pytest.approx(2.0)
    with pytest.raises(ValueError, match="no frame is left"):
        pair_distances(np.full((2, 3, 3), np.nan))


def test_replicas_have_the_charge_of_the_molecule():
    water = molecule("H2O")
    water.set_initial_charges([1, 0, 0])
    calculator = PotentialCalculator("ec-xtb-small", device="cpu")
    expected, _ = calculator.evaluate(water, water.positions[None])
    found, _ = one_by_one(water, [PotentialCalculator("ec-xtb-small", device="cpu")])(water.positions[None])
    np.testing.assert_allclose(found, expected, rtol=1e-6)
