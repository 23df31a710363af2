"""Worker processes that stop within one molecule when they are no longer wanted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from loky import ProcessPoolExecutor

Ticket = tuple[str, int]


class Stopped(RuntimeError):
    """The pool was closed while this task was under way."""


class Workers:
    """A pool of processes with one thread each; tasks get a ticket as their last argument for `check`.

    Loky's, because its workers need no ``if __name__ == "__main__"`` and inherit nothing. Idle ones leave
    after a minute, also when this process was killed.
    """

    def __init__(self, count: int) -> None:
        # As long as this file exists, work goes on. Loky can kill workers, but loses its manager thread (a
        # KeyError) if a task is being submitted then.
        self._flag = tempfile.NamedTemporaryFile(prefix="skmol3d-workers-")  # noqa: SIM115
        self._ticket: Ticket = (self._flag.name, os.getpid())
        self._pool = ProcessPoolExecutor(count, timeout=60, env={"OMP_NUM_THREADS": "1"})

    def submit(self, task: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Run ``task(*arguments, ticket)`` in a worker."""
        return self._pool.submit(task, *arguments, self._ticket)

    def close(self) -> None:
        """Stop; tasks under way end at their next `check`."""
        self._flag.close()
        self._pool.shutdown(wait=True)


def check(ticket: Ticket) -> None:
    """In a worker: raise `Stopped` if the pool was closed; leave if its process was killed."""
    flag, parent = ticket
    if os.getppid() != parent:
        os._exit(1)  # nobody is left to take the result
    if not os.path.exists(flag):
        raise Stopped("the pool was closed")
