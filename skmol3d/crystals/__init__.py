"""Molecular crystals: structures (numpy, ASE, spglib), and energies and synthesis in batches (torch)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.crystals.crystal import PARAMETERS, MolecularCrystal, RigidMolecule
    from skmol3d.crystals.errors import CrystalError
    from skmol3d.crystals.reading import iter_crystals

_HOMES = {
    "PARAMETERS": "crystal",
    "CrystalError": "errors",
    "MolecularCrystal": "crystal",
    "RigidMolecule": "crystal",
    "iter_crystals": "reading",
}
__all__ = ["PARAMETERS", "CrystalError", "MolecularCrystal", "RigidMolecule", "iter_crystals"]


def __getattr__(name: str) -> Any:
    # Lazy: structures must not pay for torch, nor a sibling for spglib.
    if name in _HOMES:
        return getattr(import_module(f"skmol3d.crystals.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
