from .calculator import PotentialCalculator
from .estimators import CrystalEnergyRegressor, EquivariantRidge
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
    "CrystalEnergyRegressor",
    "CrystalFeaturizer",
    "ECFPFeaturizer",
    "EquivariantRidge",
    "Mo3ENetFeaturizer",
    "PotentialCalculator",
    "PotentialFeaturizer",
    "REM3DIFeaturizer",
    "__version__",
    "drop_failures",
    "set_cache_bytes",
]

__version__: str
