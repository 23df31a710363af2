"""Whatever holds many molecules, as one stream of single inputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem

from skmol3d.structures.errors import StructureError, rdkit_errors
from skmol3d.structures.molecule import FILE_SUFFIXES, is_atoms, is_structure_path


def iter_inputs(X: Any) -> Iterator[object]:
    """Iterate over the single inputs in `X`, lazily and in order.

    Parameters
    ----------
    X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path
        Any index is fine; DataFrames may be pandas or polars. A path to a .sdf, .mol or .xyz file gives
        its records; a record that cannot be read comes out as a `StructureError` (not raised), so that
        the others keep their places.

    Yields
    ------
    object
        Something for `read_molecule`.

    Raises
    ------
    TypeError
        For a single molecule instead of a collection, several columns, or an unordered collection.
    OSError
        If the file cannot be opened.
    """
    if isinstance(X, os.PathLike) or (isinstance(X, str) and is_structure_path(X)):
        return read_records(Path(os.fspath(X)))
    if isinstance(X, str):
        raise TypeError(f"got the single string {X[:40]!r}; pass a list, e.g. [{X[:40]!r}]")
    if isinstance(X, Chem.Mol) or is_atoms(X):
        raise TypeError(f"got a single {type(X).__name__}; pass a list of them")
    if hasattr(X, "columns") and hasattr(X, "shape"):
        if X.shape[1] != 1:
            raise TypeError(f"got a table with {X.shape[1]} columns; pass the one that holds the structures")
        return iter(X.iloc[:, 0] if hasattr(X, "iloc") else X.to_series(0))
    if isinstance(X, np.ndarray):
        if X.ndim != 1 and not (X.ndim == 2 and X.shape[1] == 1):
            raise TypeError(f"got an array of shape {X.shape}; expected [n] or [n, 1]")
        return iter(X.ravel())
    if isinstance(X, bytes | Mapping | Set) or not isinstance(X, Iterable):
        raise TypeError(f"got a {type(X).__name__}; pass a list, array, Series or generator of structures")
    return iter(X)


def read_records(path: Path) -> Iterator[object]:
    """Yield the records of a .sdf, .mol or .xyz file: molecules, atoms, or a `StructureError` each."""
    suffix = path.suffix.lower()
    if suffix not in FILE_SUFFIXES:
        raise StructureError(f"{path}: unknown file type; expected {', '.join(FILE_SUFFIXES)}")
    path.open("rb").close()  # now, not when the first record is asked for
    return _xyz_records(path) if suffix == ".xyz" else _sdf_records(path)


def _sdf_records(path: Path) -> Iterator[object]:
    # Record by record rather than with SDMolSupplier, which gives None without the reason.
    block: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in chain(file, ["$$$$"]):
            if line.rstrip() != "$$$$":
                block.append(line)
            elif any(text.strip() for text in block):
                yield _mol_block("".join(block), path)
                block = []


def _mol_block(block: str, path: Path) -> object:
    with rdkit_errors() as messages:
        mol = Chem.MolFromMolBlock(block, removeHs=False)
    if mol is None:
        reason = messages[0] if messages else "RDKit gives no reason"
        return StructureError(f"not a valid record in {path.name}: {reason}")
    return mol


def _xyz_records(path: Path) -> Iterator[object]:
    import ase.io
    from ase.io.extxyz import XYZError

    try:
        yield from ase.io.iread(path, index=":", format="extxyz")
    except (ValueError, KeyError, IndexError, ase.io.ParseError, XYZError) as error:
        # What follows a broken frame cannot be found again: the frames have no separator.
        yield StructureError(f"not a valid XYZ frame in {path.name}: {type(error).__name__}: {error}")
