"""Energies of the elements."""

import numpy as np
import pytest
from set_examples import random_set

from skmol3d.trainer.data.energies import element_energies, relative_energies


def test_element_energies_are_recovered():
    data = random_set(list(range(1, 30)))
    known = {1: -13.0, 6: -1030.0, 8: -2040.0}
    owner = np.repeat(np.arange(29), data.sizes)
    data.molecule_targets["energy"] = np.bincount(owner, [known[z] for z in data.numbers.tolist()])
    energies = element_energies([(data, np.arange(5, 20)), (data, np.arange(20, 29))])
    assert energies.shape == (119,)
    for z, energy in known.items():
        assert energies[z] == pytest.approx(energy)
    assert set(np.flatnonzero(energies)) == set(known)

    relative = relative_energies(data, energies).molecule_targets["energy"]
    np.testing.assert_allclose(relative, 0, atol=1e-6)
    bare = data.without_targets()
    assert relative_energies(bare, energies) is bare
