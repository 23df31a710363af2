"""Molecules in a file to rows of numbers in a file."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import skmol3d

EXAMPLE = "skmol3d featurize molecules.csv rows.npy"
INPUTS = ".smi, .csv, .tsv, .parquet, .sdf, .mol, .xyz, .extxyz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument("input", type=Path, help=f"{INPUTS}, or .gz of these")
    parser.add_argument(
        "output", type=Path, help=".npy (float32 matrix) or .csv (SMILES or row number, features)"
    )
    parser.add_argument("--smiles-column", help="column of the table (default: SMILES in any case)")
    parser.add_argument("--model", default="rem3di-small", help="bundled name, folder or Hub id; or 'ecfp'")
    parser.add_argument("--revision", help="commit, tag or branch of a Hub model")
    parser.add_argument("--n-conformers", type=int, default=1, help="conformers per molecule (default: 1)")
    parser.add_argument("--random-state", type=int, default=0, help="goes into every conformer's seed")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    parser.add_argument("--n-jobs", type=int, help="processes that make conformers")
    parser.add_argument("--cache-dir", type=Path, help="folder that keeps rows for the next run")
    parser.add_argument(
        "--errors",
        choices=["nan", "raise"],
        default="nan",
        help="nan (default): failed molecules are rows of NaN, listed in OUTPUT.failures.csv; raise: no file",
    )


def run(args: argparse.Namespace) -> None:
    """Write the rows and say what became of them."""
    from skmol3d.files import write_rows
    from skmol3d.structures import read_records

    if args.output.resolve() == args.input.resolve():
        raise ValueError(f"{args.output}: input and output are the same file")
    start = time.perf_counter()
    records = read_records(args.input, smiles_column=args.smiles_column)
    inputs = (record.structure for record in records)
    featurizer = _featurizer(args)
    count = write_rows(featurizer, inputs, args.output)
    failures = featurizer.failures_
    print(
        f"{count - len(failures)} of {count} molecules in {time.perf_counter() - start:.1f} s: {args.output}"
    )
    record = args.output.with_name(args.output.name + ".failures.csv")
    record.unlink(missing_ok=True)  # of an earlier run
    if len(failures):
        failures.to_csv(record, index=False)
        print(f"{len(failures)} molecules failed: rows of NaN, reasons in {record}", file=sys.stderr)
        for line in failures.head(10).to_dict("records"):
            print(f"  [{line['index']}] {line['input']}: {line['reason']}", file=sys.stderr)


def _featurizer(args: argparse.Namespace) -> Any:
    verbose = int(sys.stderr.isatty())
    if args.model == "ecfp":
        return skmol3d.ECFPFeaturizer(n_jobs=args.n_jobs, errors=args.errors, verbose=verbose)
    return skmol3d.REM3DIFeaturizer(
        model=args.model,
        revision=args.revision,
        device=args.device,
        n_conformers=args.n_conformers,
        random_state=args.random_state,
        n_jobs=args.n_jobs,
        errors=args.errors,
        cache_dir=None if args.cache_dir is None else str(args.cache_dir),
        verbose=verbose,
    )
