"""Pretrained 3D molecular encoders as scikit-learn featurizers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.featurizers import (
        CrystalEnergyRegressor,
        CrystalFeaturizer,
        ECFPFeaturizer,
        EquivariantRidge,
        Mo3ENetFeaturizer,
        REM3DIFeaturizer,
        drop_failures,
    )

__version__ = "0.1.0"
__all__ = [
    "CrystalEnergyRegressor",
    "CrystalFeaturizer",
    "ECFPFeaturizer",
    "EquivariantRidge",
    "Mo3ENetFeaturizer",
    "REM3DIFeaturizer",
    "__version__",
    "drop_failures",
]


def __getattr__(name: str) -> Any:
    # Lazy: `import skmol3d` must not pay for torch or rdkit (grid-search workers import it by the dozen).
    if name in __all__:  # what is not here yet
        return getattr(import_module("skmol3d.featurizers"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
