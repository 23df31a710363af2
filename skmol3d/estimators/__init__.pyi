from .crystal_energy import CrystalEnergyRegressor
from .equivariant_ridge import EquivariantRidge

__all__ = ["CrystalEnergyRegressor", "EquivariantRidge"]
