"""One molecule, whatever it came from: SMILES, InChI, RDKit, SDF/MOL/XYZ files, ASE."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase
from rdkit.Chem import rdDetermineBonds

MAX_ATOMS = 1000
"""Largest molecule accepted, hydrogens included: beyond it single RDKit steps take minutes."""

MIN_DISTANCE = 0.2
"""Two atoms closer than this (Å) are a mistake in the file, not a geometry."""

MAX_COORDINATE = 1e4  # Å; float32 still resolves 0.001 Å there
MAX_TEXT = 10 * MAX_ATOMS  # characters; RDKit's parsers need seconds for 20,000 open parentheses

FILE_SUFFIXES = (".sdf", ".mol", ".xyz")


class StructureError(ValueError):
    """A structure that cannot be used; the message is the reason alone."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that gave no row: its 0-based position, a short repr of it, and the reason."""

    index: int
    input: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Molecule:
    """One parsed input.

    Attributes
    ----------
    numbers : ndarray of uint8, shape [N]
        Atomic numbers, hydrogens included.
    charge : int
        Total formal charge, e.
    bonds : ndarray of int32, shape [M, 2], or None
        Each bond once; None only if the bonds of a bare geometry cannot be perceived.
    mol : rdkit.Chem.Mol or None
        Hydrogens explicit, atoms in canonical order; None for ASE and XYZ.
    coordinates : ndarray of float32, shape [C, N, 3], or None
        Å; only if the input brought a 3D geometry.
    smiles : str or None
        Canonical isomeric SMILES of what was kept (see `read_molecule` on salts).
    key : str
        SHA-256 hex digest; two inputs with the same key get the same row.
    """

    numbers: NDArray[np.uint8]
    charge: int
    bonds: NDArray[np.int32] | None
    mol: Chem.Mol | None
    coordinates: NDArray[np.float32] | None
    smiles: str | None
    key: str


def read_molecule(value: object) -> Molecule:
    """Parse one input into a `Molecule`.

    Without coordinates, everything about the result is a function of the canonical isomeric SMILES
    alone: atom order, key, and therefore the conformer. Several rules apply:

    - Salts and mixtures: the largest organic fragment is kept (one that contains carbon; most heavy
      atoms, then mass, then SMILES decide), or the largest fragment if none contains carbon. Formal
      charges stay as drawn. A bare geometry (XYZ, ASE) is kept whole.
    - 3D conformers of a `Mol` or a file are kept; missing hydrogens are added to them at RDKit's ideal
      positions. A 2D depiction counts as no coordinates.
    - Atom-map numbers are dropped, isotopes kept. Dummy atoms and periodic cells are refused.
    - An InChI gives RDKit's tautomer of it, which may not be the one that was drawn.

    Parameters
    ----------
    value : str, path, rdkit.Chem.Mol or ase.Atoms
        A SMILES, an InChI ("InChI=..."), a path to a .sdf, .mol or .xyz file with exactly one record,
        an RDKit molecule, or ASE atoms. The charge of ASE atoms and XYZ files is `info["charge"]`, or
        else the rounded sum of their initial charges.

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
        return _from_mol(value)
    if isinstance(value, os.PathLike) or (isinstance(value, str) and is_structure_path(value)):
        return _from_file(Path(os.fspath(value)))
    if isinstance(value, str):
        return _from_text(value.strip())
    if _is_atoms(value):
        return _from_atoms(value)
    is_nan = isinstance(value, float) and math.isnan(value)  # np.float64 is a float, too
    if value is None or is_nan or type(value).__name__ in {"NAType", "NaTType"}:
        raise StructureError("missing value")
    raise StructureError(
        f"cannot read a {type(value).__name__}; expected a SMILES or InChI string, an RDKit Mol, "
        f"ASE Atoms, or a path ending in {', '.join(FILE_SUFFIXES)}"
    )


def is_structure_path(text: str) -> bool:
    """Whether a string names a structure file (no SMILES or InChI ends like that)."""
    return text.lower().endswith(FILE_SUFFIXES)


def _is_atoms(value: object) -> bool:
    # By name, so that parsing SMILES does not import ASE.
    return any(c.__module__ == "ase.atoms" and c.__name__ == "Atoms" for c in type(value).__mro__)


# --- text ------------------------------------------------------------------------------------------------


@contextmanager
def _rdkit_errors() -> Iterator[list[str]]:
    """Collect RDKit's error messages within the block instead of printing them, and no warnings either.

    Outside the block the logs stay as the user set them. The list is filled when the block ends.
    """
    messages: list[str] = []
    with rdBase.BlockLogs(), rdBase.CaptureErrorLog() as capture:
        yield messages
    for line in capture.messages.splitlines():
        line = re.sub(r"^\[\d\d:\d\d:\d\d\]\s*", "", line).strip()
        line = re.sub(r"^(SMILES Parse )?(Error|ERROR):\s*| for input: .*$", "", line)
        if line.strip("~^ "):
            messages.append(line if len(line) <= 200 else line[:197] + "...")


def _from_text(text: str) -> Molecule:
    if not text:
        raise StructureError("empty string")
    if len(text) > MAX_TEXT:
        raise StructureError(f"{len(text)} characters; at most {MAX_TEXT} are supported")
    if not text.isascii():
        raise StructureError(f"characters that no SMILES or InChI has: {_short(text)}")
    if len(text.split()) > 1:
        raise StructureError(f"text after the structure: {_short(text.split(maxsplit=1)[1])}")
    inchi = text.startswith("InChI=")
    with _rdkit_errors() as messages:
        mol = Chem.MolFromInchi(text) if inchi else Chem.MolFromSmiles(text)
    if mol is None:
        what = "InChI" if inchi else "SMILES"
        raise StructureError(f"not a valid {what}: {messages[0] if messages else 'RDKit gives no reason'}")
    return _from_mol(mol)


def _short(text: str, length: int = 40) -> str:
    return repr(text if len(text) <= length else text[: length - 3] + "...")


# --- RDKit -----------------------------------------------------------------------------------------------


def _from_mol(mol: Chem.Mol) -> Molecule:
    _check_size(mol.GetNumAtoms())
    mol = Chem.Mol(mol)  # the caller's stays as it is
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
        if atom.GetAtomicNum() == 0:
            raise StructureError(f"atom {atom.GetIdx()} is a placeholder (* or R group), not an element")
    try:
        with _rdkit_errors():
            Chem.SanitizeMol(mol)
            return _from_sanitized(mol)
    except (Chem.MolSanitizeException, RuntimeError) as error:
        lines = str(error).strip().splitlines()
        raise StructureError(f"not a valid molecule: {lines[0] if lines else error!r}") from error


def _from_sanitized(mol: Chem.Mol) -> Molecule:
    for conformer in list(mol.GetConformers()):
        # A 2D depiction has z = 0 everywhere and says so; a planar molecule in 3D does not say so.
        if not conformer.Is3D() and not np.any(conformer.GetPositions()[:, 2]):
            mol.RemoveConformer(conformer.GetId())
    mol = _largest_fragment(mol)
    return _with_coordinates(mol) if mol.GetNumConformers() else _without_coordinates(mol)


def _largest_fragment(mol: Chem.Mol) -> Chem.Mol:
    fragments = Chem.GetMolFrags(mol, asMols=True)
    if len(fragments) == 1:
        return mol

    def rank(fragment: Chem.Mol) -> tuple[bool, int, float, str]:
        elements = [atom.GetAtomicNum() for atom in fragment.GetAtoms()]
        mass = sum(atom.GetMass() + 1.008 * atom.GetTotalNumHs() for atom in fragment.GetAtoms())
        return 6 in elements, sum(z > 1 for z in elements), round(mass, 3), Chem.MolToSmiles(fragment)

    return max(fragments, key=rank)


def canonical_smiles(mol: Chem.Mol) -> str:
    """Canonical isomeric SMILES that parses back to itself.

    RDKit's canonical SMILES is not always a fixed point (symmetry, stereo marks that turn out to be
    redundant), and a seed must not depend on which of two spellings came in.
    """
    mol = Chem.RemoveHs(mol)  # a copy
    seen: list[str] = []
    smiles = Chem.MolToSmiles(mol)
    while smiles not in seen:
        seen.append(smiles)
        mol = Chem.MolFromSmiles(smiles)
        if mol is None:
            raise StructureError(f"RDKit cannot read back its own SMILES {_short(smiles)}")
        smiles = Chem.MolToSmiles(mol)
    return min(seen[seen.index(smiles) :])


def _without_coordinates(mol: Chem.Mol) -> Molecule:
    smiles = canonical_smiles(mol)
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    _check_size(mol.GetNumAtoms())
    return _build(mol, None, smiles, _digest(smiles))


def _with_coordinates(mol: Chem.Mol) -> Molecule:
    mol = Chem.AddHs(mol, addCoords=True)
    _check_size(mol.GetNumAtoms())
    for conformer in mol.GetConformers():
        check_coordinates(_numbers(mol), conformer.GetPositions())
    # The geometry decides, not the marks that the file may or may not carry.
    Chem.AssignStereochemistryFrom3D(mol, mol.GetConformers()[0].GetId())
    smiles = canonical_smiles(mol)
    order = np.argsort(Chem.CanonicalRankAtoms(mol, breakTies=True))
    mol = Chem.RenumberAtoms(mol, order.tolist())
    coordinates = np.stack([c.GetPositions() for c in mol.GetConformers()]).astype(np.float32)
    mol.RemoveAllConformers()
    return _build(mol, coordinates, smiles, _digest(smiles, _numbers(mol), _bonds(mol), coordinates))


def _build(mol: Chem.Mol, coordinates: NDArray[np.float32] | None, smiles: str, key: str) -> Molecule:
    charge = Chem.GetFormalCharge(mol)
    return Molecule(_numbers(mol), charge, _bonds(mol), mol, coordinates, smiles, key)


def _numbers(mol: Chem.Mol) -> NDArray[np.uint8]:
    return np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()], dtype=np.uint8)


def _bonds(mol: Chem.Mol) -> NDArray[np.int32]:
    pairs = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    return np.array(pairs, dtype=np.int32).reshape(-1, 2)


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
    charge = atoms.info.get("charge")
    if charge is None:
        charge = atoms.get_initial_charges().sum()
    try:
        charge = round(float(charge))
    except (TypeError, ValueError, OverflowError) as error:
        raise StructureError(f"the charge is not a number: {charge!r}") from error
    numbers = numbers.astype(np.uint8)
    bonds = _perceive_bonds(numbers, positions)
    coordinates = positions.astype(np.float32)[None]
    key = _digest(f"charge {charge}", numbers, bonds, coordinates)
    return Molecule(numbers, charge, bonds, None, coordinates, None, key)


def _perceive_bonds(numbers: NDArray[np.uint8], positions: NDArray[np.float64]) -> NDArray[np.int32] | None:
    mol = Chem.RWMol()
    conformer = Chem.Conformer(len(numbers))
    for i, (number, position) in enumerate(zip(numbers.tolist(), positions.tolist(), strict=True)):
        atom = Chem.Atom(number)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
        conformer.SetAtomPosition(i, position)
    mol.AddConformer(conformer)
    try:
        with _rdkit_errors():
            rdDetermineBonds.DetermineConnectivity(mol)
    except (ValueError, RuntimeError):
        return None
    return _bonds(mol)


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


# --- files -----------------------------------------------------------------------------------------------


def _from_file(path: Path) -> Molecule:
    from skmol3d.structures.inputs import read_records  # stands above: it yields what this module reads

    try:
        records = list(islice(read_records(path), 2))
    except StructureError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = error.strerror if isinstance(error, OSError) else error
        raise StructureError(f"cannot read {_short(str(path), 100)}: {reason}") from error
    if len(records) != 1:
        how_many = "no record" if not records else "more than one record"
        raise StructureError(f"{path} holds {how_many}; a file stands for one molecule here")
    return read_molecule(records[0])


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
