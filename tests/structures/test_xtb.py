"""GFN2-xTB labels: units, physics, errors."""

import sys

import numpy as np
import pytest
from ase.build import molecule

from skmol3d.structures.xtb import DEBYE, xtb_labels


def label(name, charge=0):
    atoms = molecule(name)
    return xtb_labels(atoms.numbers, atoms.positions, charge)


def test_forces_are_minus_the_slope_of_the_energy():
    atoms = molecule("CH3OH")
    positions = atoms.positions + np.random.default_rng(0).normal(0, 0.05, atoms.positions.shape)
    forces = xtb_labels(atoms.numbers, positions).forces
    step = 1e-3
    for i in range(len(atoms)):
        for axis in range(3):
            ends = [positions.copy(), positions.copy()]
            ends[0][i, axis] -= step
            ends[1][i, axis] += step
            low, high = (xtb_labels(atoms.numbers, end).energy for end in ends)
            assert forces[i, axis] == pytest.approx(-(high - low) / (2 * step), abs=2e-4)


def test_water():
    water = label("H2O")
    # -5.070 Hartree, as GFN2-xTB gives for water near its minimum.
    assert water.energy == pytest.approx(-137.97, abs=0.02)
    # Somewhat above the experimental 1.85 D; along the axis, towards the hydrogens.
    assert np.linalg.norm(water.dipole) * DEBYE == pytest.approx(2.25, abs=0.1)
    axis = molecule("H2O").positions
    towards_hydrogens = axis[1:].mean(axis=0) - axis[0]
    cosine = (
        water.dipole @ towards_hydrogens / np.linalg.norm(water.dipole) / np.linalg.norm(towards_hydrogens)
    )
    assert cosine == pytest.approx(1, abs=1e-6)
    assert water.charges[0] < -0.3
    assert water.charges.sum() == pytest.approx(0, abs=1e-6)
    assert water.homo == pytest.approx(-12.2, abs=0.2)  # minus the ionisation energy, 12.6 eV
    assert water.lumo > water.homo


def test_debye():
    assert pytest.approx(4.80320, abs=1e-4) == DEBYE


@pytest.mark.parametrize("name", ["C6H6", "CH4", "CO2", "C2H4"])
def test_symmetric_molecule_has_no_dipole(name):
    assert np.linalg.norm(label(name).dipole) * DEBYE < 0.01


def test_labels_turn_with_the_molecule():
    atoms = molecule("CH3CHO")
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    still = xtb_labels(atoms.numbers, atoms.positions)
    turned = xtb_labels(atoms.numbers, atoms.positions @ rotation.T + [1.0, -2.0, 3.0])
    assert turned.energy == pytest.approx(still.energy, abs=1e-5)
    assert turned.homo == pytest.approx(still.homo, abs=1e-4)
    np.testing.assert_allclose(turned.forces, still.forces @ rotation.T, atol=1e-3)
    np.testing.assert_allclose(turned.dipole, still.dipole @ rotation.T, atol=1e-3)


def test_ion():
    ammonium = molecule("NH3")
    numbers = np.append(ammonium.numbers, 1)
    positions = np.vstack([ammonium.positions, ammonium.positions[0] + [0, 0, 1.02]])
    labels = xtb_labels(numbers, positions, charge=1)
    assert labels.charges.sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(
    ("numbers", "positions", "charge", "message"),
    [
        ([8, 1], [[0, 0, 0], [0, 0, 1]], 0, r"odd number of electrons at charge \+0"),
        ([8, 1, 1], [[0, 0, 0], [0, 0, 1]], 0, r"got \(3,\) and \(2, 3\)"),
        ([], np.zeros((0, 3)), 0, "N >= 1"),
        ([1, 1], [[0, 0, 0], [0, 0, np.nan]], 0, "NaN or infinity"),
        ([0, 2], [[0, 0, 0], [0, 0, 1]], 0, "atomic number 1 to 86"),
        ([92], [[0, 0, 0]], 0, "atomic number 1 to 86"),
        ([1], [[0, 0, 0]], 1, "no HOMO or no LUMO"),
    ],
)
def test_errors(numbers, positions, charge, message):
    with pytest.raises(ValueError, match=message):
        xtb_labels(numbers, positions, charge)


def test_coincident_atoms():
    with pytest.raises(RuntimeError, match="interatomic distances"):
        xtb_labels([1, 1], np.zeros((2, 3)))


def test_missing_tblite_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    with pytest.raises(ImportError, match=r'pip install "skmol3d\[labels\]"'):
        xtb_labels([1, 1], [[0, 0, 0], [0, 0, 0.74]])
