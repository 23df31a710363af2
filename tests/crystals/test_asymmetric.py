"""Molecules on symmetry elements."""

from __future__ import annotations

import pytest
from ase.spacegroup import crystal
from crystal_examples import DRY_ICE, UREA, assert_same_description, same_crystal, scrambled

from skmol3d.crystals import MolecularCrystal

# Molecules of many symmetries on symmetry elements, in real packings (or nearly).
SPECIAL = {
    "CO2": DRY_ICE,
    "urea": UREA,
    "hexamine": crystal(
        "CNH",
        [(0.238, 0, 0), (0.123, 0.123, 0.123), (0.327, 0.0884, -0.0884)],
        spacegroup=217,
        cellpar=[6.91] * 3 + [90] * 3,
    ),
    "argon": crystal("Ar", [(0, 0, 0)], spacegroup=225, cellpar=[5.26] * 3 + [90] * 3),
}


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
