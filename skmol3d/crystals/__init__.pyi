from .crystal import PARAMETERS, MolecularCrystal, RigidMolecule
from .energies import RigidCrystals, buckingham, lattice_energies, lattice_energy, lennard_jones
from .errors import CrystalError
from .reading import iter_crystals
from .synthesis import Synthesis, synthesise

__all__ = [
    "PARAMETERS",
    "CrystalError",
    "MolecularCrystal",
    "RigidCrystals",
    "RigidMolecule",
    "Synthesis",
    "buckingham",
    "iter_crystals",
    "lattice_energies",
    "lattice_energy",
    "lennard_jones",
    "synthesise",
]
