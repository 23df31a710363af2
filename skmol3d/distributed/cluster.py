"""Partitions to the workers of a Dask cluster, a bounded number ahead, and what became of them."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import dask
from dask.distributed import CancelledError, Client, Future, KilledWorker, LocalCluster, wait
from distributed.client import ClosedClientError
from distributed.comm import CommClosedError
from tqdm import tqdm

from skmol3d.distributed.partition import work

if TYPE_CHECKING:
    from skmol3d.distributed.library import Files, Frame
    from skmol3d.distributed.partition import Job

AHEAD = 2
"""Partitions that each worker has been given, so that none waits for the client."""

FEWEST = 16
"""Partitions that are given out at least: a cluster that grows on demand must see some."""

POLL = 2.0
LOG = 60.0
"""Seconds between two lines about progress where there is no terminal."""

LEARNS = "MALLOC_TRIM_THRESHOLD_"
"""Set in workers by Dask, and with it glibc learns no more which blocks come again: encoding faults pages."""


class LibraryError(OSError):
    """A library could not be completed. What was finished stays; the same run goes on from there."""


@contextmanager
def connected(scheduler: Any, processes: bool = False) -> Iterator[Client]:
    """A client of a scheduler.

    Parameters
    ----------
    scheduler : str or dask.distributed.Client
        "local" or "local:N" for a cluster of processes of this machine, one per core or N of them, which ends
        with the block; or the address of a scheduler, or a client, which stays open.
    processes : bool, default=False
        The workers of this machine may start processes themselves.

    Yields
    ------
    Client

    Raises
    ------
    LibraryError
        If there is no scheduler at that address.
    ValueError
        If it is none of these.
    """
    if isinstance(scheduler, Client):
        yield scheduler
        return
    kind, _, count = str(scheduler).partition(":")
    if kind == "local" and (not count or (count.isdecimal() and int(count))):
        with _local(int(count) if count else None, processes) as client:
            yield client
    elif "://" in str(scheduler):
        try:
            client = Client(scheduler)
        except OSError as error:
            raise LibraryError(f"{scheduler}: no Dask scheduler answers there") from error
        with client:
            yield client
    else:
        raise ValueError(f"scheduler must be 'local', 'local:4', an address or a client; got {scheduler!r}")


@contextmanager
def _local(workers: int | None, processes: bool) -> Iterator[Client]:
    """A client of a cluster of this machine, which ends with the block."""
    environment = dask.config.get("distributed.nanny.pre-spawn-environ")
    settings = {
        "distributed.nanny.pre-spawn-environ": {k: v for k, v in environment.items() if k != LEARNS},
        "distributed.worker.daemon": not processes,
    }
    loggers = [logging.getLogger(name) for name in ("distributed", "tornado.application", "asyncio")]
    with ExitStack() as stack:
        stack.enter_context(dask.config.set(settings))
        for logger in loggers:
            stack.callback(logger.setLevel, logger.level)
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,  # RDKit's embeddings take turns within a process
            dashboard_address=":0",
            silence_logs="ERROR",
        )
        client = stack.enter_context(Client(stack.enter_context(cluster)))
        try:
            yield client
        except BaseException:
            # What is stopped says how far it is; callbacks that a closing cluster never answers say no more.
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            raise


def run(client: Client, library: Files | Frame, job: Job, folder: Path, done: set[int], verbose: int) -> None:
    """Have all partitions made that are not done.

    Parameters
    ----------
    client : Client
        Of the cluster.
    library : Files or Frame
        What there is.
    job : Job
        What is computed.
    folder : Path
        Of the results.
    done : set of int
        Partitions to leave out.
    verbose : int
        Show progress if not 0.

    Raises
    ------
    LibraryError
        If the scheduler was lost or a partition could not be made. Where its workers died the others are
        made first; other errors end the run.
    """
    todo = [number for number in range(len(library)) if number not in done]
    with _Progress(library, done, verbose) as progress:
        try:
            broken = _make(client, library, job, folder, todo, progress)
        except (CancelledError, CommClosedError, ClosedClientError):  # whichever call notices it first
            raise LibraryError(f"the scheduler was lost; {progress.kept()}") from None
        except KeyboardInterrupt as stop:
            raise type(stop)(progress.kept()) from stop
    if broken:
        raise LibraryError(
            f"{len(broken)} of {len(library)} partitions could not be made: {'; '.join(broken)}"
        )


def _make(
    client: Client, library: Files | Frame, job: Job, folder: Path, todo: list[int], progress: _Progress
) -> list[str]:
    """Have partitions made, and name those whose workers died; CancelledError if the scheduler is lost."""
    name, waiting, flying = f"skmol3d-{uuid4().hex[:8]}", iter(todo), dict[Any, int]()
    # A worker that dies makes suspects of all partitions that it had been given: each is tried again alone.
    suspects, alone, broken = deque[int](), set[int](), list[str]()
    while True:
        workers = _workers(client)
        for number in islice(waiting, max(0, max(FEWEST, AHEAD * workers) - len(flying))):
            flying[_submit(client, f"{name}-{number}", number, library, job, folder)] = number
        if not flying and suspects:
            alone.add(number := suspects.popleft())
            flying[_submit(client, f"{name}-{number}-alone", number, library, job, folder)] = number
        if not flying:
            return broken
        with suppress(TimeoutError):
            wait(list(flying), timeout=POLL, return_when="FIRST_COMPLETED")
        for future in [future for future in flying if future.done()]:
            number = flying.pop(future)
            if future.status in ("cancelled", "lost"):
                raise CancelledError
            error = future.exception()
            if error is None:
                progress.add(number, future.result())
            elif not isinstance(error, KilledWorker):
                raise LibraryError(f"{_named(library, number)}: {error}") from error
            elif number not in alone:
                suspects.append(number)
            else:
                deaths = error.allowed_failures + 1
                broken.append(f"{_named(library, number)}: its workers died, {deaths} of them")
                progress.say(broken[-1])
        if client.status != "running":
            raise CancelledError
        progress.show(workers)


def _submit(client: Client, key: str, number: int, library: Files | Frame, job: Job, folder: Path) -> Future:
    source = library.source(number)
    if not hasattr(source, "__dask_graph__"):
        return client.submit(work, number, source, library.columns, job, folder, key=key, pure=False)
    task = dask.delayed(work, pure=False)(number, source, library.columns, job, folder, dask_key_name=key)
    return client.compute(task)


def _workers(client: Client) -> int:
    try:
        threads = client.nthreads()
    except (OSError, RuntimeError, ValueError):  # the scheduler is gone, as will be seen
        return 0
    if any(count > 1 for count in threads.values()):
        warnings.warn(
            "workers with several threads: a process works on one partition at a time; start one process for "
            "each core (dask worker --nworkers -1 --nthreads 1)",
            UserWarning,
            stacklevel=3,
        )
    return len(threads)


def _named(library: Files | Frame, number: int) -> str:
    if library.molecules is None:
        return f"partition {number}"
    source = library.source(number)
    where = f"{Path(source.path).name}, records {source.start} to {source.start + source.count - 1}"
    return f"partition {number} ({where})"


class _Progress:
    """How far it is, on a terminal as a bar, elsewhere as a line a minute."""

    def __init__(self, library: Files | Frame, done: set[int], verbose: int) -> None:
        self._size = library.size
        self._verbose, self._terminal = verbose, sys.stderr.isatty()
        self._initial = self._done = sum(map(library.size, done))
        self._failed = self._workers = 0
        self._begun = self._said = time.monotonic()
        self._unit = "partitions" if library.molecules is None else "molecules"
        self._total = library.molecules or len(library)
        self._bar = tqdm(
            total=self._total,
            initial=self._initial,
            unit=f" {self._unit}",
            smoothing=0,
            disable=not (verbose and self._terminal),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def add(self, number: int, failed: int) -> None:
        """A partition is done, but for some of its molecules."""
        self._failed += failed
        self._done += self._size(number)
        self._bar.update(self._size(number))

    def show(self, workers: int) -> None:
        """Show it, if it is time."""
        now, also = time.monotonic(), f"{self._failed} failed, {workers} workers"
        self._bar.set_postfix_str(also)
        if not self._terminal and (now - self._said > LOG or self._done == self._total):
            self._said = now
            self.say(
                tqdm.format_meter(
                    self._done,
                    self._total,
                    now - self._begun,
                    unit=f" {self._unit}",
                    initial=self._initial,
                    postfix=also,
                )
            )

    def say(self, text: str) -> None:
        """Write a line."""
        if self._verbose:
            tqdm.write(text, file=sys.stderr)

    def kept(self) -> str:
        """What a run that is stopped says."""
        return f"{self._done} {self._unit} are done; the same command goes on from there"
