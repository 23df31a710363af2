"""Synthetic crystals with labels, as they are stored."""

import numpy as np
import pytest
from crystal_parts import MOLECULES, write_crystals

from skmol3d.calculator import PotentialCalculator
from skmol3d.crystals.energies import RigidCrystals, buckingham, lattice_energies, lattice_energy
from skmol3d.crystals.groups import GROUPS
from skmol3d.trainer.data.crystal_columns import SyntheticCrystals
from skmol3d.trainer.data.stored_crystals import CrystalMolecules
from skmol3d.trainer.data.synthetic_crystals import blocks, main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_crystals(tmp_path_factory.mktemp("crystals"))


def test_labels_are_those_of_the_whole_crystals(folder):
    """One molecule and its images give the energies of crystals that are built with all their copies."""
    found = SyntheticCrystals.read(folder)
    assert set(found.parts["group"]) == set(GROUPS)
    first = np.unique(found.parts["group"], return_index=True)[1]
    last = len(found) - 1 - np.unique(found.parts["group"][::-1], return_index=True)[1]
    calculator = PotentialCalculator("ec-xtb-small", device="cpu")
    for k in (*first, *last):
        crystal = found.crystal(k)
        numbers = MOLECULES[found.parts["molecule"][k]].numbers
        assert sorted(crystal.molecules[0].numbers) == sorted(numbers)
        assert crystal.space_group == found.parts["group"][k]
        soft = lattice_energies(RigidCrystals.from_crystals([crystal]), buckingham).item()
        assert found.energies[k, 0] == pytest.approx(soft, rel=1e-4, abs=0.05)
        assert found.energies[k, 1] == pytest.approx(lattice_energy(crystal, calculator), abs=2e-3)


def test_no_crystal_overlaps_and_some_are_noisy(folder):
    parts = SyntheticCrystals.read(folder).parts
    assert 0.2 < parts["optimised"].mean() < 0.9
    for group in GROUPS:
        mine = parts["group"] == group
        optimal, noisy = (parts["buckingham"][mine & (parts["optimised"] == kind)] for kind in (True, False))
        if len(optimal) and len(noisy):
            assert optimal.mean() < noisy.mean() + 50


def test_the_same_command_makes_the_same_crystals(folder, tmp_path):
    again = write_crystals(tmp_path / "again")
    with np.load(again / "part_0000.npz") as one, np.load(folder / "part_0000.npz") as other:
        for name in one.files:
            if name in ("buckingham", "mlip"):  # sums in single precision
                np.testing.assert_allclose(one[name], other[name], atol=2e-3, rtol=1e-5)
            else:
                np.testing.assert_array_equal(one[name], other[name])


def test_time_that_ends_leaves_what_was_made(folder, tmp_path, capsys):
    main([str(folder / "molecules.npz"), "--out", str(tmp_path), "--seconds", "0"])
    assert "0 crystals of 5 molecules" in capsys.readouterr().out
    assert not list(tmp_path.glob("part*"))


def test_every_round_gives_each_block_another_group(folder):
    molecules = CrystalMolecules.read(folder / "molecules.npz")
    work = blocks(molecules, rounds=6, seed=0, size=2)
    for part in {tuple(index) for _, index in work}:
        groups = [group for group, index in work if tuple(index) == part]
        assert sorted(groups) == sorted(GROUPS)
    assert sorted(i for _, index in work[:3] for i in index) == list(range(5))
