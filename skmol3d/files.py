"""Molecules out of files and rows into files, one after the other: memory stays flat."""

import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

INPUTS = (".csv", ".tsv", ".smi", ".sdf")
PACKED = (".csv", ".tsv", ".smi")  # may be compressed by gzip
OUTPUTS = (".npy", ".csv")


def read_inputs(path: Path, column: str = "smiles") -> Iterator[object]:
    """Molecules of a file, lazily; the file is opened, and a table's header checked, before the first.

    Parameters
    ----------
    path : path
        ``.csv`` or ``.tsv`` with a header, or ``.smi`` (first word of each line), these also with ``.gz`` at
        the end; or ``.sdf``.
    column : str
        Column of the table with the SMILES.

    Yields
    ------
    object
        Something for `skmol3d.structures.read_molecule`.

    Raises
    ------
    ValueError
        For another type of file, or a missing column.
    OSError
        If the file cannot be opened.
    """
    if path.suffix == ".sdf":
        from skmol3d.structures import iter_inputs

        return iter_inputs(path)
    if file_type(path) not in INPUTS:
        raise ValueError(f"{path}: unknown input type; expected {', '.join(INPUTS)}")
    if file_type(path) == ".smi":
        path.open("rb").close()
        return _smi_lines(path)
    with _text(path) as file:
        header = next(csv.reader(file, delimiter=_delimiter(path)), [])
    if column not in header:
        raise ValueError(f"{path}: no column {column!r}; there are: {', '.join(header)}")
    return _table_column(path, header.index(column))


def file_type(path: Path) -> str:
    """The suffix that tells what is in a file: ``.csv`` of ``a.csv.gz``, but not ``.sdf`` of ``a.sdf.gz``."""
    inner = Path(path.stem).suffix
    return inner if path.suffix == ".gz" and inner in PACKED else path.suffix


def _text(path: Path) -> TextIO:
    opened = gzip.open if path.suffix == ".gz" else open
    return opened(path, "rt", newline="", encoding="utf-8-sig")


def _delimiter(path: Path) -> str:
    return "\t" if file_type(path) == ".tsv" else ","


def _smi_lines(path: Path) -> Iterator[str]:
    with _text(path) as file:
        for line in file:
            yield (line.split(maxsplit=1) or [""])[0]


def _table_column(path: Path, column: int) -> Iterator[str | None]:
    with _text(path) as file:
        reader = csv.reader(file, delimiter=_delimiter(path))
        next(reader)
        for row in reader:
            if row:  # a blank line is no record; a short one is a record that lacks its molecule
                yield row[column] if column < len(row) else None


class NpyWriter:
    """Appends float32 rows to a .npy file whose length is known only at the end."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.width, self.count = len(names), 0
        self.file = path.open("w+b")
        self._header()

    def append(self, inputs: list[object], rows: Any) -> None:
        """Append a chunk; `inputs` leave no trace in this format."""
        self.file.write(rows.astype("<f4").tobytes())
        self.count += len(rows)

    def close(self) -> None:
        """Write the length into the header."""
        self.file.seek(0)
        self._header()
        self.file.close()

    def _header(self) -> None:
        from numpy.lib import format as npy

        # NumPy pads the header so that the first axis can grow in place.
        shape = (self.count, self.width)
        npy.write_array_header_1_0(self.file, {"descr": "<f4", "fortran_order": False, "shape": shape})


class CsvWriter:
    """Appends rows to a table: the input (its number, where it is not text), then the features."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.count = 0
        self.file = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)
        self.writer.writerow(["molecule", *names])

    def append(self, inputs: list[object], rows: Any) -> None:
        """Append a chunk."""
        for value, row in zip(inputs, rows, strict=True):
            label = value if isinstance(value, str) else self.count
            self.writer.writerow([label, *(f"{number:.7g}" for number in row)])
            self.count += 1

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def write_rows(featurizer: Any, inputs: Iterator[object], path: Path) -> int:
    """Featurize a stream into a file, which appears only when complete.

    Parameters
    ----------
    featurizer : MoleculeFeaturizer
        Its `failures_` are complete afterwards.
    inputs : iterator
        Molecules.
    path : path
        ``.npy`` or ``.csv``.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ValueError
        For another type of file.
    skmol3d.featurizers.FeaturizationError
        If molecules failed and the featurizer has ``errors="raise"``.
    """
    if path.suffix not in OUTPUTS:
        raise ValueError(f"{path}: unknown output type; expected {', '.join(OUTPUTS)}")
    seen: list[object] = []

    def remember() -> Iterator[object]:
        for value in inputs:
            seen.append(value)
            yield value

    chunks = featurizer.iter_transform(remember())
    partial = path.with_name(path.name + ".partial")
    family = NpyWriter if path.suffix == ".npy" else CsvWriter
    writer = family(partial, featurizer.get_feature_names_out())
    try:
        count = 0
        for rows in chunks:
            writer.append(seen[: len(rows)], rows)
            del seen[: len(rows)]
            count += len(rows)
        writer.close()
        partial.replace(path)
        return count
    finally:
        writer.file.close()
        partial.unlink(missing_ok=True)
