from .applicability_domain import ApplicabilityDomain
from .crystal_energy import CrystalEnergyRegressor
from .equivariant_ridge import EquivariantRidge
from .skip_failures import SkipFailures

__all__ = ["ApplicabilityDomain", "CrystalEnergyRegressor", "EquivariantRidge", "SkipFailures"]
