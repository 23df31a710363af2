"""What a worker does with a partition: read, compute, write."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from skmol3d.distributed.library import Columns, FilePartition, frame_records
from skmol3d.distributed.output import note_path, part_path
from skmol3d.featurizers import cache
from skmol3d.files import appearing
from skmol3d.structures import Failure

GROUP = 8192
"""Molecules that are computed and written together, as a row group: the bound of a worker's memory."""

_turn = threading.Lock()


class Job(Protocol):
    """What is computed of molecules; small when pickled, since each task carries it."""

    @property
    def final(self) -> bool:
        """Partitions are the result, not what is made of them in the end."""

    @property
    def fields(self) -> list[pa.Field]:
        """Columns of the results."""

    def compute(self, structures: list[object]) -> tuple[list[pa.Array], list[Failure]]:
        """The columns of some molecules, null where there is a failure."""

    def select(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """What is kept of a partition's tables."""


def work(number: int, source: Any, columns: Columns, job: Job, folder: Path) -> int:
    """Make a partition, and when it is written say so beside it.

    Parameters
    ----------
    number : int
        Of the partition.
    source : FilePartition or pandas.DataFrame
        Where its molecules are.
    columns : Columns
        What stands beside the results.
    job : Job
        What is computed.
    folder : Path
        Of the results; all workers see it.

    Returns
    -------
    int
        How many of its molecules failed.

    Raises
    ------
    OSError
        If something cannot be read or written.
    ValueError
        If the input has other columns than were announced.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: not seen by the worker on {socket.gethostname()}")
    with _turn:  # a process has memory for one partition, and one set of caches
        # A row from another batch may differ by rounding. What is in a partition must not depend on what this
        # worker did before.
        cache.CACHE.memory.clear()
        pieces = _Pieces(source, columns, job)
        schema = pa.schema([*columns.schema, *job.fields])
        with (
            appearing(part_path(folder, number, job.final)) as made,
            ParquetWriter(made, schema, compression="zstd") as writer,
        ):
            for table in job.select(pieces):
                writer.write_table(table, row_group_size=max(1, len(table)))
        size = part_path(folder, number, job.final).stat().st_size
        note = {"bytes": size, "molecules": pieces.molecules, "failures": pieces.failures}
        with appearing(note_path(folder, number)) as made:
            made.write_text(json.dumps(note), encoding="utf-8")
        return len(pieces.failures)


class _Pieces:
    """Tables of results of `GROUP` molecules each, made as they are asked for."""

    def __init__(self, source: Any, columns: Columns, job: Job) -> None:
        self.molecules = 0
        self.failures: list[tuple[int, str, str, str]] = []
        self._source, self._columns, self._job = source, columns, job

    def __iter__(self) -> Iterator[pa.Table]:
        of_file = isinstance(self._source, FilePartition)
        records = self._source.records() if of_file else frame_records(self._source, self._columns)
        first = self._source.first if of_file else 0
        while group := list(islice(records, GROUP)):
            labels = self._columns.arrays(group, first + self.molecules)
            results, failures = self._job.compute([record.structure for record in group])
            self.failures += [
                (self.molecules + f.index, group[f.index].name or "", f.input, f.reason) for f in failures
            ]
            self.molecules += len(group)
            yield pa.table([*labels, *results], pa.schema([*self._columns.schema, *self._job.fields]))
