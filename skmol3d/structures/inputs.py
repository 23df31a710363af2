"""Whatever holds many molecules, as one stream of single inputs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Set
from itertools import count
from typing import Any

import numpy as np
from rdkit import Chem

from skmol3d.structures.errors import StructureError, rdkit_errors
from skmol3d.structures.molecule import is_atoms
from skmol3d.structures.reading import is_file_name, read_records

SUPPLIERS = (
    Chem.SDMolSupplier,
    Chem.ForwardSDMolSupplier,
    Chem.SmilesMolSupplier,
    Chem.TDTMolSupplier,
    Chem.MultithreadedSDMolSupplier,
    Chem.MultithreadedSmilesMolSupplier,
)
_END = object()


def iter_inputs(X: Any) -> Iterator[object]:
    """Iterate over the single inputs in `X`, lazily and in order.

    Parameters
    ----------
    X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path
        Any index is fine; DataFrames may be pandas, polars or Arrow. A path gives the records of a file, see
        `skmol3d.structures.reading`; a record that cannot be read comes out as a `StructureError` (not
        raised), so that the others keep their places. RDKit's suppliers are read once, to their end.

    Yields
    ------
    object
        Something for `read_molecule`.

    Raises
    ------
    TypeError
        For a single molecule instead of a collection, several columns, or an unordered collection.
    OSError, ValueError
        If the file cannot be opened, or is of another type.
    """
    if isinstance(X, os.PathLike) or (isinstance(X, str) and is_file_name(X)):
        return (record.structure for record in read_records(X))
    if isinstance(X, str):
        raise TypeError(f"got the single string {X[:40]!r}; pass a list, e.g. [{X[:40]!r}]")
    if isinstance(X, Chem.Mol) or is_atoms(X):
        raise TypeError(f"got a single {type(X).__name__}; pass a list of them")
    if hasattr(X, "columns") and hasattr(X, "shape"):
        if X.shape[1] != 1:
            raise TypeError(f"got a table with {X.shape[1]} columns; pass the one that holds the structures")
        if hasattr(X, "iloc"):
            return iter(X.iloc[:, 0])
        X = X.to_series(0) if hasattr(X, "to_series") else X.column(0)
    if hasattr(X, "to_pylist"):  # Arrow's own iterator gives scalars of its own
        return iter(X.to_pylist())
    if isinstance(X, np.ndarray):
        if X.ndim != 1 and not (X.ndim == 2 and X.shape[1] == 1):
            raise TypeError(f"got an array of shape {X.shape}; expected [n] or [n, 1]")
        return iter(X.ravel())
    if isinstance(X, bytes | Mapping | Set) or not isinstance(X, Iterable):
        raise TypeError(f"got a {type(X).__name__}; pass a list, array, Series or generator of structures")
    if isinstance(X, SUPPLIERS):
        return _supplied(X)
    return iter(X)


def _supplied(supplier: Any) -> Iterator[object]:
    # Not the supplier's own iterator: at its end it begins again, and a bad last record it leaves out.
    indexed, ahead = hasattr(supplier, "__len__"), iter(supplier)
    for i in range(len(supplier)) if indexed else count():
        with rdkit_errors() as messages:
            mol = supplier[i] if indexed else next(ahead, _END)
        if mol is _END:
            return
        reason = messages[0] if messages else "RDKit gives no reason"
        yield StructureError(f"record {i} of the supplier: {reason}") if mol is None else mol
