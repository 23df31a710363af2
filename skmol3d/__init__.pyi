from .calculator import PotentialCalculator
from .estimators import ApplicabilityDomain, CrystalEnergyRegressor, EquivariantRidge, SkipFailures
from .featurizers import (
    CrystalFeaturizer,
    ECFPFeaturizer,
    Mo3ENetFeaturizer,
    PotentialFeaturizer,
    REM3DIFeaturizer,
    drop_failures,
    set_cache_bytes,
)

__all__ = [
    "ApplicabilityDomain",
    "CrystalEnergyRegressor",
    "CrystalFeaturizer",
    "ECFPFeaturizer",
    "EquivariantRidge",
    "Mo3ENetFeaturizer",
    "PotentialCalculator",
    "PotentialFeaturizer",
    "REM3DIFeaturizer",
    "SkipFailures",
    "__version__",
    "drop_failures",
    "set_cache_bytes",
]

__version__: str
