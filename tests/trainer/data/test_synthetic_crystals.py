"""Parts of synthetic crystals with labels."""

import numpy as np
import pytest
from crystal_parts import MOLECULES, PAIRS, write_part, write_parts

from skmol3d.calculator import PotentialCalculator
from skmol3d.crystals.energies import RigidCrystals, buckingham, lattice_energies, lattice_energy
from skmol3d.hub import from_pretrained
from skmol3d.trainer.data.synthetic_crystals import read_parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("crystals"))


def test_labels_are_those_of_the_crystals(folder):
    crystals, energies, molecules = read_parts(folder)
    assert molecules.tolist() == [0, 1, 0, 0, 1, 1, 2, 2, 2]
    for crystal, k in zip(crystals, molecules, strict=True):
        assert sorted(crystal.molecules[0].numbers) == sorted(MOLECULES[k].numbers)
    soft = lattice_energies(RigidCrystals.from_crystals(crystals), buckingham)
    np.testing.assert_allclose(energies[:, 0], soft, rtol=1e-3, atol=0.5)  # in single precision
    calculator = PotentialCalculator(from_pretrained("et-xtb-small"))
    hard = [lattice_energy(crystal, calculator) for crystal in crystals]
    np.testing.assert_allclose(energies[:, 1], hard, atol=2e-3)


def test_a_part_is_the_same_again(folder, tmp_path):
    again = tmp_path / "part_0000.npz"
    write_part(again, PAIRS[2:], seed=1)
    with np.load(again) as one, np.load(folder / "part_0001.npz") as other:
        for name in one.files:
            np.testing.assert_array_equal(one[name], other[name])


def test_no_crystals(tmp_path):
    with pytest.raises(FileNotFoundError, match="no part_"):
        read_parts(tmp_path)
