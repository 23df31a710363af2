"""Bare geometries: are they sensible, and which atoms are bonded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdDetermineBonds

from skmol3d.structures.errors import StructureError, rdkit_errors

MIN_DISTANCE = 0.2
"""Two atoms closer than this (Å) are a mistake in the file, not a geometry."""

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
    symbols = [f"{Chem.GetPeriodicTable().GetElementSymbol(int(numbers[i]))}{i}" for i in indices[:5]]
    return "atoms " + ", ".join(symbols) + (f" and {len(indices) - 5} more" if len(indices) > 5 else "")


def perceive_bonds(numbers: NDArray[np.uint8], positions: NDArray[np.float64]) -> NDArray[np.int32] | None:
    """Guess the bonds [M, 2] from distances and valences; None if RDKit cannot."""
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(numbers))
    for i, (number, position) in enumerate(zip(numbers.tolist(), positions.tolist(), strict=True)):
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
        conformer.SetAtomPosition(i, position)
    mol.AddConformer(conformer)
    try:
        with rdkit_errors():
            rdDetermineBonds.DetermineConnectivity(mol)
    except (ValueError, RuntimeError):
        return None
    return bond_array(mol)


def bond_array(mol: Chem.Mol) -> NDArray[np.int32]:
    """Return the bonds of a molecule as [M, 2] atom indices, each once."""
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)
