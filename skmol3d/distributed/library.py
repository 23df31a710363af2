"""What there is to work on: files or a Dask DataFrame, in partitions that are read by themselves."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from skmol3d.files import file_hash
from skmol3d.structures import Record, read_records
from skmol3d.structures.reading import TABLES, count_records, file_format, is_file_name, read_schema
from skmol3d.structures.reading.tables import ROWS, find_columns

FIRST = 1024
"""Records of each SD file in which properties are looked for."""
NAMELESS = re.compile("__null_dask_index__|__index_level_[0-9]+__")
"""How Dask and pandas store an index that has no name."""


@dataclass(frozen=True)
class Columns:
    """What stands beside the results: all columns of a table; of other files ids, SMILES and properties.

    Attributes
    ----------
    schema : pyarrow.Schema
        Their names and types.
    smiles : str or None
        The one of the texts that stand for molecules, if there are any.
    id : str or None
        The one of the names, if there is one; of files other than tables it is "id".
    table : bool
        They are those of a table.
    """

    schema: pa.Schema
    smiles: str | None
    id: str | None
    table: bool

    def arrays(self, records: Sequence[Record], first: int | None) -> list[pa.Array]:
        """Values of records, of which the first has the number `first` in the library, if that is known."""
        rows = [dict(record.columns) for record in records]
        for i, (row, record) in enumerate(zip(rows, records, strict=True)):
            if self.smiles is not None:
                row[self.smiles] = record.structure if isinstance(record.structure, str) else None
            if not self.table:
                row["id"] = record.name or str((first or 0) + i)
        return [_array([row.get(field.name) for row in rows], field) for field in self.schema]


def _array(values: list[Any], field: pa.Field) -> pa.Array:
    if pa.types.is_string(field.type):
        values = [value if value is None else str(value) for value in values]
    try:
        return pa.array(values, field.type)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise ValueError(f"column {field.name!r} is not {field.type} everywhere: {error}") from error


@dataclass(frozen=True)
class FilePartition:
    """Records of a file; `first` is the number in the library of the first of them."""

    path: str
    start: int
    count: int
    first: int
    smiles_column: str | None
    id_column: str | None

    def records(self) -> Iterator[Record]:
        """Read them."""
        every = read_records(
            self.path, smiles_column=self.smiles_column, id_column=self.id_column, start=self.start
        )
        return islice(every, self.count)


def frame_records(frame: Any, columns: Columns) -> Iterator[Record]:
    """Records of a pandas DataFrame, which a partition of a Dask DataFrame is."""
    table = pa.Table.from_pandas(_with_index(frame), preserve_index=False)
    batches = table.to_batches(max_chunksize=ROWS)
    rows = (values for batch in batches for values in batch.to_pylist())
    for index, values in enumerate(rows):
        structure = values.pop(columns.smiles)
        name = None if columns.id is None else values.get(columns.id)
        yield Record(index, None, None if name is None else str(name), structure, values)


def _with_index(frame: Any) -> Any:
    """An index with a name is a column like others, perhaps that of the ids."""
    return frame if frame.index.name is None else frame.reset_index()


class Files:
    """Files of one format, cut into partitions of at most `size` records.

    Parameters
    ----------
    paths : sequence of path
        Of which each begins partitions of its own.
    columns : Columns
        What of them is kept.
    smiles_column, id_column : str or None
        As in `read_records`.
    size : int
        Records of a partition.
    counted : mapping of str to int
        Numbers of records by the hash of the file, as far as they are known.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        columns: Columns,
        smiles_column: str | None,
        id_column: str | None,
        size: int,
        counted: Mapping[str, int],
    ) -> None:
        self.columns = columns
        self.paths = paths
        self.hashes = [file_hash(path) for path in paths]
        self.counts = [
            counted[hash] if hash in counted else count_records(path, smiles_column)
            for path, hash in zip(paths, self.hashes, strict=True)
        ]
        self.identity = {
            "input": [[path.name, hash] for path, hash in zip(paths, self.hashes, strict=True)],
            "smiles_column": smiles_column,
            "id_column": id_column,
            "columns": str(columns.schema),
            "partition_size": size,
        }
        firsts = [0, *accumulate(self.counts)]
        self._partitions = [
            FilePartition(
                str(path.resolve()), start, min(size, count - start), first + start, smiles_column, id_column
            )
            for path, count, first in zip(paths, self.counts, firsts, strict=False)
            for start in range(0, count, size)
        ]

    @cached_property
    def counted(self) -> dict[str, int]:
        """Numbers of records by the hash of the file."""
        return dict(zip(self.hashes, self.counts, strict=True))

    @property
    def molecules(self) -> int:
        """Number of all records."""
        return sum(self.counts)

    def __len__(self) -> int:
        return len(self._partitions)

    def source(self, number: int) -> FilePartition:
        """What a worker reads."""
        return self._partitions[number]

    def size(self, number: int) -> int:
        """Records of a partition."""
        return self._partitions[number].count


class Frame:
    """A Dask DataFrame, with the partitions that it has."""

    molecules = None
    paths: Sequence[Path] = ()
    counted: Mapping[str, int] = {}

    def __init__(self, frame: Any, columns: Columns) -> None:
        from dask.base import tokenize

        self.columns = columns
        self._frame = frame
        self.identity = {  # by Dask: of the plan, and of files only where a reader of its own looks at them
            "input": tokenize(frame),
            "smiles_column": columns.smiles,
            "id_column": columns.id,
            "columns": str(columns.schema),
        }

    def __len__(self) -> int:
        return int(self._frame.npartitions)

    def source(self, number: int) -> Any:
        """What a worker computes: a pandas DataFrame."""
        return self._frame.partitions[number].to_delayed()[0]

    def size(self, number: int) -> int:
        """Of unknown size: partitions are counted instead."""
        return 1


def open_library(
    library: Any,
    smiles_column: str | None = None,
    id_column: str | None = None,
    keep: Sequence[str] | None = None,
    size: int = 4096,
    counted: Mapping[str, int] | None = None,
) -> Files | Frame:
    """Find out what a library is made of.

    Parameters
    ----------
    library : Dask DataFrame, path, glob pattern or folder; or list of paths
        Files are of one format that `read_records` knows.
    smiles_column, id_column : str, optional
        As in `read_records`.
    keep : sequence of str, optional
        Columns or SD properties to keep beside ids and SMILES; by default all.
    size : int, default=4096
        Records of a partition of files.
    counted : mapping of str to int, optional
        Numbers of records of files, by hash, where they were counted before.

    Returns
    -------
    Files or Frame

    Raises
    ------
    OSError, ValueError
        If there is nothing, files are of several formats or have other columns, or a column is missing.
    """
    if hasattr(library, "npartitions") and hasattr(library, "partitions"):
        schema = pa.Schema.from_pandas(_with_index(library._meta), preserve_index=False)
        return Frame(library, _table_columns(schema, smiles_column, id_column, keep))
    paths = find_files(library)
    formats = sorted({file_format(path) for path in paths})
    if len(formats) > 1:
        raise ValueError(f"{library}: files of several formats ({', '.join(formats)}); name those of one")
    if formats[0] not in TABLES:
        for option, value in (("smiles_column", smiles_column), ("id_column", id_column)):
            if value:
                raise ValueError(
                    f"{option}: {formats[0]} has no columns; expected one of {', '.join(TABLES)}"
                )
        columns = _made_columns(paths, keep)
    else:
        schemas = [read_schema(path) for path in paths]
        for path, schema in zip(paths, schemas, strict=True):
            if not schema.equals(schemas[0]):
                raise ValueError(
                    f"{path}: columns other than those of {paths[0].name}: {_difference(schemas[0], schema)}"
                )
        columns = _table_columns(schemas[0], smiles_column, id_column, keep)
    return Files(paths, columns, smiles_column, id_column, size, counted or {})


def find_files(library: Any) -> list[Path]:
    """Files of a path, pattern, folder or list of paths, in the order of the numbers in their names.

    Raises
    ------
    OSError
        If there is none.
    """
    if not isinstance(library, str | os.PathLike):
        paths = [Path(path) for path in library]
    elif Path(library).is_dir():
        inside = sorted((p for p in Path(library).iterdir() if p.name[0] not in "._"), key=_natural)
        paths = [path for path in inside if is_file_name(path.name)]
        if paths and (others := [path.name for path in inside if path not in paths]):
            named = ", ".join(others[:5]) + (", ..." if len(others) > 5 else "")
            warnings.warn(f"{library}: passed over, of unknown types: {named}", UserWarning, stacklevel=3)
    elif Path(library).exists() or not glob.has_magic(os.fspath(library)):
        paths = [Path(library)]
    else:
        paths = sorted(map(Path, glob.glob(os.fspath(library))), key=_natural)
    if not paths:
        raise FileNotFoundError(f"{library}: there are no files of molecules")
    for path in paths:
        path.open("rb").close()
    return paths


def _natural(path: Path) -> list[Any]:
    words = re.split(r"(\d+)", str(path))
    return [int(word) if i % 2 else word for i, word in enumerate(words)]


def _difference(one: pa.Schema, other: pa.Schema) -> str:
    here = [f"{field.name} is {field.type}" for field in other if field not in list(one)]
    missing = [f"there is no {field.name}" for field in one if field.name not in other.names]
    return ", ".join([*here, *missing]) or "another order"


def _table_columns(
    schema: pa.Schema, smiles_column: str | None, id_column: str | None, keep: Sequence[str] | None
) -> Columns:
    smiles, place = find_columns(schema.names, smiles_column, id_column)
    text = schema.names[smiles]
    name = None if place is None else schema.names[place]
    if keep is not None:
        _check_known(keep, schema.names)
        schema = pa.schema([field for field in schema if field.name in (text, name, *keep)])
    # A column that is empty so far has no type yet.
    fields = [
        pa.field(f.name, pa.string() if pa.types.is_null(f.type) else f.type)
        for f in schema
        if f.name and not NAMELESS.fullmatch(f.name)
    ]
    return Columns(pa.schema(fields), text, name, True)


def _made_columns(paths: Sequence[Path], keep: Sequence[str] | None) -> Columns:
    known: dict[str, None] = {}
    for path in paths:
        for record in islice(read_records(path), FIRST):
            known |= dict.fromkeys(record.columns)
            own = record.columns.get("id")
            if keep is None and own is not None and str(own) != (record.name or ""):
                raise ValueError(
                    f"{path}: a property 'id' that is not the title, and would be lost; "
                    "say with keep which properties to keep"
                )
    text = file_format(paths[0]) == "smi"
    made = ["id", "smiles"] if text else ["id"]
    _check_known(keep or (), list(known))
    kept = [name for name in known if (keep is None or name in keep) and name not in made]
    return Columns(
        pa.schema([(name, pa.string()) for name in [*made, *kept]]), "smiles" if text else None, "id", False
    )


def _check_known(keep: Sequence[str], known: Sequence[str]) -> None:
    for name in keep:
        if name not in known:
            raise ValueError(f"keep: no column {name!r}; there are: {', '.join(known) or 'none'}")
