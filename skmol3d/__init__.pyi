from .calculator import PotentialCalculator
from .estimators import (
    ApplicabilityDomain,
    CrystalEnergyRegressor,
    EquivariantRidge,
    KernelRidgeClassifierCV,
    KernelRidgeCV,
    REM3DIClassifier,
    REM3DIRegressor,
    SkipFailures,
)
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
    "KernelRidgeCV",
    "KernelRidgeClassifierCV",
    "Mo3ENetFeaturizer",
    "PotentialCalculator",
    "PotentialFeaturizer",
    "REM3DIClassifier",
    "REM3DIFeaturizer",
    "REM3DIRegressor",
    "SkipFailures",
    "__version__",
    "drop_failures",
    "set_cache_bytes",
]

__version__: str
