"""Predictions of a fitted model for a library of molecules, or the best of them."""

from __future__ import annotations

import argparse

from skmol3d.cli import library

EXAMPLE = "skmol3d predict model.joblib 'library/*.parquet' hits/ --top 1000"
USAGE = "skmol3d predict MODEL LIBRARY OUTPUT [options]"
NOTES = """\
MODEL is a pickle: it can run any code, so open none that you do not trust.
OUTPUT gets Parquet with the library's columns and the predictions, and
_failures.csv. A run that was stopped continues when the same command is given
again. Exit status: 0 if OUTPUT is complete; 1 if all molecules failed;
2 for mistakes, or if workers could not complete it.

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="joblib.dump of a fitted pipeline that takes molecules")
    add("library", metavar="LIBRARY", help="file, folder or 'pattern' of Parquet, CSV, SMILES or SD files")
    add("output", metavar="OUTPUT", help="folder; one that workers see, too")
    add("--top", metavar="N", type=int, help="keep the best N alone, in OUTPUT/top.parquet")
    add("--by", metavar="COLUMN", help="of the predictions, that --top is for, if there are several")
    add("--lowest", action="store_true", help="the lowest predictions are the best")
    library.add_columns(parser, f"{library.KEEP} (default: all)")
    library.add_cluster(parser, "local")
    library.add_partitions(parser)
    add("--restart", action="store_true", help="discard what an earlier run left in OUTPUT")


def run(args: argparse.Namespace) -> int:
    """Write the predictions and say what became of the molecules; give the exit status."""
    from skmol3d.distributed import predict_library

    best = {"top": args.top, "by": args.by, "lowest": args.lowest}
    settings = best | library.settings(args)
    return library.report(args, predict_library(args.library, args.output, args.model, **settings))
