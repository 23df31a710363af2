"""Rows of vectors: where their columns stand, and molecules out of atoms."""

import numpy as np
import pytest
from ase.build import molecule
from rdkit import Chem

from skmol3d.featurizers.vector_rows import rotate_rows, split_rows, with_bonds


def test_coordinates_come_first_all_x_then_all_y_then_all_z():
    vectors, scalars = split_rows(np.arange(16.0).reshape(2, 8))
    assert vectors.shape == (2, 3, 2)
    assert vectors[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert scalars.tolist() == [[6, 7], [14, 15]]
    with pytest.raises(ValueError, match="7 columns do not divide by 4"):
        split_rows(np.zeros((1, 7)))


def test_vectors_turn_and_scalars_stay():
    rows = np.arange(8, dtype=np.float32)[None]
    quarter = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # x to y
    assert rotate_rows(rows, quarter)[0].tolist() == [-2, -3, 0, 1, 4, 5, 6, 7]
    two = np.concatenate([rows, rows])
    turned = rotate_rows(two, np.stack([np.eye(3), np.diag([1, 1, -1])]))
    assert turned.tolist() == [rows[0].tolist(), [0, 1, 2, 3, -4, -5, 6, 7]]
    assert turned.dtype == np.float32


@pytest.mark.parametrize(
    ("R", "message"),
    [
        (np.eye(2), r"shape \[3, 3\] or \[2, 3, 3\]; got \[2, 2\]"),
        (np.stack([np.eye(3)] * 3), r"got \[3, 3, 3\]"),
        (np.eye(3) + 1e-3, "R is not orthogonal"),
        (np.stack([np.eye(3), np.full((3, 3), np.nan)]), r"R\[1\] is not orthogonal"),
    ],
)
def test_what_turns_nothing_is_named(R, message):
    with pytest.raises(ValueError, match=message):
        rotate_rows(np.zeros((2, 8), np.float32), R)


@pytest.mark.parametrize(("name", "smiles"), [("CH3CH2OH", "CCO"), ("C6H6", "c1ccccc1"), ("CH3CN", "CC#N")])
def test_bonds_are_found_between_atoms(name, smiles):
    assert Chem.CanonSmiles(Chem.MolToSmiles(Chem.RemoveHs(with_bonds(molecule(name))))) == smiles


def test_atoms_that_no_bonds_hold_together_are_refused():
    atoms = molecule("CH4")
    atoms.positions[1:] *= 0.9
    atoms.numbers[1:] = 7
    with pytest.raises(ValueError):  # noqa: PT011 (RDKit's words)
        with_bonds(atoms)


def test_no_rows_turn_to_no_rows():
    assert rotate_rows(np.zeros((0, 8), np.float32), np.eye(3)).shape == (0, 8)
