"""Tensors from vector rows."""

import numpy as np
import pytest
from ase.build import molecule

from skmol3d import EquivariantRidge
from skmol3d.benchmark.experiments import tensors
from skmol3d.trainer.data.sets import Row, stack


def one_molecule():
    """Water, charges and a dipole by hand."""
    atoms = molecule("CH3CH2OH")
    x = atoms.positions - atoms.positions.mean(0)
    charges = np.linspace(-0.4, 0.4, len(x))
    row = Row(atoms.numbers, x, 0.0, 0, {"charges": charges}, {"dipole": charges @ x})
    return stack([row]), atoms.numbers, x, charges


def test_moments_are_those_of_the_charges_from_the_heavy_atoms():
    data, numbers, x, charges = one_molecule()
    atoms, found = tensors.moments(data, 0)
    x = x - x[numbers > 1].mean(0)
    np.testing.assert_allclose(atoms.positions, x, atol=1e-5)
    np.testing.assert_allclose(found[1], charges @ x, atol=1e-5)  # neutral: any origin will do
    assert np.trace(found[2]) == pytest.approx(0, abs=1e-5)
    assert found[2][0, 1] == pytest.approx(1.5 * (charges * x[:, 0] * x[:, 1]).sum(), abs=1e-4)
    assert found[3][0, 1, 2] == pytest.approx((charges * x[:, 0] * x[:, 1] * x[:, 2]).sum(), abs=1e-4)


def test_table_of_tensors(monkeypatch):
    monkeypatch.setattr(tensors, "HEADS", [EquivariantRidge(alpha=1e-9, gates=0)])
    rows = np.random.default_rng(0).normal(size=(200, 16))
    v = rows[:, :12].reshape(-1, 3, 4)
    wanted = {1: v[:, :, 0] - v[:, :, 2], 2: np.einsum("na,nb->nab", v[:, :, 1], v[:, :, 1])}
    table = tensors.tensor_table({"known": rows}, wanted)
    for line in table.split("\n")[2:4]:
        assert float(line.split("|")[5]) > 0.99  # R²
    assert "quadrupole" in table
