"""Morgan environments around atoms, by the identifiers of RDKit's fingerprints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from skmol3d.structures.geometry import atoms_of

RADIUS = 2
GENERATORS = [
    rdFingerprintGenerator.GetMorganGenerator(
        radius=RADIUS, includeRedundantEnvironments=True, atomInvariantsGenerator=invariants
    )
    for invariants in (None, rdFingerprintGenerator.GetMorganFeatureAtomInvGen())
]


def atom_environments(mol: Chem.Mol) -> NDArray[np.uint32]:
    """Identifiers of the Morgan environments around each atom, uint32 [N, 6]; 0 for hydrogens.

    Columns are radius 0, 1, 2 over atom types (as in ECFP) and again over pharmacophoric features (FCFP).
    """
    heavy = Chem.RemoveHs(mol)
    identifiers = np.zeros((heavy.GetNumAtoms(), len(GENERATORS) * (RADIUS + 1)), np.uint32)
    for k, generator in enumerate(GENERATORS):
        output = rdFingerprintGenerator.AdditionalOutput()
        output.AllocateBitInfoMap()
        generator.GetSparseCountFingerprint(heavy, additionalOutput=output)
        for bit, places in output.GetBitInfoMap().items():
            for atom, radius in places:
                identifiers[atom, k * (RADIUS + 1) + radius] = max(bit, 1)  # 0 means that there is no label
    out = np.zeros((mol.GetNumAtoms(), identifiers.shape[1]), np.uint32)
    kept = [a.GetIdx() for a in atoms_of(mol) if a.GetAtomicNum() > 1]
    # RemoveHs keeps some hydrogens (isotopes, H2): then there are no labels.
    if len(kept) == heavy.GetNumAtoms():
        out[kept] = identifiers
    return out
