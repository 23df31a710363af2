from .base import FeaturizationError, MoleculeFeaturizer, StructureFeaturizer, drop_failures
from .cache import CacheError, set_cache_bytes
from .crystal import CrystalFeaturizer
from .ecfp import ECFPFeaturizer
from .mo3enet import Mo3ENetFeaturizer
from .potential import PotentialFeaturizer
from .rem3di import REM3DIFeaturizer

__all__ = [
    "CacheError",
    "CrystalFeaturizer",
    "ECFPFeaturizer",
    "FeaturizationError",
    "Mo3ENetFeaturizer",
    "MoleculeFeaturizer",
    "PotentialFeaturizer",
    "REM3DIFeaturizer",
    "StructureFeaturizer",
    "all_featurizers",
    "drop_failures",
    "set_cache_bytes",
]

def all_featurizers() -> list[type[MoleculeFeaturizer]]: ...
