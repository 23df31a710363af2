"""Stereo marks: whether a geometry has them, and whether rings can, unlike bridgeheads on opposite sides."""

from __future__ import annotations

from typing import Any

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from skmol3d.structures.geometry import atoms_of, bonds_of
from skmol3d.structures.molecule import TETRAHEDRAL

ATTEMPTS = 50
"""At each of two rungs, for a skeleton that embeds at the first if it can at all."""

STRAINED = 5
"""Attempts without RDKit's last look at stereocentres: where it is to blame, most of them succeed."""

TOLERANCE = 0.1
"""Å by which distances of atoms one and two bonds apart may miss RDKit's bounds in such an attempt.

Of QM9's strained molecules, which exist, 11 of 13 miss them by 0.08 at most; with the mark of one shared
centre inverted all do by 0.13 or more.
"""

_CIS = {Chem.BondStereo.STEREOZ, Chem.BondStereo.STEREOCIS}
_TRANS = {Chem.BondStereo.STEREOE, Chem.BondStereo.STEREOTRANS}


def stereo_kept(mol: Chem.Mol) -> bool:
    """Whether every stereocentre and double bond that the input specifies is so in 3D."""
    centres = [a.GetIdx() for a in atoms_of(mol) if a.GetChiralTag() in TETRAHEDRAL]
    if centres:
        seen = Chem.Mol(mol)
        Chem.AssignAtomChiralTagsFromStructure(seen, replaceExistingTags=True)
        for i in centres:
            if seen.GetAtomWithIdx(i).GetChiralTag() != mol.GetAtomWithIdx(i).GetChiralTag():
                return False
    positions = None
    for bond in bonds_of(mol):
        stereo = bond.GetStereo()
        if stereo in _CIS or stereo in _TRANS:
            if positions is None:
                positions = mol.GetConformer().GetPositions()
            a, d = bond.GetStereoAtoms()
            b, c = positions[bond.GetBeginAtomIdx()], positions[bond.GetEndAtomIdx()]
            same_side = np.dot(np.cross(positions[a] - b, c - b), np.cross(positions[d] - c, c - b)) > 0
            if same_side != (stereo in _CIS):
                return False
    return True


def ring_systems(mol: Chem.Mol) -> list[set[int]]:
    """Systems of fused and bridged rings in which two stereocentres are shared by rings, as atom indices.

    Only these can contradict each other: a stereocentre in one ring alone can always be turned over.
    """
    systems: list[set[int]] = []
    rings = mol.GetRingInfo()
    for ring in map(set, rings.AtomRings()):
        for other in [system for system in systems if len(system & ring) > 1]:
            systems.remove(other)
            ring |= other
        systems.append(ring)

    def shared_centre(i: int) -> bool:
        return mol.GetAtomWithIdx(i).GetChiralTag() in TETRAHEDRAL and rings.NumAtomRings(i) > 1

    return [system for system in systems if sum(map(shared_centre, system)) > 1]


def ring_stereo_possible(mol: Chem.Mol, systems: list[set[int]], seed: int, timeout: int) -> bool:
    """Whether every ring system embeds by itself, its substituents cut down to one atom each.

    Such a skeleton has few atoms and nothing to fold: what does not embed then contradicts itself. A hundred
    attempts at it take half a second, where 600 at the molecule may take half a minute.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Hydrogens explicit.
    systems : list of set of int
        From `ring_systems`.
    seed : int
        Of the attempts.
    timeout : int
        Seconds for each rung.
    """
    for system in systems:
        skeleton = _skeleton(mol, system)
        if skeleton is None:
            continue
        if not (_embeds(skeleton, seed, timeout, False) or _embeds(skeleton, seed, timeout, True)):
            return False
    return True


def _embeds(skeleton: Chem.Mol, seed: int, timeout: int, plain: bool) -> bool:
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.randomSeed = seed
    parameters.maxIterations = ATTEMPTS
    parameters.timeout = timeout
    if plain:
        parameters.useRandomCoords = parameters.ignoreSmoothingFailures = True
        parameters.useExpTorsionAnglePrefs = parameters.useBasicKnowledge = False
    return rdDistGeom.EmbedMolecule(skeleton, parameters) >= 0


def embed_strained(mol: Chem.Mol, seed: int, timeout: int) -> bool:
    """Embed in place without RDKit's last look at stereocentres; whether the geometry is one all the same.

    RDKit refuses a stereocentre that is not inside of the tetrahedron of its neighbours. Where three- and
    four-membered rings share it, it is not (one molecule in twenty of QM9). Marks and distances decide here.

    Parameters
    ----------
    mol : rdkit.Chem.Mol
        Hydrogens explicit.
    seed : int
        Of the attempts.
    timeout : int
        Seconds for each attempt.
    """
    bounds = rdDistGeom.GetMoleculeBoundsMatrix(mol)  # the upper ones in the upper triangle
    apart = Chem.GetDistanceMatrix(mol)
    i, j = np.nonzero(np.triu((apart == 1) | (apart == 2)))
    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.enforceChirality = False  # the marks steer all the same
    parameters.useRandomCoords = parameters.ignoreSmoothingFailures = True
    parameters.maxIterations = 1
    parameters.timeout = timeout
    for attempt in range(STRAINED):
        parameters.randomSeed = (seed + attempt) & 0x7FFFFFFF
        if rdDistGeom.EmbedMolecule(mol, parameters) < 0 or not stereo_kept(mol):
            continue
        positions = mol.GetConformer().GetPositions()
        lengths = np.linalg.norm(positions[i] - positions[j], axis=1)
        if max((lengths - bounds[i, j]).max(), (bounds[j, i] - lengths).max()) <= TOLERANCE:
            return True
    return False


def _skeleton(mol: Chem.Mol, system: set[int]) -> Chem.Mol | None:
    """The ring system with hydrogen, fluorine or, at double bonds, oxygen around it; None if it is none."""
    skeleton = Chem.RWMol(mol)
    around = {n.GetIdx() for i in system for n in mol.GetAtomWithIdx(i).GetNeighbors()} - system
    for i in around:
        atom = skeleton.GetAtomWithIdx(i)
        orders = [b.GetBondTypeAsDouble() for b in atom.GetBonds() if b.GetOtherAtomIdx(i) in system]
        atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)
        atom.SetIsAromatic(False)
        if atom.GetAtomicNum() > 1:
            atom.SetFormalCharge(0)
            atom.SetAtomicNum(8 if max(orders) > 1 else 9)
    skeleton.BeginBatchEdit()
    for bond in skeleton.GetBonds():
        ends = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if not system.issuperset(ends):
            bond.SetStereo(Chem.BondStereo.STEREONONE)
            if system.isdisjoint(ends):
                skeleton.RemoveBond(*ends)
    for i in set(range(mol.GetNumAtoms())) - system - around:
        skeleton.RemoveAtom(i)
    skeleton.CommitBatchEdit()
    try:
        Chem.SanitizeMol(skeleton)
    except Chem.MolSanitizeException:  # a substituent that mattered: cannot be judged by itself
        return None
    return skeleton.GetMol()
