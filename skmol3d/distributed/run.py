"""A run from its library to its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skmol3d.distributed.cluster import connected, run
from skmol3d.distributed.library import open_library
from skmol3d.distributed.output import LibraryResult, Output, read_manifest
from skmol3d.distributed.partition import Job
from skmol3d.featurizers.parameters import check_integer


def complete(
    library: Any,
    output: Path,
    job: Job,
    task: dict[str, Any],
    *,
    scheduler: Any,
    smiles_column: str | None,
    id_column: str | None,
    keep: Sequence[str] | None,
    partition_size: int,
    restart: bool,
    verbose: int,
    processes: bool = False,
) -> LibraryResult:
    """Make what is missing of the results of a library.

    Parameters
    ----------
    job : Job
        What is computed of its molecules.
    task : dict
        What decides that, as JSON can hold it.
    processes : bool, default=False
        Workers start processes themselves.
    library, output, scheduler, smiles_column, id_column, keep, partition_size, restart, verbose
        As in `featurize_library`.

    Returns
    -------
    LibraryResult

    Raises
    ------
    LibraryError, ValueError, OSError
        As in `featurize_library`.
    """
    check_integer("partition_size", partition_size, 1)
    output = output.resolve()  # workers have working directories of their own
    counted = {} if restart else read_manifest(output).get("counted", {})
    opened = open_library(library, smiles_column, id_column, keep, partition_size, counted)
    if inside := [path for path in opened.paths if path.resolve().parent == output]:
        raise ValueError(f"{output}: {inside[0].name} of the library is in it; name another folder")
    if not len(opened):
        raise ValueError(f"{library}: there is no molecule in it")
    results = {field.name for field in job.fields}
    if twice := [name for name in opened.columns.schema.names if name in results]:
        raise ValueError(f"{library}: it has a column {twice[0]!r} already; leave it out with keep")
    task = {**task, **opened.identity}
    with Output(output, task, restart) as out:
        out.note(counted=opened.counted, partitions=len(opened))
        done = out.done(job.final)
        if len(done) < len(opened):
            with connected(scheduler, processes) as client:
                run(client, opened, job, output, done, verbose)
        return out.finish(len(opened))
