from .applicability_domain import ApplicabilityDomain
from .crystal_energy import CrystalEnergyRegressor
from .equivariant_ridge import EquivariantRidge
from .finetuning.classifier import REM3DIClassifier
from .finetuning.regressor import REM3DIRegressor
from .kernel_ridge_cv import KernelRidgeClassifierCV, KernelRidgeCV
from .skip_failures import SkipFailures

__all__ = [
    "ApplicabilityDomain",
    "CrystalEnergyRegressor",
    "EquivariantRidge",
    "KernelRidgeCV",
    "KernelRidgeClassifierCV",
    "REM3DIClassifier",
    "REM3DIRegressor",
    "SkipFailures",
]
