"""What the commands share that work on libraries with Dask."""

from __future__ import annotations

import argparse
import csv
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.distributed import LibraryResult

SHOWN = 10


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
        "--partition-size",
        metavar="N",
        type=int,
        default=4096,
        help="molecules of a partition (default: 4096)",
    )


def settings(args: argparse.Namespace) -> dict[str, Any]:
    """What both functions take."""
    return {
        "scheduler": args.dask,
        "smiles_column": args.smiles_column,
        "id_column": args.id_column,
        "keep": args.keep or None,
        "partition_size": args.partition_size,
        "restart": args.restart,
        "verbose": 1,
    }


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
    featurizer = make_featurizer(args.model, False, given_parameters(args))
    result = featurize_library(args.input, args.output, featurizer, dtype=args.dtype, **settings(args))
    return report(args, result)


def report(args: argparse.Namespace, result: LibraryResult) -> int:
    """Say what became of a library; give the exit status."""
    good = result.molecules - result.failed
    print(f"{good} of {result.molecules} molecules: {args.output}", file=sys.stderr)
    if result.failed:
        print(f"{result.failed} failed ({args.output}/{result.failures.name} lists all):", file=sys.stderr)
        with result.failures.open(newline="", encoding="utf-8") as file:
            for row in islice(csv.DictReader(file), SHOWN):
                name = f"{row['id']}: " if row["id"] else ""
                print(f"  [{row['index']}] {name}{row['input']}: {row['reason']}", file=sys.stderr)
    return 0 if good else 1
