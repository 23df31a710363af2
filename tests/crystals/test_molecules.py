"""Molecules in a cell: where bonds end, and which hydrogens must be there."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from skmol3d.crystals import CrystalError, MolecularCrystal


def test_what_has_no_finite_molecules_is_refused() -> None:
    with pytest.raises(CrystalError, match=r"without end in 3 dimension\(s\)"):
        MolecularCrystal.read(bulk("Si"))
    chain = Atoms("CHH", [(0, 0, 0), (0, 1.09, 0), (0, -1.09, 0)], cell=[1.4, 8, 8], pbc=True)
    with pytest.raises(CrystalError, match=r"without end in 1 dimension\(s\)"):
        MolecularCrystal.read(chain)


def test_salts_and_short_hydrogen_bonds() -> None:
    # H is 1.2 Å from one oxygen and 1.25 Å from the other: it belongs to the nearer one.
    chain = Atoms("FH", [(0, 0, 0), (1.1, 0, 0)], cell=[2.3, 6, 6.5], pbc=True)
    found = MolecularCrystal.read(chain)
    assert [sorted(m.numbers.tolist()) for m in found.molecules] == [[1, 9]]
    salt = Atoms("NHHHHCl", np.zeros((6, 3)), cell=[6.3, 6.4, 6.5], pbc=True)
    salt.positions[1:5] = 0.6 * np.array([(1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1)])
    salt.positions[5] = (3.1, 3.2, 3.3)
    found = MolecularCrystal.read(salt)
    assert [len(m.numbers) for m in found.molecules] == [1, 5]
    np.testing.assert_array_equal(found.parameters[0, 9:], 0.0)


@pytest.mark.parametrize(
    "name", ["C6H6", "CH3OH", "CH3CONH2", "H2O", "NH3", "CH4", "HCOOH", "C5H5N", "CH3CN"]
)
def test_missing_hydrogens_are_noticed(name: str) -> None:
    whole = molecule(name)
    bare = whole[whole.numbers > 1]
    bare.set_cell([9, 10, 11])
    bare.pbc = True
    if name == "HCOOH":  # as carbon dioxide, bent
        bare.positions[:, 2] = 0
    with pytest.raises(
        CrystalError, match=r"hydrogen atoms are missing: .* add them, for example with Mercury"
    ):
        MolecularCrystal.read(bare)
    whole.set_cell([9, 10, 11])
    whole.pbc = True
    assert MolecularCrystal.read(whole).z == 1


@pytest.mark.parametrize("name", ["CO2", "CCl4", "N2", "CO", "C2F4", "CS2", "N2O", "O3", "NF3", "C60"])
def test_molecules_that_have_no_hydrogens_are_left_alone(name: str) -> None:
    atoms = molecule(name)
    atoms.set_cell([19, 20, 21])
    atoms.pbc = True
    assert MolecularCrystal.read(atoms).z == 1
