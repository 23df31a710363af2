from .conformers import Conformers, ConformerSettings, boltzmann_weights, embed
from .errors import Failure, StructureError
from .inputs import iter_inputs
from .molecule import Molecule, read_molecule
from .reading import Record, read_records
from .workers import generate

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
