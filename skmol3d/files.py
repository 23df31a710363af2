"""Rows into files that appear only when they are complete, and what is done when a run is stopped.

While a run is under way its finished chunks lie beside its output, in ``OUTPUT.unfinished``: ``rows.npy`` has
the numbers, and ``journal.jsonl`` a line per chunk with all else. A line is written after its rows, so that
only what has a line counts, whenever the process was killed.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO, Self, TextIO
from uuid import uuid4

import numpy as np
from filelock import FileLock, Timeout
from numpy.lib import format as npy
from numpy.typing import NDArray

OUTPUTS = (".npy", ".csv", ".csv.gz", ".parquet")
NEEDS_PYARROW = "Parquet files need pyarrow: pip install 'skmol3d[parquet]'"

Rows = NDArray[np.float32]
Labels = list[list[Any]]
"""Of each row: what stands beside its features in a table."""


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_output(path: Path) -> None:
    """Raise ValueError for an unknown type of file, OSError or ImportError where none can be written."""
    if not path.name.lower().endswith(OUTPUTS):
        raise ValueError(f"{path}: unknown output type; expected {', '.join(OUTPUTS)}")
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise ImportError(NEEDS_PYARROW)
    check_writable(path)


def check_writable(path: Path) -> None:
    """Raise OSError, with a message that names this very file, where none can be written."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: cannot be written: it is a folder")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: cannot be written: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path}: cannot be written: no permission to write in {path.parent.resolve()}")


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A file beside `path` to write into, which becomes `path` when the block ends well."""
    made = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        yield made
        with made.open("r+b") as file:
            os.fsync(file.fileno())
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)


class Unfinished:
    """Finished chunks of rows on their way into a file: a stopped run is continued by the next one.

    A context manager. On leaving it the chunks stay, unless they were published or there are none.

    Parameters
    ----------
    output : path
        The file that will be.
    task : dict
        All that decides what the rows are, as JSON can hold it: only the same task is continued.
    width : int
        Columns of a row.
    restart : bool, default=False
        Discard what an earlier run left.

    Attributes
    ----------
    done : int
        Rows there are.

    Raises
    ------
    ValueError
        If another task was not finished, or another process is at it.
    """

    def __init__(self, output: Path, task: dict[str, Any], width: int, restart: bool = False) -> None:
        self.output, self.width, self.done = output, width, 0
        self._folder = output.with_name(output.name + ".unfinished")
        self._rows, self._journal = self._folder / "rows.npy", self._folder / "journal.jsonl"
        with writing(output):
            self._folder.mkdir(exist_ok=True)
            self._lock = FileLock(self._folder / "lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise ValueError(f"{output}: another process is writing it") from error
            try:
                self._begin(task, restart)
            except BaseException:
                self._lock.release()
                raise

    def _begin(self, task: dict[str, Any], restart: bool) -> None:
        record = self._folder / "task.json"
        task = json.loads(json.dumps(task))
        try:
            found = json.loads(record.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            found, restart = task, True  # killed before it began
        differing = sorted(key for key in task.keys() | found.keys() if task.get(key) != found.get(key))
        if differing and not restart:
            raise ValueError(
                f"{self.output}: an earlier run with another {', '.join(differing)} was not finished; "
                "give the same command to continue it, or add --restart to discard what it did"
            )
        if restart:
            self._journal.unlink(missing_ok=True)
            record.write_text(json.dumps(task), encoding="utf-8")
        self._file = self._rows.open("r+b" if self._rows.exists() else "w+b")
        _npy_header(self._file, 0, self.width)
        self._start = self._file.tell()
        room = (self._rows.stat().st_size - self._start) // (4 * self.width)
        size = 0
        for line, chunk in self._lines():
            if self.done + chunk["rows"] > room:
                break
            self.done += chunk["rows"]
            size += len(line)
        # What a kill cut off.
        self._file.truncate(self._start + 4 * self.width * self.done)
        self._file.seek(0, os.SEEK_END)
        with self._journal.open("ab") as journal:
            journal.truncate(size)

    def _lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        if self._journal.exists():
            with self._journal.open("rb") as journal:
                for line in journal:
                    if not line.endswith(b"\n"):
                        return
                    yield line, json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        if not self.done:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.release()

    def append(self, rows: Rows, labels: Labels, failures: list[Any]) -> None:
        """Keep a chunk, for good."""
        chunk = {"rows": len(rows), "labels": labels, "failures": failures}
        line = json.dumps(chunk, default=lambda value: getattr(value, "tolist", value.__str__)()) + "\n"
        with writing(self.output):
            self._file.write(rows.astype("<f4").tobytes())
            self._file.flush()
            os.fsync(self._file.fileno())
            with self._journal.open("ab") as journal:
                journal.write(line.encode())
                journal.flush()
                os.fsync(journal.fileno())
        self.done += len(rows)

    def chunks(self) -> Iterator[tuple[Rows, Labels]]:
        """Rows and labels of all chunks."""
        rows = np.memmap(self._rows, "<f4", "r", self._start, (self.done, self.width))
        start = 0
        for _, chunk in self._lines():
            yield rows[start : start + chunk["rows"]], chunk["labels"]
            start += chunk["rows"]

    def failures(self) -> list[Any]:
        """Failures of all chunks."""
        return [failure for _, chunk in self._lines() for failure in chunk["failures"]]

    def publish(self, columns: Sequence[str], names: Sequence[str]) -> None:
        """Make the output of the chunks, and discard them.

        Parameters
        ----------
        columns, names : sequence of str
            Headings of the labels and of the features.
        """
        with writing(self.output):
            if self.output.suffix.lower() == ".npy":
                self._file.seek(0)
                _npy_header(self._file, self.done, self.width)
                made = self._rows
            else:
                made = self._folder / "table"
                write = _write_parquet if self.output.suffix.lower() == ".parquet" else self._write_csv
                write(made, [*columns, *names], self.chunks)
            self._file.close()
            with made.open("r+b") as file:
                os.fsync(file.fileno())
            made.replace(self.output)
        self.discard()

    def _write_csv(
        self, path: Path, headings: Sequence[str], chunks: Callable[[], Iterator[tuple[Rows, Labels]]]
    ) -> None:
        with ExitStack() as stack:
            file: Any = stack.enter_context(path.open("wb"))
            if self.output.suffix.lower() == ".gz":  # without a time, so that equal tables are equal files
                file = stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0))
            table = CsvTable(stack.enter_context(io.TextIOWrapper(file, "utf-8", newline="")), headings)
            for rows, labels in chunks():
                table.append(rows, labels)

    def discard(self) -> None:
        """Forget the chunks."""
        self.done = 0


def _npy_header(file: BinaryIO, rows: int, width: int) -> None:
    # NumPy pads the header so that the first axis can grow in place.
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, width)}
    npy.write_array_header_1_0(file, header)


class CsvTable:
    """Rows as lines of text: labels, then features with the nine digits that single precision needs.

    Parameters
    ----------
    file : text file
    headings : sequence of str
        Of labels and features.
    """

    def __init__(self, file: TextIO, headings: Sequence[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(headings)

    def append(self, rows: Rows, labels: Labels) -> None:
        """Write a chunk."""
        for label, row in zip(labels, rows.tolist(), strict=True):
            self._writer.writerow([*label, *(f"{number:.9g}" for number in row)])


def _write_parquet(
    path: Path, headings: Sequence[str], chunks: Callable[[], Iterator[tuple[Rows, Labels]]]
) -> None:
    """One row group per chunk. The labels of all rows are in memory at once: they decide the types."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    by_row = (row for _, chunk in chunks() for row in chunk)
    labels = [_arrow_column(values) for values in zip(*by_row, strict=True)]
    types = [*(column.type for column in labels), *[pa.float32()] * (len(headings) - len(labels))]
    with ParquetWriter(path, pa.schema(list(zip(headings, types, strict=True)))) as writer:
        start = 0
        for rows, _ in chunks():
            parts = [column[start : start + len(rows)] for column in labels]
            features = [pa.array(column) for column in np.ascontiguousarray(rows.T)]
            writer.write_table(pa.table([*parts, *features], writer.schema))
            start += len(rows)


def _arrow_column(values: Sequence[Any]) -> Any:
    import pyarrow as pa

    try:
        return pa.array(values)
    except pa.ArrowException:  # of several types
        return pa.array([None if value is None else str(value) for value in values])


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say of what goes wrong with a file only which output it was for."""
    try:
        yield
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror or error}") from error
