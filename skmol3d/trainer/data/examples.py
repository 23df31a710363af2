"""From a SMILES to a training example: a conformer, and the targets that cost nothing but RDKit.

Packed corpora (`skmol3d.trainer.data.pack`) and conformers embedded while a model trains
(`skmol3d.trainer.data.online`) come from here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import Descriptors
from rdkit.Geometry import Point3D

from skmol3d.structures import (
    ConformerSettings,
    StructureError,
    atom_environments,
    embed_cached,
    read_molecule,
)
from skmol3d.trainer.data.corpus import ELECTRONIC
from skmol3d.trainer.data.membership import substructure_membership
from skmol3d.trainer.data.positions import integer_positions
from skmol3d.trainer.data.sets import Row

DESCRIPTORS = tuple(name for name, _ in Descriptors._descList)


def build_example(
    smiles: str,
    random_state: int = 0,
    heavy: tuple[int, float] = (0, np.inf),
    cache_dir: Path | None = None,
) -> Row:
    """Embed one plain ETKDGv3 conformer and compute the targets of REM3DI's objectives, and bonds.

    Parameters
    ----------
    smiles : str
        The molecule.
    random_state : int, default=0
        Goes into the conformer's seed.
    heavy : (int, float)
        Fewest and most heavy atoms.
    cache_dir : path or None
        Folder that keeps conformers for later runs (`skmol3d.structures.conformers_of`).

    Returns
    -------
    Row
        Its group is 0, its ``electronic`` targets are unknown (NaN).

    Raises
    ------
    StructureError
        If the SMILES does not parse or embed, is of another size, or too long for packed positions.
    """
    molecule = read_molecule(smiles)
    size = int((molecule.numbers > 1).sum())
    if not heavy[0] <= size <= heavy[1]:
        raise StructureError(f"{size} heavy atoms, not {heavy[0]} to {heavy[1]}")
    conformer = embed_cached(molecule, settings(random_state), cache_dir)
    mol = molecule.mol
    assert mol is not None  # only ASE and XYZ inputs have none
    try:
        positions = integer_positions(conformer.positions[0])
    except ValueError as error:
        raise StructureError(str(error)) from error
    return Row(
        numbers=conformer.numbers,
        positions=positions,
        charge=conformer.charge,
        group=0,
        atom_targets=atom_labels(mol) | {"handedness": handedness(mol, conformer.positions[0])},
        molecule_targets={
            "descriptors": molecular_descriptors(mol),
            "electronic": np.full(ELECTRONIC, np.nan, np.float32),
        },
        bonds=conformer.bonds,
    )


def settings(random_state: int = 0) -> ConformerSettings:
    """How training conformers are made: as they come, and no molecule holds up the others."""
    return ConformerSettings(random_state=random_state, relax=None, time_limit=5.0, max_attempts=50)


def atom_labels(mol: Chem.Mol) -> dict[str, np.ndarray]:
    """Atom targets that do not depend on the conformer: ``environments`` and packed ``membership``."""
    return {
        "environments": atom_environments(mol),
        "membership": np.packbits(substructure_membership(mol), axis=1),
    }


def handedness(mol: Chem.Mol, positions: np.ndarray) -> np.ndarray:
    """CIP label of each atom as the geometry has it, int8 [N]: +1 for R, -1 for S, 0 for no stereocentre."""
    mol = Chem.Mol(mol)
    mol.RemoveAllConformers()
    conformer = Chem.Conformer(mol.GetNumAtoms())
    for k, xyz in enumerate(positions):
        conformer.SetAtomPosition(k, Point3D(*map(float, xyz)))
    mol.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(mol)
    sign = {"R": 1, "S": -1}
    return np.array([sign.get(a.GetPropsAsDict().get("_CIPCode", ""), 0) for a in mol.GetAtoms()], np.int8)


def molecular_descriptors(mol: Chem.Mol) -> np.ndarray:
    """RDKit's 2D descriptors, float32 [217]; NaN where one is undefined."""
    heavy = Chem.RemoveHs(mol)
    with np.errstate(all="ignore"):
        values = np.array([function(heavy) for _, function in Descriptors._descList], np.float64)
    return np.where(np.abs(values) < 1e30, values, np.nan).astype(np.float32)
