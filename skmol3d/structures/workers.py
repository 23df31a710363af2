"""A pool of processes that make conformers of many molecules."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from itertools import chain, islice
from typing import Any

import joblib
from loky import ProcessPoolExecutor

from skmol3d.structures.conformers import Conformers, ConformerSettings, embed_isolated, embed_itself
from skmol3d.structures.errors import StructureError
from skmol3d.structures.molecule import Molecule

# A chunk is long enough that sending it costs nothing and short enough that few molecules wait for it.
CHUNK = 16


def generate(
    molecules: Iterable[Molecule], settings: ConformerSettings, n_jobs: int | None = None
) -> Iterator[Conformers | StructureError]:
    """Embed a stream of molecules, in order, possibly in several processes.

    Each as it is: that enantiomers have mirrored conformers, and that each molecule is embedded once, is up
    to `skmol3d.structures.conformers_of`.

    Parameters
    ----------
    molecules : iterable of Molecule
        Consumed lazily, in the calling thread, a bounded number ahead of what was asked for.
    settings : ConformerSettings
        How to make the conformers.
    n_jobs : int or None, default=None
        Processes, as in joblib: None means 1 (or what `joblib.parallel_config` says), -1 all cores. The
        results do not depend on it.

    Yields
    ------
    Conformers or StructureError
        For each molecule, in the order given; failures are values.
    """
    workers = joblib.effective_n_jobs(n_jobs)
    if workers == 1:
        return (_embed_or_error(molecule, settings) for molecule in molecules)
    return _generate_parallel(molecules, settings, workers)


def _embed_or_error(molecule: Molecule, settings: ConformerSettings) -> Conformers | StructureError:
    try:
        return embed_itself(molecule, settings)
    except StructureError as error:
        return error


def _generate_parallel(
    molecules: Iterable[Molecule], settings: ConformerSettings, workers: int
) -> Iterator[Conformers | StructureError]:
    molecules = iter(molecules)
    # Workers take about a second to start: a short list is done before that.
    first = list(islice(molecules, CHUNK))
    if len(first) < CHUNK:
        yield from (_embed_or_error(molecule, settings) for molecule in first)
        return
    stream = chain(first, molecules)
    pending: deque[tuple[list[Molecule], Future[Any]]] = deque()
    try:
        while True:
            while len(pending) < 2 * workers and (chunk := list(islice(stream, CHUNK))):
                pending.append((chunk, _submit(chunk, settings, workers)))
            if not pending:
                return
            chunk, future = pending.popleft()
            yield from _results(chunk, future, settings, workers)
    finally:
        for _, future in pending:
            future.cancel()


def _submit(chunk: list[Molecule], settings: ConformerSettings, workers: int) -> Future[Any]:
    try:
        return _pool(workers).submit(_embed_chunk, chunk, settings)
    except BrokenProcessPool:
        _pool.cache_clear()
        return _pool(workers).submit(_embed_chunk, chunk, settings)


def _results(
    chunk: list[Molecule], future: Future[Any], settings: ConformerSettings, workers: int
) -> list[Conformers | StructureError]:
    # When RDKit takes a worker down (or the system does, for memory), every chunk under way is lost. All are
    # tried again, and the one that does it again is embedded molecule by molecule, to find the culprit.
    try:
        return future.result()
    except BrokenProcessPool:
        pass
    try:
        return _submit(chunk, settings, workers).result()
    except BrokenProcessPool:
        return [_isolated_or_error(molecule, settings) for molecule in chunk]


def _isolated_or_error(molecule: Molecule, settings: ConformerSettings) -> Conformers | StructureError:
    try:
        return embed_isolated(molecule, settings)
    except StructureError as error:
        return error


@lru_cache(maxsize=1)
def _pool(workers: int) -> ProcessPoolExecutor:
    # Loky, because its workers need no `if __name__ == "__main__"` in the caller's script. A pool of our
    # own, because joblib's shared one is torn down whenever somebody asks for another size.
    return ProcessPoolExecutor(workers, timeout=60, initializer=_follow, initargs=(os.getpid(),))


def _follow(parent: int) -> None:
    """In a worker: leave Ctrl-C to the parent, and end when that has ended, in whatever way."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _embed_chunk(chunk: list[Molecule], settings: ConformerSettings) -> list[Conformers | StructureError]:
    return [_embed_or_error(molecule, settings) for molecule in chunk]
