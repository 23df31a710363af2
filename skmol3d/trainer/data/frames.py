"""Records of XYZ and SD files, packed with gzip or not, with everything they carry."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from skmol3d.structures import StructureError
from skmol3d.structures.errors import rdkit_errors


def iter_frames(path: Path) -> Iterator[Any]:
    """Yield the frames of an XYZ file as `ase.Atoms`; a broken one is a `StructureError` and the last."""
    import ase.io
    from ase.io.extxyz import XYZError

    path.open("rb").close()
    try:
        # ASE goes back and forth in the file, which gzip can do only from the start: 30 ms a frame.
        zipped = path.suffix == ".gz"
        text = io.StringIO(gzip.decompress(path.read_bytes()).decode()) if zipped else path
        yield from ase.io.iread(text, index=":", format="extxyz")
    except (ValueError, KeyError, IndexError, OSError, EOFError, ase.io.ParseError, XYZError) as error:
        # What follows a broken frame cannot be found again: the frames have no separator.
        yield StructureError(f"not a valid XYZ frame: {type(error).__name__}: {error}")


def iter_sdf(path: Path) -> Iterator[Any]:
    """Yield the records of an SD file as `Chem.Mol` with their properties, or as a `StructureError` each."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        block: list[str] = []
        for line in chain(file, ["$$$$"]):
            if line.rstrip() != "$$$$":
                block.append(line)
            elif any(text.strip() for text in block):
                yield _record("".join(block))
                block = []


def _record(block: str) -> Any:
    from rdkit import Chem

    supplier = Chem.SDMolSupplier()
    with rdkit_errors() as messages:
        supplier.SetData(block, removeHs=False)
        mol = next(supplier, None)
    if mol is None:
        return StructureError(f"not a valid record: {messages[0] if messages else 'RDKit gives no reason'}")
    return mol
