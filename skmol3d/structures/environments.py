"""Morgan environments around atoms, by the identifiers of RDKit's fingerprints."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from skmol3d.structures.geometry import atoms_of
from skmol3d.structures.hydrogens import without_hydrogens

RADIUS = 2
ENVIRONMENTS_VERSION = 2
"""Raised whenever a molecule gets other identifiers: rows are stored under it."""
GENERATORS = [
    rdFingerprintGenerator.GetMorganGenerator(
        radius=RADIUS, includeRedundantEnvironments=True, atomInvariantsGenerator=invariants
    )
    for invariants in (None, rdFingerprintGenerator.GetMorganFeatureAtomInvGen())
]


def atom_environments(mol: Chem.Mol) -> NDArray[np.uint32]:
    """Identifiers of the Morgan environments around each atom, uint32 [N, 6]; 0 for hydrogens.

    Columns are radius 0, 1, 2 over atom types (as in ECFP) and again over pharmacophoric features (FCFP).
    Isotopes do not count: a labelled molecule has the environments of the common one.
    """
    heavy = without_hydrogens(mol, isotopes=True)
    identifiers = np.concatenate([_identifiers(heavy, generator) for generator in GENERATORS], 1)
    out = np.zeros((mol.GetNumAtoms(), identifiers.shape[1]), np.uint32)
    kept = [a.GetIdx() for a in atoms_of(mol) if a.GetAtomicNum() > 1]
    # Some hydrogens stay (H2, hydrides, bridges): then there are no labels.
    if len(kept) == heavy.GetNumAtoms():
        out[kept] = identifiers
    return out


def _identifiers(heavy: Chem.Mol, generator: Any) -> NDArray[np.uint32]:
    """Identifiers by radius [N, 3]; 0 where there is none, around lone atoms."""
    output = rdFingerprintGenerator.AdditionalOutput()
    output.AllocateAtomToBits()
    generator.GetSparseCountFingerprint(heavy, additionalOutput=output)
    # In lists: an array takes longer to be told number by number. Features can have the identifier 0.
    rows = [[max(bit, 1) for bit in bits] for bits in output.GetAtomToBits()]
    return np.array([row + [0] * (RADIUS + 1 - len(row)) for row in rows], np.uint32).reshape(-1, RADIUS + 1)
