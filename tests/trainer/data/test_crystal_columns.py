"""Rows of synthesised crystals, without a search for their symmetry."""

import numpy as np
import pytest
from crystal_parts import write_crystals

from skmol3d import CrystalFeaturizer
from skmol3d.crystals import MolecularCrystal
from skmol3d.trainer.data.crystal_columns import SyntheticCrystals, embedded, main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_crystals(tmp_path_factory.mktemp("columns"), linear=True)


@pytest.mark.parametrize("molecule", ["inertia", "mo3enet"])
def test_rows_are_those_of_the_featurizer(folder, molecule):
    found = SyntheticCrystals.read(folder)
    featurizer = CrystalFeaturizer(molecule=molecule).fit([])
    rows, whole = embedded(found, featurizer)
    assert whole.all()
    crystals = [found.crystal(k) for k in range(len(found))]
    expected = featurizer.transform(crystals)
    np.testing.assert_allclose(rows, expected, atol=2e-3 if molecule == "inertia" else 0.03)
    columns = len(found.columns[0])
    np.testing.assert_allclose(rows[:, -columns:], expected[:, -columns:], atol=1e-4)


def test_rows_are_those_of_the_atoms_alone(folder):
    """Symmetry that spglib finds in a list of atoms is the one that crystals were made with."""
    found = SyntheticCrystals.read(folder)
    chosen = [int(np.flatnonzero(found.parts["group"] == group)[0]) for group in (2, 4, 14, 15, 19)]
    crystals = [found.crystal(k) for k in chosen]
    read = [MolecularCrystal.read(crystal.to_atoms()) for crystal in crystals]
    assert [crystal.space_group for crystal in read] == [2, 4, 14, 15, 19]
    rows = CrystalFeaturizer(molecule="none").fit_transform(read)
    np.testing.assert_allclose(rows, found.columns[chosen], atol=2e-3)


def test_what_was_described_is_not_described_again(folder, tmp_path):
    for name in ("molecules.npz", "part_0000.npz"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    before = SyntheticCrystals.read(tmp_path)
    main([str(tmp_path)])
    known = SyntheticCrystals.read(tmp_path)
    np.testing.assert_array_equal(before.columns, known.columns)
    np.testing.assert_array_equal(before.handedness, known.handedness)
    np.savez(tmp_path / "columns_0000.npz", columns=known.columns[:2], handedness=known.handedness[:2])
    with pytest.raises(ValueError, match="describes other crystals"):
        SyntheticCrystals.read(tmp_path)


def test_some_of_the_crystals(folder):
    found = SyntheticCrystals.read(folder)
    some = found[np.array([3, 1])]
    np.testing.assert_array_equal(some.energies, found.energies[[3, 1]])
    np.testing.assert_array_equal(some.crystal(1).parameters, found.crystal(1).parameters)
