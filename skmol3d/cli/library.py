"""What the commands share that work on libraries with Dask."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.distributed import LibraryResult

SHOWN = 10
"""Failures that a command shows; a file has all of them."""

KEEP = "column or SD property for OUTPUT; may be repeated"


def add_columns(group: Any, keep: str = KEEP) -> None:
    """Declare which columns of a table are read and kept."""
    add = group.add_argument
    add("--smiles-column", metavar="COLUMN", help="of a table (default: SMILES in any case)")
    add("--id-column", metavar="COLUMN", help="of a table, goes into OUTPUT (default: id or name)")
    add("--keep", metavar="COLUMN", action="append", default=[], help=keep)


def add_cluster(group: Any, default: str | None) -> None:
    """Declare where the work is done."""
    shown = f" (default: {default})" if default else "; OUTPUT is a folder"
    group.add_argument(
        "--dask",
        metavar="WHERE",
        default=default,
        help=f"by Dask: local, local:N, tcp://HOST:PORT{shown}",
    )


def add_partitions(group: Any) -> None:
    """Declare the size of a partition."""
    group.add_argument(
        "--partition-size", metavar="N", type=int, help="molecules of a partition (default: 4096)"
    )


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What both functions take, as far as it was given."""
    given = {
        "scheduler": args.dask,
        "smiles_column": args.smiles_column,
        "id_column": args.id_column,
        "keep": args.keep or None,
        "partition_size": args.partition_size,
        "restart": args.restart,
        "verbose": 1,
    }
    return {name: value for name, value in given.items() if value is not None}


def featurize(args: argparse.Namespace) -> int:
    """Write the rows of a library; give the exit status."""
    from skmol3d.cli.options import given_parameters, make_featurizer
    from skmol3d.distributed import featurize_library

    unfit = {
        "--format": args.format,
        "--crystals": args.crystals,
        "--failures": args.failures,
        "--errors raise": args.errors == "raise",
    }
    for option, given in unfit.items():
        if given:
            raise ValueError(f"{option}: not with --dask, where failures are in OUTPUT/_failures.csv")
    check_output_folder(args.output, "a single file is written without --dask")
    featurizer = make_featurizer(args.model, False, given_parameters(args))
    result = featurize_library(
        args.input, args.output, featurizer, dtype=args.dtype or "float32", **settings(args)
    )
    return report(args, result)


def check_output_folder(output: str, files: str) -> None:
    """Raise ValueError if what is to be a folder is a file, or called like one; `files` says what is one."""
    path = Path(output)
    if path.is_dir() or not (path.exists() or (path.suffix and not output.endswith(os.sep))):
        return
    what = "is a file" if path.exists() else f"is the name of a file (a folder: {output}{os.sep})"
    raise ValueError(f"{output}: {what}; OUTPUT of a library is a folder of Parquet files, {files}")


def report(args: argparse.Namespace, result: LibraryResult) -> int:
    """Say what became of a library; give the exit status."""
    good = result.molecules - result.failed
    print(f"{good} of {result.molecules} molecules: {args.output}", file=sys.stderr)
    if result.failed:
        print(f"{result.failed} failed ({args.output}/{result.failures.name} lists all):", file=sys.stderr)
        with result.failures.open(newline="", encoding="utf-8") as file:
            for row in islice(csv.reader(file), 1, 1 + SHOWN):
                print(failure_line(*row), file=sys.stderr)
    return 0 if good else 1


def show_failures(failures: Sequence[tuple[Any, ...]]) -> None:
    """Print the first of failures, each an index, a name, an input and a reason, on stderr."""
    for failure in failures[:SHOWN]:
        print(failure_line(*failure), file=sys.stderr)
    if len(failures) > SHOWN:
        print(f"  ... and {len(failures) - SHOWN} more", file=sys.stderr)


def failure_line(index: object, name: str | None, text: str, reason: str) -> str:
    """What is shown of a failure."""
    return f"  [{index}] {f'{name}: ' if name else ''}{text}: {reason}"
