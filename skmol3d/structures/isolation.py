"""Other processes: one that can be killed for a single molecule, and a pool for many."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor

from skmol3d.structures.conformers import (
    Conformers,
    ConformerSettings,
    embed_here,
    embed_or_error,
    time_limit_error,
)
from skmol3d.structures.molecule import Molecule, StructureError

# A chunk is long enough that sending it costs nothing and short enough that few molecules wait for it.
CHUNK = 16
CHILD = f"from {__name__} import _child; _child()"
STARTUP = 5.0  # seconds that a new interpreter may take before the molecule's own time limit begins


def embed_isolated(molecule: Molecule, settings: ConformerSettings) -> Conformers:
    """Embed in a new process that is killed when the time limit has passed.

    Not multiprocessing, whose children import the caller's main module again.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            input=pickle.dumps((molecule, settings)),
            capture_output=True,
            timeout=settings.time_limit + STARTUP,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise time_limit_error(settings.time_limit) from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise StructureError(f"RDKit crashed on it: {reason}")
    result = pickle.loads(done.stdout)
    if isinstance(result, StructureError):
        raise result
    return result


def _child() -> None:
    molecule, settings = pickle.load(sys.stdin.buffer)
    try:
        result: Conformers | StructureError = embed_here(molecule, settings)
    except StructureError as error:
        result = error
    pickle.dump(result, sys.stdout.buffer)


def generate_parallel(
    molecules: Iterable[Molecule], settings: ConformerSettings, workers: int
) -> Iterator[Conformers | StructureError]:
    """The parallel half of `skmol3d.structures.generate`."""
    molecules = iter(molecules)
    # Workers take about a second to start: a short list is done before that.
    first = list(islice(molecules, CHUNK))
    if len(first) < CHUNK:
        yield from (embed_or_error(molecule, settings) for molecule in first)
        return
    stream = chain(first, molecules)
    pending: deque[tuple[list[Molecule], Future[Any]]] = deque()
    try:
        while True:
            while len(pending) < 2 * workers and (chunk := list(islice(stream, CHUNK))):
                pending.append((chunk, _pool(workers).submit(_embed_chunk, chunk, settings)))
            if not pending:
                return
            chunk, future = pending.popleft()
            yield from _results(chunk, future, settings)
    finally:
        for _, future in pending:
            future.cancel()


def _results(
    chunk: list[Molecule], future: Future[Any], settings: ConformerSettings
) -> Iterator[Conformers | StructureError]:
    try:
        yield from future.result()
    except BrokenProcessPool:
        # RDKit took a worker down (or the system did, for memory): find the culprit, keep the others.
        _pool.cache_clear()
        for molecule in chunk:
            try:
                yield embed_isolated(molecule, settings)
            except StructureError as error:
                yield error


@lru_cache(maxsize=1)
def _pool(workers: int) -> ProcessPoolExecutor:
    # Loky, because its workers need no `if __name__ == "__main__"` in the caller's script. A pool of our
    # own, because joblib's shared one is torn down whenever somebody asks for another size.
    return ProcessPoolExecutor(workers, timeout=60)


def _embed_chunk(chunk: list[Molecule], settings: ConformerSettings) -> list[Conformers | StructureError]:
    return [embed_or_error(molecule, settings) for molecule in chunk]
