"""The groups that crystals are synthesised in, against two libraries."""

import gemmi
import numpy as np
import pytest
from ase.spacegroup import Spacegroup

from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.symmetry import space_group


def rows(rotations, translations):
    return sorted(
        (*np.round(r).astype(int).flatten(), *np.round(t % 1.0, 6))
        for r, t in zip(rotations, translations, strict=True)
    )


@pytest.mark.parametrize("number", GROUPS)
def test_operations_are_those_of_the_standard_setting(number):
    group = GROUPS[number]
    mine = rows([np.diag(signs) for signs in group.signs], group.translations)
    standard = space_group(number)
    assert mine == rows(standard.rotations, standard.translations)
    assert mine == rows(*zip(*Spacegroup(number).get_symop(), strict=True))
    found = gemmi.find_spacegroup_by_number(number).operations()
    turns = [np.array(op.rot) / op.DEN for op in found]
    assert mine == rows(turns, [np.array(op.tran) / op.DEN for op in found])


@pytest.mark.parametrize("number", GROUPS)
def test_the_primitive_cell_holds_each_molecule_once(number):
    group = GROUPS[number]
    assert group.molecules == {1: 1, 2: 2, 4: 2, 14: 4, 15: 4, 19: 4}[number]
    assert (group.signs[0] == 1).all()
    assert not group.translations[0].any()
    # The operations that are left out are the first ones and a vector of the primitive lattice.
    steps = group.translations - np.tile(
        group.translations[: group.molecules], (len(group.signs) // group.molecules, 1)
    )
    inside = steps @ np.linalg.inv(group.primitive)
    np.testing.assert_allclose(inside, np.round(inside), atol=1e-12)
