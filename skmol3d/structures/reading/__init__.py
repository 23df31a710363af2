"""One reader for every file of molecules: records one at a time, each good or with the reason why not.

=============  ==========================================================================================
Format         Records
=============  ==========================================================================================
smi            lines ``SMILES [|CXSMILES extension|] [name]``; a header that begins with SMILES is skipped
csv, tsv       rows below a header, separated by commas or tabs; quoted fields may hold both and line ends
parquet        rows (needs the extra `parquet`)
sdf, mol       MOL blocks, V2000 or V3000, with their properties
xyz, extxyz    frames, as ASE reads them
=============  ==========================================================================================

The suffix of a file says its format, in any case, with or without ``.gz``; its first two bytes say whether it
is compressed. Text is UTF-8, with or without a byte order mark; a line that is not is taken for Latin-1, so
that an Å in a property costs nobody a molecule. UTF-16 is refused. Memory does not grow with the file.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from skmol3d.structures.errors import StructureError
from skmol3d.structures.geometry import MAX_ATOMS
from skmol3d.structures.reading.record import Lines, Record
from skmol3d.structures.reading.sdf import read_sdf
from skmol3d.structures.reading.tables import (
    parquet_file,
    read_parquet,
    read_smi,
    read_table,
    table_header,
)
from skmol3d.structures.reading.xyz import read_xyz

if TYPE_CHECKING:
    import pyarrow

__all__ = [
    "FORMATS",
    "TABLES",
    "Record",
    "count_records",
    "file_format",
    "file_suffix",
    "is_file_name",
    "read_records",
    "read_schema",
]

FORMATS = ("smi", "csv", "tsv", "sdf", "mol", "xyz", "extxyz", "parquet")
TABLES = ("csv", "tsv", "parquet")
CRYSTALS = "crystals are read by CrystalFeaturizer, not by featurizers of molecules"


def file_format(path: str | os.PathLike[str]) -> str:
    """Say what a file holds by its suffix, one of `FORMATS`; ``.gz`` after it does not count.

    Raises
    ------
    ValueError
        For any other suffix.
    """
    suffix = file_suffix(path)
    if suffix in FORMATS:
        return suffix
    known = ", ".join(f".{name}" for name in FORMATS)
    hint = CRYSTALS if suffix == "cif" else f"expected {known}, also with .gz"
    raise ValueError(f"{os.fspath(path)}: unknown file type; {hint}")


def is_file_name(text: str) -> bool:
    """Whether a string names a file of structures, one of crystals included: no SMILES or InChI ends so."""
    return file_suffix(text) in (*FORMATS, "cif")


def file_suffix(path: str | os.PathLike[str]) -> str:
    """What a file holds by its name, in lower case and without the point: ``sdf`` of ``A.SDF.gz``."""
    name = os.fspath(path).lower().removesuffix(".gz")
    return name.rpartition(".")[2] if "." in name else ""


def read_records(
    source: str | os.PathLike[str] | BinaryIO,
    *,
    format: str | None = None,
    smiles_column: str | None = None,
    id_column: str | None = None,
    max_atoms: int = MAX_ATOMS,
    start: int = 0,
) -> Iterator[Record]:
    """Read the records of a file or stream, one at a time.

    Parameters
    ----------
    source : path or binary stream
        A stream, such as ``sys.stdin.buffer``, stays open.
    format : str, optional
        One of `FORMATS`; by default the suffix of the path.
    smiles_column : str, optional
        Column of a table with the SMILES (or InChI). By default the one called SMILES, in any case, or else
        the only one whose name contains it.
    id_column : str, optional
        Column of a table that names the record. By default ``id`` or else ``name``, in any case, if there is
        one.
    max_atoms : int, default=1000
        A frame of an XYZ file that announces more is refused unread.
    start : int, default=0
        Leave out so many records; but for XYZ, they are not parsed.

    Yields
    ------
    Record
        In the order of the file. A record that cannot be read has a `StructureError` for its structure, which
        says where it stands and why; the others follow. The first one is read at once, so that what is wrong
        with the file is said by this call.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If the format is unknown, the text is UTF-16, or a column is missing, ambiguous or repeated.
    ImportError
        For Parquet without pyarrow.
    """
    if isinstance(source, str | os.PathLike):
        label = os.fspath(source)
        format = format or file_format(source)
    else:
        label = str(getattr(source, "name", "stream"))
        if format is None:
            raise ValueError(f"{label}: a stream needs a format: {', '.join(FORMATS)}")
    if format not in FORMATS:
        raise ValueError(f"unknown format {format!r}; expected {', '.join(FORMATS)}")
    every = _located(source, label, format, smiles_column, id_column, max_atoms, start)
    records = (record for record in every if record.index >= start)
    first = next(records, None)
    return iter(()) if first is None else chain([first], records)


def _located(
    source: str | os.PathLike[str] | BinaryIO,
    label: str,
    format: str,
    smiles_column: str | None,
    id_column: str | None,
    max_atoms: int,
    start: int,
) -> Iterator[Record]:
    """Records whose errors say where they stand; a file that breaks off gives one more.

    Those before `start` are empty.
    """
    index = 0
    with _opened(source) as stream:
        try:
            for record in _parsed(stream, format, smiles_column, id_column, max_atoms, start):
                index = record.index + 1
                if isinstance(record.structure, StructureError):
                    place = f"row {record.index}" if record.line is None else f"line {record.line}"
                    error = StructureError(f"{Path(label).name}, {place}: {record.structure}")
                    record = replace(record, structure=error)
                yield record
        except (OSError, EOFError, zlib.error, ValueError) as error:
            reason = " ".join(str(error).split())[:400]
            if index == 0:
                # Nothing was read: the file as a whole is at fault, or what was asked of it.
                raise ValueError(f"{label}: {reason}") from error
            reason = f"{Path(label).name}, after record {index - 1}: cannot be read further: {reason}"
            yield Record(index, None, None, StructureError(reason))


@contextmanager
def _opened(source: str | os.PathLike[str] | BinaryIO) -> Iterator[BinaryIO]:
    """The unpacked bytes of a file or stream."""
    with ExitStack() as stack:
        if isinstance(source, str | os.PathLike):
            stream = stack.enter_context(open(source, "rb"))
        else:
            stream = io.BufferedReader(cast(Any, source))
            stack.callback(stream.detach)  # or the caller's stream would be closed with this one
        packed = stream.peek(2)[:2] == b"\x1f\x8b"
        yield cast(BinaryIO, gzip.GzipFile(fileobj=stream) if packed else stream)


def _parsed(
    stream: BinaryIO,
    format: str,
    smiles_column: str | None,
    id_column: str | None,
    max_atoms: int,
    start: int,
) -> Iterator[Record]:
    if format == "parquet":
        return read_parquet(stream, smiles_column, id_column, start)
    lines = _lines(stream)
    if format in ("csv", "tsv"):
        return read_table(lines, _delimiter(format), smiles_column, id_column, start)
    if format in ("xyz", "extxyz"):
        return read_xyz(lines, max_atoms)
    return read_smi(lines, start) if format == "smi" else read_sdf(lines, start)


def _lines(stream: BinaryIO) -> Lines:
    head = cast(Any, stream).peek(64)[:64]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        raise ValueError("UTF-16 or binary data, not UTF-8 text")
    return Lines(stream)


def _delimiter(format: str) -> str:
    return "\t" if format == "tsv" else ","


def count_records(path: str | os.PathLike[str], smiles_column: str | None = None) -> int:
    """How many records `read_records` gives of a file; Parquet says so, others are read without parsing.

    Parameters
    ----------
    path : path
        Of one of `FORMATS`.
    smiles_column : str, optional
        As in `read_records`.

    Returns
    -------
    int

    Raises
    ------
    OSError, ValueError, ImportError
        As `read_records`.
    """
    format = file_format(path)
    if format == "parquet":
        with _opened(path) as stream, parquet_file(stream) as file:
            return int(file.metadata.num_rows)
    every = _located(path, os.fspath(path), format, smiles_column, None, MAX_ATOMS, sys.maxsize)
    return sum(1 for _ in every)


def read_schema(path: str | os.PathLike[str]) -> pyarrow.Schema:
    """Columns of a table, one of `TABLES`, with their types; those of CSV are text. Needs pyarrow.

    Raises
    ------
    OSError, ValueError, ImportError
        As `read_records`.
    """
    import pyarrow

    format = file_format(path)
    with _opened(path) as stream:
        try:
            if format == "parquet":
                with parquet_file(stream) as file:
                    return file.schema_arrow.remove_metadata()
            header = table_header(_lines(stream), _delimiter(format))
            return pyarrow.schema([(name, pyarrow.string()) for name in header])
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error
