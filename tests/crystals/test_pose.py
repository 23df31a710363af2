"""How a molecule is turned before its crystal is described."""

from __future__ import annotations

import numpy as np
from crystal_examples import random_crystal

from skmol3d.crystals import MolecularCrystal


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
