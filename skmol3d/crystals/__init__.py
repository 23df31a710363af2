"""Molecular crystals: structures (numpy, ASE, spglib), and energies and synthesis in batches (torch)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.crystals.crystal import PARAMETERS, MolecularCrystal, RigidMolecule
    from skmol3d.crystals.energies import (
        RigidCrystals,
        buckingham,
        lattice_energies,
        lattice_energy,
        lennard_jones,
    )
    from skmol3d.crystals.errors import CrystalError
    from skmol3d.crystals.mlip import PotentialCalculator
    from skmol3d.crystals.reading import iter_crystals
    from skmol3d.crystals.synthesis import Synthesis, synthesise

_HOMES = {
    "PARAMETERS": "crystal",
    "CrystalError": "errors",
    "MolecularCrystal": "crystal",
    "PotentialCalculator": "mlip",
    "RigidCrystals": "energies",
    "RigidMolecule": "crystal",
    "Synthesis": "synthesis",
    "buckingham": "energies",
    "iter_crystals": "reading",
    "lattice_energies": "energies",
    "lattice_energy": "energies",
    "lennard_jones": "energies",
    "synthesise": "synthesis",
}
__all__ = [
    "PARAMETERS",
    "CrystalError",
    "MolecularCrystal",
    "PotentialCalculator",
    "RigidCrystals",
    "RigidMolecule",
    "Synthesis",
    "buckingham",
    "iter_crystals",
    "lattice_energies",
    "lattice_energy",
    "lennard_jones",
    "synthesise",
]


def __getattr__(name: str) -> Any:
    # Lazy: structures must not pay for torch, nor a sibling for spglib.
    if name in _HOMES:
        return getattr(import_module(f"skmol3d.crystals.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
