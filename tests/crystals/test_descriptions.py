"""Descriptions of many crystals at once, against those of one at a time."""

import numpy as np
import pytest
from ase.build import molecule
from crystal_examples import CHIRAL
from scipy.spatial.transform import Rotation

from skmol3d.crystals import MolecularCrystal
from skmol3d.crystals.descriptions import describe_many
from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.pose import principal_frames
from skmol3d.crystals.symmetry import normaliser

COUNT = 12


def random_cells(number, rng):
    b_x, c_x, c_y = GROUPS[number].skew
    cells = np.zeros((COUNT, 3, 3))
    cells[:, range(3), range(3)] = rng.uniform(5, 15, (COUNT, 3))
    cells[:, 1, 0], cells[:, 2, 0], cells[:, 2, 1] = rng.normal(0, 4, (3, COUNT)) * [[b_x], [c_x], [c_y]]
    return cells


@pytest.mark.parametrize("atoms", [CHIRAL, molecule("CH3COCl"), molecule("C6H6")], ids=["one", "two", "many"])
@pytest.mark.parametrize("number", GROUPS)
def test_descriptions_are_those_of_single_crystals(number, atoms):
    """Of a general molecule, one with a mirror plane, and one with so many symmetries that any frame does."""
    rng = np.random.default_rng(number)
    cells, centroids = random_cells(number, rng), rng.uniform(-1, 2, (COUNT, 3))
    turns = Rotation.random(COUNT, random_state=number).as_matrix()
    positions = atoms.positions - atoms.positions.mean(0)
    frames = principal_frames(atoms.numbers, positions)
    found = describe_many(number, cells, centroids, frames @ turns.transpose(0, 2, 1)[:, None])
    for k in range(COUNT):
        placed = positions @ turns[k].T + centroids[k] @ cells[k]
        alone = MolecularCrystal.from_molecules([(atoms.numbers, placed)], cells[k], number)
        np.testing.assert_allclose(found.parameters[k], alone.parameters[0], atol=1e-6)
        assert found.handedness[k] == alone.molecules[0].handedness


@pytest.mark.parametrize("number", GROUPS)
def test_another_choice_of_axes_origin_and_copy_changes_nothing(number):
    rng = np.random.default_rng(number + 100)
    cells, centroids = random_cells(number, rng), rng.uniform(0, 1, (COUNT, 3))
    turns = Rotation.random(COUNT, random_state=number).as_matrix()
    frames = principal_frames(CHIRAL.numbers, CHIRAL.positions - CHIRAL.positions.mean(0))
    frames = frames @ turns.transpose(0, 2, 1)[:, None]
    one = describe_many(number, cells, centroids, frames)

    changes, group = normaliser(number), GROUPS[number]
    pick = rng.integers(len(changes.axes))
    axes, origin = changes.axes[pick], changes.origins[pick]
    shift = changes.shifts[rng.integers(len(changes.shifts))] + rng.normal(size=3) * (group.signs == 1).all(0)
    copy = rng.integers(len(group.signs))
    moved = centroids * group.signs[copy] + group.translations[copy] - origin
    moved = moved @ np.linalg.inv(axes).T + shift
    stretched = axes.T @ cells
    lower = np.linalg.cholesky(stretched @ stretched.transpose(0, 2, 1))
    turn = np.linalg.inv(stretched) @ lower  # the new axes stand elsewhere: with a along x again
    copied = frames * group.signs[copy] @ turn[:, None]
    other = describe_many(number, lower, moved, copied)
    np.testing.assert_allclose(one.parameters, other.parameters, atol=1e-6)
    np.testing.assert_array_equal(one.handedness, other.handedness)
