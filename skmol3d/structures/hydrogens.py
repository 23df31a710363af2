"""Hydrogens that a 3D structure lacks, placed alike in every pose, and those that a graph leaves out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from skmol3d.structures.geometry import atoms_of

FAR = 1e6  # Å
TIE = 1e-3
"""Å; of atoms whose distances differ by less the first one counts, as coordinates of files are rounded."""


def without_hydrogens(mol: Chem.Mol, isotopes: bool = False) -> Chem.Mol:
    """A copy without explicit hydrogens, also without those that a mark of C=N-H hangs on.

    RDKit keeps the latter, which geometries bring and SMILES hardly ever have: an amidine from a file would
    have another graph than the same one from text. Lone hydrogens, H2, hydrides and bridges stay.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        A sanitized one.
    isotopes : bool, default=False
        Whether deuterium and tritium go, too, and heavy atoms lose their labels.
    """
    bare = Chem.Mol(mol)
    if any(atom.GetAtomicNum() == 1 for atom in atoms_of(mol)):
        parameters: Any = Chem.RemoveHsParameters()
        parameters.removeDefiningBondStereo = True
        parameters.removeIsotopes = isotopes
        parameters.showWarnings = False
        bare = Chem.RemoveHs(mol, parameters)
    if isotopes:
        for atom in atoms_of(bare):
            atom.SetIsotope(0)
    return bare


def add_hydrogens(mol: Chem.Mol) -> Chem.Mol:
    """A copy with explicit hydrogens, which have RDKit's ideal positions in each conformer.

    RDKit turns rotors (methyls, hydroxyls) by the axes of the coordinates. So that hydrogens turn with the
    molecule, they are placed in a frame of its own (`own_frame`).
    """
    known = [conformer.GetPositions() for conformer in mol.GetConformers()]
    # What is not finite, or nearly so, has no frame; it is refused when coordinates are checked.
    framed = all((np.abs(x) < FAR).all() for x in known)
    if not framed or not any(atom.GetTotalNumHs() for atom in mol.GetAtoms()):
        return Chem.AddHs(mol, addCoords=True)
    turned = Chem.Mol(mol)
    frames = [own_frame(x) for x in known]
    for conformer, x, (centre, axes) in zip(turned.GetConformers(), known, frames, strict=True):
        conformer.SetPositions((x - centre) @ axes.T)
    turned = Chem.AddHs(turned, addCoords=True)
    for conformer, x, (centre, axes) in zip(turned.GetConformers(), known, frames, strict=True):
        added = conformer.GetPositions()[len(x) :] @ axes + centre
        conformer.SetPositions(np.concatenate([x, added]))
    return turned


def own_frame(positions: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroid [3] and axes [3, 3] (rows, right-handed) that turn with the positions [n, 3], Å.

    The first axis points to the atom farthest from the centroid, the second to the one farthest from the
    first. Of atoms on a line the others are of any direction: turning about it changes nothing else.
    """
    centre = positions.mean(axis=0)
    offsets = positions - centre
    first = _farthest(offsets)
    if not first.any():  # a single atom
        return centre, np.eye(3)
    second = _farthest(offsets - np.outer(offsets @ first, first))
    if not second.any():
        second = np.cross(first, np.eye(3)[np.argmin(np.abs(first))])
        second /= np.linalg.norm(second)
    return centre, np.stack([first, second, np.cross(first, second)])


def _farthest(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction of the first of the longest, or zeros if all are shorter than `TIE`."""
    lengths = np.linalg.norm(offsets, axis=1)
    longest = int(np.argmax(lengths > lengths.max() - TIE))
    return offsets[longest] / lengths[longest] if lengths[longest] > TIE else np.zeros(3)
