from .crystal import PARAMETERS, MolecularCrystal, RigidMolecule
from .energies import RigidCrystals, buckingham, lattice_energies, lattice_energy, lennard_jones
from .errors import CrystalError
from .packing import Packs, Rigid
from .reading import iter_crystals
from .synthesis import Synthesis, rigid_molecules, synthesise

__all__ = [
    "PARAMETERS",
    "CrystalError",
    "MolecularCrystal",
    "Packs",
    "Rigid",
    "RigidCrystals",
    "RigidMolecule",
    "Synthesis",
    "buckingham",
    "iter_crystals",
    "lattice_energies",
    "lattice_energy",
    "lennard_jones",
    "rigid_molecules",
    "synthesise",
]
