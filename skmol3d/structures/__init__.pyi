from .conformer_cache import conformers_of, embed_cached
from .conformers import Conformers, ConformerSettings, boltzmann_weights, embed
from .environments import atom_environments
from .errors import Failure, StructureError, TransientError
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
    "TransientError",
    "atom_environments",
    "boltzmann_weights",
    "conformers_of",
    "embed",
    "embed_cached",
    "generate",
    "iter_inputs",
    "read_molecule",
    "read_records",
]
