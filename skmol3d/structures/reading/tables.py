"""Lists of SMILES, delimited text and Parquet."""

from __future__ import annotations

import csv
import gzip
import shutil
import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Any, BinaryIO, cast

from skmol3d.files import NEEDS_PYARROW
from skmol3d.structures.errors import StructureError
from skmol3d.structures.reading.record import Lines, Record

ID_COLUMNS = ("id", "name")
"""Columns that name a record unless `id_column` says otherwise, in any case; the first that exists."""

SEPARATORS = (";", "\t", ",")
ROWS = 1024  # of a Parquet file, decoded together


def read_smi(lines: Lines, start: int = 0) -> Iterator[Record]:
    """A SMILES per line, perhaps a CXSMILES extension between bars, perhaps a name; perhaps a header."""
    index = 0
    for line in lines:
        if 0 < index < start and not line.isspace():
            yield Record(index, lines.number, None, None)
            index += 1
            continue
        words = line.split(maxsplit=1)
        if not words or (index == 0 and words[0].lower() == "smiles"):  # RDKit writes such a header
            continue
        smiles, rest = words[0], words[1].strip() if len(words) > 1 else ""
        if rest.startswith("|") and "|" in rest[1:]:
            extension, rest = rest[: rest.index("|", 1) + 1], rest[rest.index("|", 1) + 1 :].strip()
            smiles = f"{smiles} {extension}"
        yield Record(index, lines.number, rest or None, smiles)
        index += 1


def read_table(
    lines: Lines, delimiter: str, smiles_column: str | None, id_column: str | None, start: int = 0
) -> Iterator[Record]:
    """A header, then a record per row; quoted fields may hold delimiters and line ends."""
    header = table_header(lines, delimiter)
    smiles, name = find_columns(header, smiles_column, id_column)
    index = 0
    while True:
        first = lines.number + 1
        taken: list[str] = []
        try:
            row = next(csv.reader(_remembered(lines, taken), delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            # A quotation mark that is never closed takes all that follows: it may spoil its own line alone.
            lines.put_back(taken[1:])
            yield Record(index, first, None, StructureError(f"not a valid row of a table: {error}"))
            index += 1
            continue
        if row is None:
            return
        if not row or (len(row) == 1 and row[0].isspace()):  # a blank line, as pandas has it
            continue
        if index < start:
            yield Record(index, first, None, None)
        elif any(row[len(header) :]):
            reason = f"{len(row)} fields, but the header has {len(header)}"
            yield Record(index, first, None, StructureError(reason))
        else:
            values = dict(zip(header, row, strict=False))  # a short row lacks what it lacks
            structure = values.pop(header[smiles], None)
            label = None if name is None else values.get(header[name], "")
            yield Record(index, first, label, structure, values)
        index += 1


def table_header(lines: Lines, delimiter: str) -> list[str]:
    """Names of the columns; ValueError if the first line gives none, or has other separators."""
    try:
        header = next(csv.reader(lines, delimiter=delimiter, strict=True), None)
    except csv.Error as error:
        raise ValueError(f"not a valid header of a table: {error}") from error
    if not header:
        raise ValueError(
            "is empty" if header is None else "the first line, which names the columns, is empty"
        )
    names = [name.strip() for name in header]
    others = [mark for mark in SEPARATORS if len(names) == 1 and mark != delimiter and mark in names[0]]
    if others:
        raise ValueError(f"columns are separated by {others[0]!r}, expected {delimiter!r}")
    return names


def _remembered(lines: Lines, taken: list[str]) -> Iterator[str]:
    for line in lines:
        taken.append(line)
        yield line


def find_columns(
    header: Sequence[str], smiles_column: str | None, id_column: str | None
) -> tuple[int, int | None]:
    """Find the columns of the structures and of the names.

    A name that was asked for may differ in case, if no column has it exactly. Without one, the structures
    are in the column called SMILES in any case, or else in the only one whose name contains it; the names
    in one of `ID_COLUMNS`.

    Raises
    ------
    ValueError
        If a column is missing, ambiguous or repeated; lists the columns there are.
    """
    repeated = [name for name, count in Counter(header).items() if count > 1 and name]
    if repeated:
        raise ValueError(f"more than one column is called {', '.join(map(repr, repeated))}")
    if smiles_column is not None:
        smiles = _named(header, smiles_column)
    else:
        lower = [name.lower() for name in header]
        found = [i for i, name in enumerate(lower) if name == "smiles"]
        found = found or [i for i, name in enumerate(lower) if "smiles" in name]
        if len(found) != 1:
            what = "several columns" if found else "no column"
            raise ValueError(
                f"{what} of SMILES; name one (smiles_column, --smiles-column) of: {_listed(header)}"
            )
        smiles = found[0]
    if id_column is not None:
        if (name := _named(header, id_column)) == smiles:
            raise ValueError(f"the column of the names, {id_column!r}, is that of the structures")
        return smiles, name
    for wanted in ID_COLUMNS:
        named = [i for i, name in enumerate(header) if name.lower() == wanted and i != smiles]
        if len(named) == 1:
            return smiles, named[0]
    return smiles, None


def _listed(header: Sequence[str]) -> str:
    return ", ".join(header[:20]) + (f" and {len(header) - 20} more" if len(header) > 20 else "")


def _named(header: Sequence[str], wanted: str) -> int:
    found = [i for i, name in enumerate(header) if name == wanted]
    found = found or [i for i, name in enumerate(header) if name.lower() == wanted.lower()]
    if len(found) != 1:
        what = "several columns" if found else "no column"
        raise ValueError(f"{what} {wanted!r}; there are: {_listed(header)}")
    return found[0]


@contextmanager
def parquet_file(stream: BinaryIO) -> Iterator[Any]:
    """A `pyarrow.parquet.ParquetFile` of a stream; ValueError if it is none. Needs the extra `parquet`."""
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise ImportError(NEEDS_PYARROW) from error

    with tempfile.TemporaryFile() as copy:
        if not stream.seekable() or isinstance(stream, gzip.GzipFile):  # which seeks from the start
            shutil.copyfileobj(stream, copy)
            stream = cast(BinaryIO, copy)
        try:
            yield ParquetFile(stream, buffer_size=2**20)  # or a row group would be read as a whole
        except ArrowException as error:
            raise ValueError(str(error)) from error


def read_parquet(
    stream: BinaryIO, smiles_column: str | None, id_column: str | None, start: int = 0
) -> Iterator[Record]:
    """A record per row, with the file's own types; row groups before `start` are passed over."""
    with parquet_file(stream) as file:
        header = file.schema_arrow.names
        smiles, name = find_columns(header, smiles_column, id_column)
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        ends = list(accumulate(sizes))
        groups = range(bisect_right(ends, start), len(ends))
        index = ends[groups.start - 1] if groups.start else 0
        for batch in file.iter_batches(ROWS, row_groups=groups):
            skipped = min(max(0, start - index), len(batch))
            for i, values in enumerate(batch.slice(skipped).to_pylist(), index + skipped):
                structure = values.pop(header[smiles])
                label = None if name is None else values.get(header[name])
                named = None if name is None else "" if label is None else str(label)
                yield Record(i, None, named, structure, values)
            index += len(batch)
