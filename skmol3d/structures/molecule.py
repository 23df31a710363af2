"""One molecule, whatever it came from: SMILES, InChI, RDKit, SDF/MOL/XYZ files, ASE."""

from __future__ import annotations

import hashlib
import math
import os
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem

from skmol3d.structures.errors import Failure, StructureError, rdkit_errors, rdkit_reason, shorten
from skmol3d.structures.geometry import (
    MAX_ATOMS,
    atoms_of,
    bond_array,
    bonds_of,
    check_coordinates,
    perceive_bonds,
    total_charge,
)
from skmol3d.structures.hydrogens import add_hydrogens
from skmol3d.structures.reading import FORMATS, is_file_name, read_records
from skmol3d.structures.standardise import standardised

__all__ = ["Failure", "Molecule", "StructureError", "canonical_smiles", "read_molecule"]

MAX_TEXT = 10 * MAX_ATOMS  # characters; RDKit's parsers need seconds for 20,000 open parentheses

NO_BOND = {Chem.BondType.UNSPECIFIED, Chem.BondType.ZERO, Chem.BondType.HYDROGEN, Chem.BondType.OTHER}

TETRAHEDRAL = {Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW}


@dataclass(frozen=True, slots=True, eq=False)
class Molecule:
    """One parsed input.

    Attributes
    ----------
    numbers : ndarray of uint8, shape [N]
        Atomic numbers, hydrogens included.
    charge : int
        Total formal charge, e.
    bonds : ndarray of int32, shape [M, 2]
        Each bond once: those of the input, or for a bare geometry those of `perceive_bonds`.
    mol : rdkit.Chem.Mol or None
        Hydrogens explicit, atoms in canonical order; None for ASE and XYZ.
    coordinates : ndarray of float64, shape [C, N, 3], or None
        Å, as they came; only if the input brought a 3D geometry. Double precision, because single would
        round a structure far from the origin to 1e-4 Å.
    smiles : str or None
        Canonical isomeric SMILES of what was kept (see `skmol3d.structures.standardise`).
    key : str
        SHA-256 hex digest; two inputs with the same key get the same row.
    """

    numbers: NDArray[np.uint8]
    charge: int
    bonds: NDArray[np.int32]
    mol: Chem.Mol | None
    coordinates: NDArray[np.float64] | None
    smiles: str | None
    key: str


def read_molecule(value: object, standardise: str | None = "parent") -> Molecule:
    """Parse one input into a `Molecule`.

    Without coordinates, everything about the result is a function of the canonical isomeric SMILES
    alone: atom order, key, and therefore the conformer. Several rules apply:

    - Salts, mixtures and charges: see `skmol3d.structures.standardise`.
    - 3D conformers of a `Mol` or a file are kept; missing hydrogens are added to them at RDKit's ideal
      positions, which turn with the molecule (the angles of rotors are arbitrary: bring hydrogens where
      these matter). A 2D depiction counts as no coordinates.
    - Atom-map numbers are dropped, isotopes kept. Dummy atoms, queries (of SMARTS, lists, "any" bonds),
      hydrogen and zero-order bonds, and periodic cells are refused.
    - Stereo marks count on tetrahedral atoms and double bonds. Those of square planar, trigonal
      bipyramidal and octahedral atoms (``@SP1``, ``@TB1``, ``@OH1``) are dropped, since RDKit changes them
      when it spells a molecule anew: cisplatin and transplatin differ only if they bring coordinates.
    - A CXSMILES extension (``C[C@@H](F)Cl |o1:1|``) is read for its radicals and wavy bonds. Enhanced
      stereo, here and in MOL blocks, is ignored: of a racemate (``&1``) or a relative configuration
      (``o1``) the isomer that is drawn counts. So are coordinates in the extension, labels, values,
      link nodes and S-groups (a polymer is its drawn unit).
    - An InChI gives RDKit's tautomer of it, which may not be the one that was drawn.

    Parameters
    ----------
    value : str, path, rdkit.Chem.Mol or ase.Atoms
        A SMILES, an InChI ("InChI=..."), a path to a file with exactly one record (see
        `skmol3d.structures.reading`), an RDKit molecule, or ASE atoms. The charge of ASE atoms and XYZ
        files is `info["charge"]`, or else the rounded sum of their initial charges.
    standardise : {"parent", "neutral", None}, default="parent"
        Keep the parent of a salt or mixture, neutralise it as well, or take all as drawn.

    Returns
    -------
    Molecule

    Raises
    ------
    StructureError
        With the plain reason: nothing there, not parseable, more than `MAX_ATOMS` atoms, coordinates
        that are not finite or coincide.
    """
    if isinstance(value, StructureError):  # an unreadable record that `iter_inputs` passed on
        raise value
    if isinstance(value, Chem.Mol):
        return _from_mol(value, standardise)
    if isinstance(value, os.PathLike) or (isinstance(value, str) and is_file_name(value)):
        return _from_file(os.fspath(value), standardise)
    if isinstance(value, str):
        return _from_text(value.strip(), standardise)
    if is_atoms(value):
        return _from_atoms(value)
    is_nan = isinstance(value, float) and math.isnan(value)  # np.float64 is a float, too
    if value is None or is_nan or type(value).__name__ in {"NAType", "NaTType", "MaskedConstant"}:
        raise StructureError("missing value")
    raise StructureError(
        f"cannot read a {type(value).__name__}; expected a SMILES or InChI string, an RDKit Mol, "
        f"ASE Atoms, or a path to a file of type {', '.join(FORMATS)}"
    )


def is_atoms(value: object) -> bool:
    """Whether this is `ase.Atoms`."""
    # By name, so that parsing SMILES does not import ASE.
    return any(c.__module__ == "ase.atoms" and c.__name__ == "Atoms" for c in type(value).__mro__)


# --- text ------------------------------------------------------------------------------------------------


def _from_text(text: str, standardise: str | None) -> Molecule:
    if not text:
        raise StructureError("empty string")
    if len(text) > MAX_TEXT:
        raise StructureError(f"{len(text)} characters; at most {MAX_TEXT} are supported")
    if not text.isascii():
        raise StructureError(f"characters that no SMILES or InChI has: {shorten(text)}")
    structure, *rest = text.split(maxsplit=1)
    inchi = structure.startswith("InChI=")
    extension = rest[0] if rest and not inchi and re.fullmatch(r"\|[^|]*\|", rest[0]) else ""
    if rest and not extension:
        if "M  END" in text:
            raise StructureError("the text of a MOL file; read it with Chem.MolFromMolBlock, or pass a path")
        raise StructureError(f"text after the structure: {shorten(rest[0])}")
    what = "InChI" if inchi else "SMILES"
    with rdkit_errors() as messages:
        mol = Chem.MolFromInchi(structure) if inchi else Chem.MolFromSmiles(structure)
        if mol is not None and extension:
            what = f"CXSMILES extension {shorten(extension)}"
            mol = Chem.MolFromSmiles(text)
    if mol is None:
        raise StructureError(f"not a valid {what}: {messages[0] if messages else 'RDKit gives no reason'}")
    mol.RemoveAllConformers()  # of an extension: text has no geometry
    return _from_mol(mol, standardise)


# --- RDKit -----------------------------------------------------------------------------------------------


def _from_mol(mol: Chem.Mol, standardise: str | None) -> Molecule:
    _check_size(mol.GetNumAtoms())
    mol = Chem.RWMol(mol)  # the caller's stays as it is
    mol.SetStereoGroups([])  # they would change the order of the atoms
    for atom in atoms_of(mol):
        atom.SetAtomMapNum(0)
        if atom.GetAtomicNum() == 0:
            raise StructureError(f"atom {atom.GetIdx()} is a placeholder (* or R group), not an element")
        if atom.HasQuery():
            raise StructureError(f"atom {atom.GetIdx()} is a query ({atom.GetSmarts()}), not an element")
    for bond in bonds_of(mol):
        if bond.HasQuery() or bond.GetBondType() in NO_BOND:
            ends = f"{bond.GetBeginAtomIdx()} and {bond.GetEndAtomIdx()}"
            kind = "a query" if bond.HasQuery() else f"of the type {bond.GetBondType().name}"
            raise StructureError(
                f"the bond between atoms {ends} is {kind}: it says nothing about the molecule"
            )
    try:
        with rdkit_errors():
            Chem.SanitizeMol(mol)
            _keep_tetrahedral_marks(mol)
            return _from_sanitized(mol, standardise)
    except (Chem.MolSanitizeException, RuntimeError) as error:
        raise StructureError(f"not a valid molecule: {rdkit_reason(error)}") from error


def _from_sanitized(mol: Chem.Mol, standardise: str | None) -> Molecule:
    for conformer in list(mol.GetConformers()):
        # A 2D depiction has z = 0 everywhere and says so; a planar molecule in 3D does not say so.
        if not conformer.Is3D() and not np.any(conformer.GetPositions()[:, 2]):
            mol.RemoveConformer(conformer.GetId())
    mol = standardised(mol, standardise)
    return _with_coordinates(mol) if mol.GetNumConformers() else from_graph(mol)


def _keep_tetrahedral_marks(mol: Chem.Mol) -> None:
    # RDKit does not carry the others over to another order of the neighbours.
    for atom in atoms_of(mol):
        if atom.GetChiralTag() not in TETRAHEDRAL:
            atom.SetChiralTag(Chem.ChiralType.CHI_UNSPECIFIED)


def canonical_smiles(mol: Chem.Mol) -> str:
    """Canonical isomeric SMILES that parses back to itself.

    RDKit's canonical SMILES is not always a fixed point (symmetry, stereo marks that turn out to be
    redundant), and a seed must not depend on which of two spellings came in.
    """
    return _canonical(mol)[0]


def _canonical(mol: Chem.Mol) -> tuple[str, Chem.Mol]:
    """The canonical SMILES, and what RDKit reads from it."""
    if any(atom.GetAtomicNum() == 1 for atom in atoms_of(mol)):
        mol = Chem.RemoveHs(mol)  # a copy
    seen: list[str] = []
    smiles = Chem.MolToSmiles(mol)
    while smiles not in seen:
        seen.append(smiles)
        mol = Chem.MolFromSmiles(smiles)
        if mol is None:
            raise StructureError(f"RDKit cannot read back its own SMILES {shorten(smiles)}")
        smiles = Chem.MolToSmiles(mol)
    circle = seen[seen.index(smiles) :]
    return (smiles, mol) if len(circle) == 1 else (min(circle), Chem.MolFromSmiles(min(circle)))


def from_graph(mol: Chem.Mol) -> Molecule:
    """The molecule that the canonical SMILES of a sanitized graph stands for."""
    smiles, mol = _canonical(mol)
    mol = Chem.AddHs(mol)
    _check_size(mol.GetNumAtoms())
    return _build(mol, None, smiles, _digest(smiles))


def _with_coordinates(mol: Chem.Mol) -> Molecule:
    mol = add_hydrogens(mol)
    _check_size(mol.GetNumAtoms())
    for conformer in mol.GetConformers():
        check_coordinates(_numbers(mol), conformer.GetPositions())
    # The geometry decides, not the marks that the file may or may not carry.
    Chem.AssignStereochemistryFrom3D(mol, mol.GetConformers()[0].GetId())
    _keep_tetrahedral_marks(mol)
    smiles = canonical_smiles(mol)
    order = np.argsort(Chem.CanonicalRankAtoms(mol, breakTies=True))
    mol = Chem.RenumberAtoms(mol, order.tolist())
    coordinates = np.stack([c.GetPositions() for c in mol.GetConformers()])
    mol.RemoveAllConformers()
    return _build(mol, coordinates, smiles, _digest(smiles, _numbers(mol), bond_array(mol), coordinates))


def _build(mol: Chem.Mol, coordinates: NDArray[np.float64] | None, smiles: str, key: str) -> Molecule:
    charge = Chem.GetFormalCharge(mol)
    return Molecule(_numbers(mol), charge, bond_array(mol), mol, coordinates, smiles, key)


def _numbers(mol: Chem.Mol) -> NDArray[np.uint8]:
    return np.array([atom.GetAtomicNum() for atom in atoms_of(mol)], dtype=np.uint8)


# --- geometries ------------------------------------------------------------------------------------------


def _from_atoms(atoms: Any) -> Molecule:
    if any(atoms.pbc):
        raise StructureError("periodic; only single molecules are read (set atoms.pbc = False if it is one)")
    _check_size(len(atoms))
    numbers = np.asarray(atoms.numbers)
    if not ((numbers > 0) & (numbers < 119)).all():
        raise StructureError(f"atom {int(np.argmax((numbers < 1) | (numbers > 118)))} is no element")
    positions = np.asarray(atoms.positions, dtype=np.float64)
    check_coordinates(numbers, positions)
    charge = total_charge(atoms)
    numbers = numbers.astype(np.uint8)
    bonds = perceive_bonds(numbers, positions)
    coordinates = positions[None].copy()  # the caller may move the atoms
    key = _digest(f"charge {charge}", numbers, bonds, coordinates)
    return Molecule(numbers, charge, bonds, None, coordinates, None, key)


# --- files -----------------------------------------------------------------------------------------------


def _from_file(path: str, standardise: str | None) -> Molecule:
    try:
        records = list(islice(read_records(path), 2))
    except (OSError, ValueError, ImportError) as error:  # ValueError: a null character in the name, as well
        reason = error.strerror if isinstance(error, OSError) else error
        raise StructureError(f"cannot read {shorten(path, 100)}: {reason}") from error
    if len(records) != 1:
        how_many = "no record" if not records else "more than one record"
        raise StructureError(f"{path} holds {how_many}; a file stands for one molecule here")
    return read_molecule(records[0].structure, standardise)


def _check_size(count: int) -> None:
    if count == 0:
        raise StructureError("no atoms")
    if count > MAX_ATOMS:
        raise StructureError(f"{count} atoms; at most {MAX_ATOMS} are supported")


def _digest(text: str, *arrays: NDArray[Any] | None) -> str:
    digest = hashlib.sha256(text.encode())
    for array in arrays:
        if array is not None:
            digest.update(f"|{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()
