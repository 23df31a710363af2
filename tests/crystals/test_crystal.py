"""`MolecularCrystal`: an exact inverse in every space group, and rows that depend on the crystal alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.build import make_supercell, molecule
from ase.geometry import cell_to_cellpar
from ase.spacegroup import crystal
from crystal_examples import CHIRAL, assert_same_description, random_crystal, same_crystal, scrambled
from hypothesis import given, settings
from hypothesis import strategies as st

from skmol3d.crystals import MolecularCrystal
from skmol3d.crystals.symmetry import normaliser, quiet_spglib, space_group

SYSTEMS = {
    "triclinic": range(1, 3),
    "monoclinic": range(3, 16),
    "orthorhombic": range(16, 75),
    "tetragonal": range(75, 143),
    "trigonal": range(143, 168),
    "hexagonal": range(168, 195),
    "cubic": range(195, 231),
}

# Molecules of many symmetries on symmetry elements, in real packings (or nearly).
SPECIAL = {
    "CO2": crystal("CO", [(0, 0, 0), (0.118,) * 3], spacegroup=205, cellpar=[5.64] * 3 + [90] * 3),
    "urea": crystal(
        "CONHH",
        [
            (0, 0.5, 0.328),
            (0, 0.5, 0.596),
            (0.146, 0.646, 0.177),
            (0.257, 0.757, 0.283),
            (0.144, 0.644, 0.962),
        ],
        spacegroup=113,
        cellpar=[5.565, 5.565, 4.684, 90, 90, 90],
    ),
    "hexamine": crystal(
        "CNH",
        [(0.238, 0, 0), (0.123, 0.123, 0.123), (0.327, 0.0884, -0.0884)],
        spacegroup=217,
        cellpar=[6.91] * 3 + [90] * 3,
    ),
    "argon": crystal("Ar", [(0, 0, 0)], spacegroup=225, cellpar=[5.26] * 3 + [90] * 3),
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "z_prime"), [("CO2", 1 / 6), ("urea", 1 / 4), ("hexamine", 1 / 24), ("argon", 1 / 48)]
)
def test_molecules_on_symmetry_elements(name: str, z_prime: float) -> None:
    atoms = SPECIAL[name]
    found = MolecularCrystal.read(atoms)
    assert len(found.molecules) == 1
    assert found.z_prime == pytest.approx(z_prime)
    assert same_crystal(found.to_atoms(), atoms) < 1e-4
    for seed in range(3):
        assert_same_description(found, MolecularCrystal.read(scrambled(atoms, seed)), 1e-5)


def test_supercells_and_primitive_cells_are_reduced() -> None:
    for number in (5, 15, 88, 161):
        atoms = random_crystal(number, seed=3)
        found = MolecularCrystal.read(atoms)
        with quiet_spglib():
            primitive = spglib.standardize_cell(
                (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers),
                to_primitive=True,
                no_idealize=True,
            )
        assert primitive is not None
        smaller = Atoms(primitive[2], cell=primitive[0], scaled_positions=primitive[1], pbc=True)
        assert len(smaller) < len(atoms)
        noisy = atoms.repeat((2, 1, 1))
        noisy.rattle(5e-3, seed=0)
        averaged = MolecularCrystal.read(noisy, symprec=0.05)
        assert averaged.space_group == number
        again = MolecularCrystal.read(averaged.to_atoms(), symprec=1e-5)
        assert_same_description(averaged, again)
        for other in (smaller, make_supercell(atoms, [[1, 0, 0], [0, 2, 0], [0, 1, 1]])):
            assert_same_description(found, MolecularCrystal.read(other))


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([1, 2]), st.integers(0, 10**6))
def test_triclinic_cells_are_niggli_reduced(number: int, seed: int) -> None:
    atoms = scrambled(random_crystal(number, seed), seed)
    found = MolecularCrystal.read(atoms)
    with quiet_spglib():
        niggli = cell_to_cellpar(spglib.niggli_reduce(atoms.cell.array))
    np.testing.assert_allclose(found.parameters[0, :3], niggli[:3], atol=1e-6)
    # Angles within 0.006° of 90° count as right, so that noise does not turn acute ones into obtuse ones.
    np.testing.assert_allclose(
        abs(np.cos(found.parameters[0, 3:6])), abs(np.cos(np.radians(niggli[3:]))), atol=1e-8
    )
    if (abs(np.cos(found.parameters[0, 3:6])) > 1e-4).all():
        np.testing.assert_allclose(np.degrees(found.parameters[0, 3:6]), niggli[3:], atol=1e-4)


def test_monoclinic_axes_are_the_shortest_of_the_setting() -> None:
    for seed in range(5):
        found = MolecularCrystal.read(scrambled(random_crystal(14, seed), seed))
        a, _, c = found.cell
        assert found.parameters[0, 4] >= np.pi / 2
        # P2_1/c allows a' = a + n c with any n, and c' = c + n a with even n.
        assert np.linalg.norm(a) <= min(np.linalg.norm(a + n * c) for n in (-1, 1)) + 1e-6
        assert np.linalg.norm(c) <= min(np.linalg.norm(c + n * a) for n in (-2, 2)) + 1e-6


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


def test_standard_orientation_follows_the_papers_convention() -> None:
    found = MolecularCrystal.read(random_crystal(19, seed=1))
    described = found.molecules[0]
    heavy = described.positions[described.numbers > 1]
    heavy = heavy - heavy.mean(0)
    moments = np.einsum("ni,ni->", heavy, heavy) * np.eye(3) - heavy.T @ heavy
    np.testing.assert_allclose(moments - np.diag(np.diag(moments)), 0, atol=1e-9)
    assert (np.diff(np.diag(moments)) > 0).all()
    farthest = heavy[np.linalg.norm(heavy, axis=1).argmax()]
    assert (farthest * [described.handedness, 1, 1] > 0).all()


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


def test_normalisers_against_the_international_tables() -> None:
    """Numbers of equivalent origins modulo the lattice, and of orientations (IT A, chapter 3.5)."""
    for number, origins in {
        2: 8,
        14: 8,
        15: 4,
        19: 8,
        61: 8,
        62: 8,
        88: 2,
        92: 4,
        198: 2,
        205: 2,
        227: 2,
    }.items():
        assert len(normaliser(number).shifts) == origins
    for number, axes in {19: 24, 33: 4, 61: 12, 62: 4, 92: 8, 161: 6, 205: 12, 217: 24}.items():
        assert len(normaliser(number).axes) == axes
    for number in range(1, 231):
        group, changes = space_group(number), normaliser(number)
        operations = {
            (*r.ravel().tolist(), *np.round(t * 24).astype(int).tolist())
            for r, t in zip(group.rotations, group.translations, strict=True)
        }
        for axes, origin in list(zip(changes.axes, changes.origins, strict=True))[
            :: max(1, len(changes.axes) // 5)
        ]:
            inverse = np.linalg.inv(axes)
            for r, t in list(zip(group.rotations, group.translations, strict=True))[:12]:
                rotation = np.rint(inverse @ r @ axes).astype(int)
                translation = np.rint(inverse @ (r @ origin + t - origin) * 24).astype(int) % 24
                assert (*rotation.ravel().tolist(), *translation.tolist()) in operations
