"""The command line, one module per verb: ``skmol3d featurize | benchmark | fit | predict | demo | label |
pretrain | convert | info``.

A verb is a module of its name with ``EXAMPLE``, ``add_arguments(parser)`` and ``run(args)``, and its line
in `VERBS`.
"""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any

import skmol3d

VERBS = {
    "featurize": "molecules or crystals in a file to rows of numbers in a file",
    "benchmark": "compare methods on a table of yours, or on tasks",
    "fit": "a model of a column of a table",
    "predict": "predictions of a model for a file or a library",
    "demo": "REM3DI + ridge against ECFP + ridge on shipped data, in a minute",
    "label": "GFN2-xTB energies, forces and orbitals of the molecules in a file",
    "pretrain": "train a checkpoint from a recipe",
    "convert": "a model trained elsewhere to a checkpoint folder",
    "info": "versions, devices, checkpoints and caches; clears caches",
}


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0; 1 if the molecules are at fault; 2 after a mistake of the user's; 130, 141 or 143
        after Ctrl-C, a closed pipe or SIGTERM. Messages are on stderr, a line each, without tracebacks.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    parser = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(arguments)
    verb = import_module(f"skmol3d.cli.{args.command}")
    try:
        with _sigterm_raises():
            return _run(verb, args.command, args.arguments)
    except BrokenPipeError:
        # Whoever read our output has enough. Python must not try to write the rest of it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except (ValueError, ImportError) as error:
        # What users get wrong (files, columns, checkpoints, molecules) raises these, with a message for them.
        message = str(error)
    except KeyboardInterrupt as stop:
        terminated = isinstance(stop, Terminated)
        what = "terminated" if terminated else "interrupted"
        print(f"skmol3d {args.command}: {what}{f': {stop}' if str(stop) else ''}", file=sys.stderr)
        return 128 + (signal.SIGTERM if terminated else signal.SIGINT)
    print(f"skmol3d {args.command}: {message}", file=sys.stderr)
    return 2


def _run(verb: Any, name: str, arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog=f"skmol3d {name}",
        usage=getattr(verb, "USAGE", None),
        description=verb.__doc__,
        epilog=f"{getattr(verb, 'NOTES', '')}example:\n  {verb.EXAMPLE}",
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=26),
        conflict_handler="resolve",
        allow_abbrev=False,
    )
    verb.add_arguments(parser)
    return verb.run(parser.parse_args(arguments)) or 0


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Within this block SIGTERM raises `Terminated`, so that what is under way ends in good order."""

    def end(*_: object) -> None:
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parser() -> argparse.ArgumentParser:
    lines = "\n".join(f"  {verb:12}{text}" for verb, text in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="skmol3d",
        usage="skmol3d COMMAND ...",
        description=f"{skmol3d.__doc__}\n\ncommands:\n{lines}",
        epilog="skmol3d COMMAND --help explains a command.\n\n"
        "example:\n  skmol3d featurize molecules.csv rows.npy",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"skmol3d {skmol3d.__version__}")
    parser.add_argument("command", choices=VERBS, help=argparse.SUPPRESS)
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
