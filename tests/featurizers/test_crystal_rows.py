"""Columns of crystals' rows, computed by hand."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from crystal_examples import DRY_ICE, pack

from skmol3d import CrystalFeaturizer
from skmol3d.crystals import MolecularCrystal
from skmol3d.crystals.surroundings import surroundings
from skmol3d.featurizers import (
    cache,
)

WATER = Atoms("OHH", [(0, 0, 0), (0.76, 0.59, 0), (-0.76, 0.59, 0)])


@pytest.fixture
def make(tiny_mo3enet):
    cache.clear()
    return lambda molecule="mo3enet", **params: CrystalFeaturizer(molecule, tiny_mo3enet, **params)


def test_cell_of_a_row_by_hand(make):
    row = make("none").transform([DRY_ICE])[0]
    length = 5.64 / (0.118 * 5.64 * np.sqrt(3))  # over the distance of C and O
    np.testing.assert_allclose(row[:3], (length - 1.2037) / 0.6088, rtol=1e-5)
    np.testing.assert_allclose(
        row[3:6], (np.pi / 2 - np.array([1.5656, 1.5728, 1.5579])) / [0.2339, 0.2075, 0.2598], atol=1e-5
    )
    np.testing.assert_allclose(row[6:9] * 0.289 + 0.5, 0, atol=1e-6)  # of equivalent centres the smallest


def test_the_baselines_by_hand(make):
    inertia = make("inertia").transform([DRY_ICE])[0, :3]
    np.testing.assert_allclose(inertia, [0, *[2 * 3 * (0.118 * 5.64) ** 2] * 2], atol=1e-4)
    # Nitrogen: two overlapping spheres of radius r, whose centres are d apart.
    r, d = 1.55, 1.0977
    nitrogen = pack(1, Atoms("NN", [(0, 0, 0), (0, 0, d)]))
    volume = make("volume").transform([nitrogen])[0, 0]
    union = 2 * 4 / 3 * np.pi * r**3 - np.pi * (4 * r + d) * (2 * r - d) ** 2 / 12
    assert volume == pytest.approx(union, rel=0.03)


def test_a_hydrate_by_hand(make):
    """Means over all molecules of the cell, of which there are twice as many off the centres as on them."""
    benzene = molecule("C6H6")
    atoms = pack(2, WATER, seed=3)
    on_the_centre = Atoms(benzene.numbers, benzene.positions, cell=atoms.cell, pbc=True)
    crystal = MolecularCrystal.read(atoms + on_the_centre)
    assert [len(copies) for copies in crystal.copies] == [2, 1]
    inertia = make("inertia").transform([crystal])[0]
    flat = 6 * 1.395248**2  # of the ring of carbon atoms, about an axis in its plane half of it
    water, ring = (
        make("inertia").transform([MolecularCrystal.read(pack(1, one))])[0, :3] for one in (WATER, benzene)
    )
    np.testing.assert_allclose(ring, [flat / 2, flat / 2, flat], rtol=1e-4)
    np.testing.assert_allclose(inertia[:3], (2 * water + ring) / 3, rtol=1e-4)

    radius = np.linalg.norm(benzene.positions, axis=1).max()
    np.testing.assert_allclose(
        inertia[3:6], (crystal.parameters[0, :3] / radius - 1.2037) / 0.6088, rtol=1e-5
    )
    one, other = crystal.parameters[:, 6:9]
    np.testing.assert_allclose(inertia[9:12], ((2 * one + other) / 3 - 0.5) / 0.289, atol=1e-5)
    # Of the values x, x and y: the mean square of their deviations is 2/9 (x - y)².
    np.testing.assert_allclose(inertia[15:18], abs(one - other) * np.sqrt(2 / 9) / 0.289, atol=1e-5)
    assert inertia[21:23].tolist() == [2, 1.5]
    assert inertia[23] == pytest.approx(
        (crystal.cell[0] @ np.cross(*crystal.cell[1:]) / 3) ** (1 / 3) / radius
    )
    np.testing.assert_allclose(inertia[24:28], surroundings(crystal)[1:], rtol=1e-6)
