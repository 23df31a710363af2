"""Predictions of a fitted model for a library of molecules, or the best of them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from skmol3d.cli import library
from skmol3d.cli.records import find_source, label, label_columns, open_records

if TYPE_CHECKING:
    from skmol3d.structures import Record

EXAMPLE = "skmol3d predict model.joblib 'library/*.parquet' hits/ --top 1000"
USAGE = "skmol3d predict MODEL LIBRARY OUTPUT [options]"
NOTES = """\
MODEL is a pickle: it can run any code, so open none that you do not trust. It
must take molecules alone, without other columns.
OUTPUT.csv gets the columns of one file and predictions, none for failures. A
folder gets Parquet with the same and _failures.csv, by the workers of Dask; a
run that was stopped continues when the same command is given again. Exit
status: 0 if OUTPUT is complete; 1 if all molecules failed; 2 for mistakes, or
if workers could not complete it.

"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="joblib.dump of a fitted pipeline that takes molecules")
    add("library", metavar="LIBRARY", help="file, folder or 'pattern' of Parquet, CSV, SMILES or SD files")
    add("output", metavar="OUTPUT", help="file.csv; or folder, one that workers see, too")
    add("--top", metavar="N", type=int, help="keep the best N alone, in OUTPUT/top.parquet")
    add("--by", metavar="COLUMN", help="of the predictions, that --top is for, if there are several")
    add("--lowest", action="store_true", help="the lowest predictions are the best")
    library.add_columns(parser, f"{library.KEEP} (default: all)")
    library.add_cluster(parser, None)
    library.add_partitions(parser)
    add("--restart", action="store_true", help="discard what an earlier run left in OUTPUT")


def run(args: argparse.Namespace) -> int:
    """Write the predictions and say what became of the molecules; give the exit status."""
    if args.output.lower().endswith((".csv", ".csv.gz")):
        return _to_file(args)
    from skmol3d.distributed import predict_library

    library.check_output_folder(args.output, "a single file .csv or .csv.gz")
    args.dask = args.dask or "local"
    best = {"top": args.top, "by": args.by, "lowest": args.lowest}
    settings = best | library.settings(args)
    return library.report(args, predict_library(args.library, args.output, args.model, **settings))


def _to_file(args: argparse.Namespace) -> int:
    """Predictions for one file, in memory and in this process."""
    import pandas as pd

    from skmol3d.estimators.predictions import load_model, predict_or_say, prediction_columns
    from skmol3d.files import appearing, check_output, writing

    of_folders = {"--top": args.top, "--by": args.by, "--lowest": args.lowest, "--dask": args.dask}
    of_folders |= {"--partition-size": args.partition_size, "--restart": args.restart}
    for option, given in of_folders.items():
        if given:
            raise ValueError(f"{option}: not for a CSV file; give a folder as OUTPUT")
    output = Path(args.output)
    check_output(output)
    if output.resolve() in (Path(args.library).resolve(), Path(args.model).resolve()):
        raise ValueError(f"{output}: the same file as the library or the model")
    args.input, args.format, args.crystals = args.library, None, False
    source = find_source(args)
    model = load_model(Path(args.model))
    names, examples = prediction_columns(model, args.model)
    every = list(open_records(source, args))
    if not every:
        raise ValueError(f"{args.library}: there is no molecule in it")
    named = list(dict.fromkeys(name for record in every for name in record.columns if name))
    missing = [name for name in args.keep if name not in named]
    if missing:
        raise ValueError(f"--keep: {args.library} has no column {missing[0]!r}; it has {', '.join(named)}")
    first = label_columns(source, [])
    lost = [name for name in named if name in first and any(_another(record, name) for record in every)]
    if lost and not args.keep:
        raise ValueError(
            f"{args.library}: {lost[0]!r} is not the column that OUTPUT calls so, and would be lost; "
            "say with --keep which columns to keep"
        )
    keep = args.keep or [name for name in named if name not in first]
    twice = [name for name in names if name in keep]
    if twice:
        raise ValueError(f"{args.library}: it has a column {twice[0]!r} already; leave it out with --keep")
    predictions, failures = predict_or_say(model, [record.structure for record in every], len(names))
    labels = [label(r, source, keep) for r in every]
    table = pd.DataFrame(labels, columns=label_columns(source, keep), dtype=object)  # as they came
    for name, values, example in zip(names, predictions, examples, strict=True):
        # Classes 0 and 1 came as 0.0 and 1.0 if any molecule failed, and the next file reads otherwise.
        whole = example.dtype.kind in "iu"
        table[name] = pd.Series(values).astype("Int64") if whole else values
    with writing(output), appearing(output) as made:
        table.to_csv(made, index=False, compression="gzip" if output.suffix.lower() == ".gz" else None)
    good = len(every) - len(failures)
    print(f"{good} of {len(every)} molecules: {output}", file=sys.stderr)
    library.show_failures([(f.index, every[f.index].name, f.input, f.reason) for f in failures])
    return 0 if good else 1


def _another(record: Record, name: str) -> bool:
    """Whether a column of a record is not what the output has under its name."""
    value = record.columns.get(name)
    return value is not None and (name != "id" or str(value).strip() != (record.name or "").strip())
