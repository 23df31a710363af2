"""Bare geometries: are they sensible, and which atoms are bonded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray
from rdkit import Chem

from skmol3d.structures.errors import StructureError

MIN_DISTANCE = 0.2
"""Two atoms closer than this (Å) are a mistake in the file, not a geometry."""

BOND_TOLERANCE = 0.4
"""Å that a bond may be longer than the sum of the covalent radii, as in the CSD."""

MAX_NEIGHBOURS = {1: 1, 6: 4, 7: 4, 8: 3, 9: 1}
"""Most bonds of the elements that are never hypervalent, by atomic number."""

MAX_ATOMS = 1000
"""Largest molecule accepted, hydrogens included: beyond it single RDKit steps take minutes."""

MAX_COORDINATE = 1e4  # Å; what a MOL file can hold


def check_coordinates(numbers: NDArray[Any], positions: NDArray[np.float64]) -> None:
    """Raise `StructureError` naming the atoms if positions [N, 3] (Å) are senseless or coincide."""
    bad = np.flatnonzero(~(np.abs(positions) < MAX_COORDINATE).all(axis=1))  # nan compares false
    if len(bad):
        limit = f"{MAX_COORDINATE:,.0f} Å"
        raise StructureError(f"coordinates that are not finite or beyond {limit} at {_names(numbers, bad)}")
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    if distances.min() < MIN_DISTANCE:
        pair = np.array(np.unravel_index(distances.argmin(), distances.shape))
        raise StructureError(f"{_names(numbers, pair)} are {distances.min():.2f} Å apart")


def _names(numbers: NDArray[Any], indices: NDArray[np.intp]) -> str:
    symbols = [f"{chemical_symbols[numbers[i]]}{i}" for i in indices[:5]]
    return "atoms " + ", ".join(symbols) + (f" and {len(indices) - 5} more" if len(indices) > 5 else "")


def perceive_bonds(numbers: NDArray[Any], positions: NDArray[np.float64]) -> NDArray[np.int32]:
    """Bonds [M, 2] of a geometry, each once, for input that says nothing about them.

    Two atoms are bonded if they are closer than the sum of their covalent radii (Cordero et al. 2008,
    doi:10.1039/b801115j, as in ASE) plus `BOND_TOLERANCE`. Then the shortest bonds, compared with that sum,
    are taken first, and none beyond the `MAX_NEIGHBOURS` of an atom: so a hydrogen bond is no bond, and
    neither is the short way across bicyclo[1.1.1]pentane.

    Bridging hydrogens of
    boranes get one bond; of SF5, PF6 and other octahedral groups, which ETKDG distorts until fluorine atoms
    touch, bonds are right only if the geometry is.

    Parameters
    ----------
    numbers : ndarray of int, shape [N]
        Atomic numbers.
    positions : ndarray of float, shape [N, 3]
        Å.
    """
    sums = covalent_radii[numbers][:, None] + covalent_radii[numbers]
    excess = np.linalg.norm(positions[:, None] - positions, axis=-1) - sums
    pairs = np.argwhere(np.triu(excess < BOND_TOLERANCE, 1))
    pairs = pairs[np.argsort(excess[pairs[:, 0], pairs[:, 1]], kind="stable")]
    free = [MAX_NEIGHBOURS.get(number, len(numbers)) for number in numbers.tolist()]
    bonds = []
    for i, j in pairs.tolist():
        if free[i] and free[j]:
            free[i] -= 1
            free[j] -= 1
            bonds.append((i, j))
    return np.array(sorted(bonds), dtype=np.int32).reshape(-1, 2)


def atoms_of(mol: Chem.Mol) -> Iterator[Chem.Atom]:
    """Atoms in their order; RDKit's own iterator counts them anew at each, which takes as long again."""
    return map(mol.GetAtomWithIdx, range(mol.GetNumAtoms()))


def bonds_of(mol: Chem.Mol) -> Iterator[Chem.Bond]:
    """Bonds in their order, as `atoms_of`."""
    return map(mol.GetBondWithIdx, range(mol.GetNumBonds()))


def bond_array(mol: Chem.Mol) -> NDArray[np.int32]:
    """Return the bonds of a molecule as [M, 2] atom indices, each once."""
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in bonds_of(mol)]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


def total_charge(atoms: Any) -> int:
    """Charge (e) of ASE atoms: ``info["charge"]``, or else the rounded sum of their initial charges.

    Raises
    ------
    StructureError
        If it is no number.
    """
    charge = atoms.info.get("charge")
    if charge is None:
        charge = atoms.get_initial_charges().sum()
    try:
        return round(float(charge))
    except (TypeError, ValueError, OverflowError) as error:
        raise StructureError(f"the charge is not a number: {charge!r}") from error
