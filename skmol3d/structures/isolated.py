"""A call in another process, which can be killed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from skmol3d.structures.errors import StructureError, TransientError

CHILD = f"from {__name__} import _child; _child()"
STARTUP = 5.0  # seconds that a new interpreter may take before the call's own time limit begins


def call_isolated(function: Callable[..., Any], *arguments: Any, limit: float) -> Any:
    """``function(*arguments)`` in a new process that is killed after ``limit`` seconds.

    Not multiprocessing, whose children import the caller's main module again.

    Parameters
    ----------
    function : callable
        Of a module; it, its arguments and its result can be pickled.
    *arguments : object
        What it is called with.
    limit : float
        Seconds, without the start of the process.

    Returns
    -------
    object
        The result.

    Raises
    ------
    StructureError
        If the function raises one; `TransientError` if it takes the process down.
    TimeoutError
        If the limit has passed.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            input=pickle.dumps((function, arguments)),
            capture_output=True,
            timeout=limit + STARTUP,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"killed after {limit:g} s") from error
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit status {done.returncode}"
        raise TransientError(f"RDKit crashed on it: {reason}")
    result = pickle.loads(done.stdout)
    if isinstance(result, StructureError):
        raise result
    return result


def _child() -> None:
    function, arguments = pickle.load(sys.stdin.buffer)
    try:
        result: Any = function(*arguments)
    except StructureError as error:
        result = error
    pickle.dump(result, sys.stdout.buffer)
