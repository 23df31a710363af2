"""`MolecularCrystal`: an exact inverse in every space group, and rows that depend on the crystal alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from crystal_examples import CHIRAL, assert_same_description, random_crystal, same_crystal, scrambled
from hypothesis import given, settings
from hypothesis import strategies as st

from skmol3d.crystals import MolecularCrystal
from skmol3d.crystals.symmetry import space_group

SYSTEMS = {
    "triclinic": range(1, 3),
    "monoclinic": range(3, 16),
    "orthorhombic": range(16, 75),
    "tetragonal": range(75, 143),
    "trigonal": range(143, 168),
    "hexagonal": range(168, 195),
    "cubic": range(195, 231),
}


def chirality(crystal: MolecularCrystal) -> list[float]:
    """Signed volumes of the halogens around every carbon, sorted."""
    volumes = []
    for described, copies in zip(crystal.molecules, crystal.copies, strict=True):
        place = {number: described.numbers.tolist().index(number) for number in (6, 9, 17, 35)}
        for positions in copies:
            arms = [positions[place[number]] - positions[place[6]] for number in (9, 17, 35)]
            volumes.append(np.linalg.det(arms))
    return sorted(volumes)


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_space_group_is_rebuilt(system: str) -> None:
    for number in SYSTEMS[system]:
        atoms = random_crystal(number, seed=number)
        found = MolecularCrystal.read(atoms)
        assert found.space_group == number
        assert found.deviation < 1e-6
        assert (found.z, found.z_prime) == (len(atoms) // len(CHIRAL), 1.0)
        # From the molecule, the twelve numbers and the group alone.
        built = replace(found, parameters=found.parameters.copy(), deviation=0.0)
        if len(atoms) <= 100:
            assert same_crystal(built.to_atoms(), atoms) < 1e-4
        # All copies are the molecule or, half of them where there are improper operations, its mirror image.
        proper = (np.linalg.det(space_group(number).rotations) > 0).mean()
        volumes = chirality(built)
        size = np.linalg.det(CHIRAL.positions[[2, 3, 4]])
        assert np.mean(np.isclose(volumes, size)) == proper
        assert np.mean(np.isclose(volumes, -size)) == 1 - proper


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([*range(1, 75), 76, 81, 88, 92, 114, 146, 148, 152, 161, 169, 198]), st.integers(0, 10**6)
)
def test_rows_do_not_depend_on_how_the_crystal_is_written(number: int, seed: int) -> None:
    atoms = random_crystal(number, seed)
    assert_same_description(MolecularCrystal.read(atoms), MolecularCrystal.read(scrambled(atoms, seed)))


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.sampled_from([1, 2, 4, 9, 14, 19, 33]), st.integers(0, 10**6))
def test_rows_of_several_independent_molecules(number: int, seed: int) -> None:
    water = Atoms("OHH", [(0, 0, 0), (0.76, 0.59, 0), (-0.76, 0.59, 0)])
    atoms = random_crystal(number, seed, (CHIRAL, water, CHIRAL))
    found = MolecularCrystal.read(atoms)
    assert [len(m.numbers) for m in found.molecules] == [3, 5, 5]
    assert found.z_prime == 3
    assert found.deviation < 1e-6
    assert same_crystal(found.to_atoms(), atoms) < 1e-4
    assert_same_description(found, MolecularCrystal.read(scrambled(atoms, seed)))


def test_mirror_images() -> None:
    def mirrored(atoms: Atoms) -> Atoms:
        return Atoms(atoms.numbers, -atoms.positions, cell=atoms.cell, pbc=True)

    racemic = random_crystal(14, seed=5)
    found = MolecularCrystal.read(racemic)
    assert found.molecules[0].handedness == 1  # of both enantiomers in the cell, this one stands for it
    assert_same_description(found, MolecularCrystal.read(mirrored(racemic)))

    chiral = random_crystal(19, seed=5)
    one, other = MolecularCrystal.read(chiral), MolecularCrystal.read(mirrored(chiral))
    assert one.molecules[0].handedness == -other.molecules[0].handedness
    flipped = [
        described.positions[np.argsort(described.numbers)] * [described.handedness, 1, 1]
        for described in (one.molecules[0], other.molecules[0])
    ]
    np.testing.assert_allclose(*flipped, atol=1e-6)
    assert MolecularCrystal.read(mirrored(random_crystal(76, seed=5))).space_group == 78


def test_crystals_that_miss_their_symmetry() -> None:
    atoms = random_crystal(14, seed=2)
    noisy = atoms.copy()
    noisy.rattle(1e-3, seed=0)
    assert MolecularCrystal.read(noisy, symprec=1e-5).space_group == 1
    found = MolecularCrystal.read(noisy, symprec=0.02)
    assert found.space_group == 14
    np.testing.assert_allclose(found.parameters, MolecularCrystal.read(atoms).parameters, atol=2e-3)
    # The distance of a noisy atom from the mean of its four copies.
    assert 1e-3 < found.deviation < 5e-3
    assert_same_description(found, MolecularCrystal.read(scrambled(noisy, 1), symprec=0.02))


def test_noise_as_large_as_the_tolerance() -> None:
    """Which symmetries are found then, and the averages over them, must not depend on the way of writing."""
    for number in (5, 15, 62, 85):
        noisy = random_crystal(number, seed=1)
        noisy.rattle(0.01, seed=0)
        found = MolecularCrystal.read(noisy, symprec=0.05)
        for seed in range(3):
            other = MolecularCrystal.read(scrambled(noisy, seed), symprec=0.05)
            assert_same_description(found, other, 1e-5)


def test_a_flat_molecule_keeps_its_plane() -> None:
    benzene = molecule("C6H6")
    atoms = random_crystal(14, 4, (benzene,))
    found = MolecularCrystal.read(atoms)
    assert np.abs(found.molecules[0].positions[:, 2]).max() < 1e-6  # the largest moment is about z
    for seed in range(4):
        assert_same_description(found, MolecularCrystal.read(scrambled(atoms, seed)), 1e-5)
