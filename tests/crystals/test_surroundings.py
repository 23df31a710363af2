"""How molecules lie to each other: by hand, and by summing over everything."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list
from crystal_examples import CHIRAL, pack, random_crystal, scrambled

from skmol3d.crystals import CrystalError, MolecularCrystal
from skmol3d.crystals.surroundings import surroundings

WATER = Atoms("OHH", [(0, 0, 0), (0.76, 0.59, 0), (-0.76, 0.59, 0)])
IMINE = [7, 1], [(0, 0, 0), (0, 0, 1.0)]


def test_two_needles_by_hand() -> None:
    """In a cube of 8 Å, one along z at the corner, one at the centre along z or along x."""
    numbers, needle = IMINE
    centred = np.array(needle) - np.mean(needle, axis=0)
    for other, alignment in ((centred, 1.0), (centred[:, ::-1], 0.0)):
        found = surroundings(
            MolecularCrystal.from_molecules([(numbers, centred), (numbers, other + 4.0)], 8 * np.eye(3))
        )
        spacing = (8**3 / 2) ** (1 / 3)
        # Within two spacings: 8 neighbours along the diagonals and 6 along the axes; 12 at 11.3 Å.
        distances = np.array([4 * np.sqrt(3), 8, 8 * np.sqrt(2)]) / spacing
        weights = [8, 6, 12] * (1 - (distances / 2) ** 2) ** 2
        across = 8 * (1 - (distances[0] / 2) ** 2) ** 2 / weights.sum()
        expected = [
            spacing,
            weights.sum(),
            weights @ distances / weights.sum(),
            1 - across * (1 - alignment),
            across,
        ]
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("number", [1, 2, 14, 33])
def test_sums_over_all_pairs(number: int) -> None:
    atoms = random_crystal(number, 3, (CHIRAL, WATER, Atoms("Ar")))
    crystal = MolecularCrystal.read(atoms)
    found = surroundings(crystal)
    centroids = np.array([place.mean(0) for each in crystal.copies for place in each])
    spacing = (atoms.get_volume() / len(centroids)) ** (1 / 3)
    kinds = np.repeat(np.arange(3), len(centroids) // 3)
    points = Atoms(np.ones(len(kinds)), centroids, cell=crystal.cell, pbc=True)
    i, j, d = neighbor_list("ijd", points, 2 * spacing)
    weights = (1 - (d / spacing / 2) ** 2) ** 2
    assert found.spacing == pytest.approx(spacing)
    assert found.neighbours == pytest.approx(weights.sum() / len(kinds))
    assert found.distance == pytest.approx(np.average(d / spacing, weights=weights))
    assert found.others == pytest.approx(np.average(kinds[i] != kinds[j], weights=weights))
    assert 0 < found.alignment < 1
    again = surroundings(MolecularCrystal.read(scrambled(atoms, 5)))
    np.testing.assert_allclose(again, found, atol=1e-8)


def test_one_independent_molecule_has_no_others() -> None:
    assert surroundings(MolecularCrystal.read(pack(14, CHIRAL))).others == 0


def test_a_flat_cell_is_refused_before_memory_runs_out() -> None:
    numbers, needle = IMINE
    flat = np.diag([1e-6, 1e3, 1e3])
    with pytest.raises(CrystalError, match="too flat: more than 1,000,000 molecules"):
        surroundings(MolecularCrystal.from_molecules([(numbers, needle)], flat))
