"""The command line, one module per verb: ``skmol3d featurize | benchmark | demo | label | pretrain``.

A verb is a module of its name with ``EXAMPLE``, ``add_arguments(parser)`` and ``run(args)``, and its line
in `VERBS`.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

import skmol3d

VERBS = {
    "featurize": "molecules in a file to rows of numbers in a file",
    "benchmark": "compare methods on tasks",
    "demo": "REM3DI + ridge against ECFP + ridge on shipped data, in a minute",
    "label": "GFN2-xTB energies, forces, charges, dipoles and orbitals of the molecules in a file",
    "pretrain": "train a checkpoint from a recipe",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, or 2 after an error of the user's (its message on stderr).
    """
    args = _parser().parse_args(argv)
    verb = import_module(f"skmol3d.cli.{args.command}")
    parser = argparse.ArgumentParser(
        prog=f"skmol3d {args.command}",
        description=verb.__doc__,
        epilog=f"example:\n  {verb.EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verb.add_arguments(parser)
    try:
        verb.run(parser.parse_args(args.arguments))
    except (OSError, ValueError, ImportError) as error:
        # What users get wrong (files, columns, checkpoints, molecules) raises these, with a message for them.
        print(f"skmol3d {args.command}: {error}", file=sys.stderr)
        return 2
    return 0


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
