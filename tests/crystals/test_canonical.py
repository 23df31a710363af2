"""One cell for a crystal, however it is written."""

from __future__ import annotations

import numpy as np
import spglib
from ase import Atoms
from ase.build import make_supercell
from ase.geometry import cell_to_cellpar
from crystal_examples import assert_same_description, random_crystal, scrambled
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skmol3d.crystals import MolecularCrystal
from skmol3d.crystals.canonical import LENGTH_TIE
from skmol3d.crystals.symmetry import quiet_spglib


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
@example(1, 877038)  # two axes differ by 5e-4 Å
def test_triclinic_cells_are_niggli_reduced(number: int, seed: int) -> None:
    atoms = scrambled(random_crystal(number, seed), seed)
    found = MolecularCrystal.read(atoms)
    with quiet_spglib():
        niggli = cell_to_cellpar(spglib.niggli_reduce(atoms.cell.array))
    np.testing.assert_allclose(np.sort(found.parameters[0, :3]), niggli[:3], atol=1e-6)
    if np.diff(niggli[:3]).min() <= LENGTH_TIE:
        return  # which of two axes that are as good as equal comes first, the angles say
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
