"""From inputs to arrays: parsing, canonical order, conformers. numpy and RDKit, no torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.structures.conformers import (
        Conformers,
        ConformerSettings,
        boltzmann_weights,
        embed,
    )
    from skmol3d.structures.errors import Failure, StructureError
    from skmol3d.structures.inputs import iter_inputs
    from skmol3d.structures.molecule import Molecule, read_molecule
    from skmol3d.structures.reading import Record, read_records
    from skmol3d.structures.workers import generate

_HOMES = {
    "ConformerSettings": "conformers",
    "Conformers": "conformers",
    "Failure": "errors",
    "Molecule": "molecule",
    "Record": "reading",
    "StructureError": "errors",
    "boltzmann_weights": "conformers",
    "embed": "conformers",
    "generate": "workers",
    "iter_inputs": "inputs",
    "read_molecule": "molecule",
    "read_records": "reading",
}
__all__ = [
    "ConformerSettings",
    "Conformers",
    "Failure",
    "Molecule",
    "Record",
    "StructureError",
    "boltzmann_weights",
    "embed",
    "generate",
    "iter_inputs",
    "read_molecule",
    "read_records",
]


def __getattr__(name: str) -> Any:
    # Lazy: importing a sibling (or the package) must not pay for rdkit.
    if name in _HOMES:
        return getattr(import_module(f"skmol3d.structures.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
