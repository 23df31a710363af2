"""Which substructures each atom belongs to: labels for packed sets (needs rdkit)."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from skmol3d.trainer.data.substructures import read_substructures


def substructure_membership(mol: Chem.Mol) -> NDArray[np.bool_]:
    """Whether each atom is part of a match of each substructure of the shipped list.

    Substructures match the molecule without its hydrogens, which belong to none.

    Parameters
    ----------
    mol : Mol
        Sanitised, hydrogens explicit or not.

    Returns
    -------
    ndarray of shape (N, K)
        In the order of the atoms of ``mol`` and of `read_substructures`. Packed sets hold
        ``np.packbits(membership, axis=1)``.
    """
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    out = np.zeros((mol.GetNumAtoms(), len(_queries())), np.bool_)
    bare = Chem.RemoveAllHs(mol)
    if bare.GetNumAtoms() != len(heavy):  # rdkit keeps the hydrogens of H2 and the like
        return out
    for k, query in enumerate(_queries()):
        # Two symmetric matches of the same atoms count once; the limit is beyond any molecule of a corpus.
        atoms = {a for match in bare.GetSubstructMatches(query, maxMatches=100_000) for a in match}
        out[[heavy[a] for a in atoms], k] = True
    return out


@cache
def _queries() -> list[Chem.Mol]:
    return [Chem.MolFromSmarts(s.smarts) for s in read_substructures()]
