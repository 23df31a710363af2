"""A model of a column of a table, for `skmol3d predict`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

EXAMPLE = "skmol3d fit assay.csv model.joblib --target pki"
USAGE = "skmol3d fit TABLE MODEL --target COLUMN [options]"
NOTES = """\
Rows without a molecule or a number are left out and named; salts count as their
parents, repeated measurements are averaged. A column of 0 and 1 alone is two
classes, any other one numbers; which it was is said.
How well it will do, next to ECFP, says skmol3d benchmark --table.

"""
HEADS = ("kernel", "ridge", "forest", "fine-tuned")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    add = parser.add_argument
    add("table", metavar="TABLE", type=Path, help=".csv, .tsv or .parquet")
    add("model", metavar="MODEL", type=Path, help="file to write, a pickle")
    add("--target", metavar="COLUMN", required=True, help="the numbers, or classes 0 and 1")
    add("--smiles-column", metavar="COLUMN", help="default: SMILES in any case")
    add("--featurizer", metavar="NAME", default="rem3di-small", help="checkpoint of REM3DI, or ecfp")
    add(
        "--head",
        choices=HEADS,
        default="kernel",
        help="fine-tuned takes minutes (default: kernel, kernel ridge)",
    )
    add("--n-jobs", metavar="N", type=int, help="worker processes that make conformers")


def run(args: argparse.Namespace) -> None:
    """Fit and write the model."""
    import joblib
    from sklearn.pipeline import make_pipeline

    from skmol3d import REM3DIClassifier, REM3DIRegressor, SkipFailures
    from skmol3d.cli.records import own_table
    from skmol3d.files import appearing, check_writable, writing

    if args.model.resolve() == args.table.resolve():
        raise ValueError(f"{args.model}: the same file as the table")
    # Before minutes are spent on what cannot be.
    check_writable(args.model)
    featurizer = _featurizer(args)
    task = own_table(args)
    if args.head == "fine-tuned":
        tuned = REM3DIRegressor if task.kind == "reg" else REM3DIClassifier
        model = SkipFailures(tuned(args.featurizer, n_jobs=args.n_jobs, verbose=featurizer.verbose))
    else:
        model = SkipFailures(make_pipeline(featurizer, _head(args.head, task.kind)))
    y = task.y.astype(int) if task.kind == "cls" else task.y
    model.fit(task.smiles, y)
    # Who predicts has other cores, and may have no screen.
    reader = model.estimator_ if model.featurizer_ is None else model.featurizer_[0]
    reader.set_params(verbose=0, n_jobs=None)
    with writing(args.model), appearing(args.model) as made:
        joblib.dump(model, made, compress=3)
    failed = len(model.failures_)
    print(
        f"fitted to {len(task.smiles) - failed} molecules: {args.model}"
        + (f" ({failed} have no row)" if failed else ""),
        file=sys.stderr,
    )


def _featurizer(args: argparse.Namespace) -> Any:
    """Of the model, or what a fine-tuned one begins as; fitted, so that what is wrong with it is said."""
    from skmol3d import ECFPFeaturizer, REM3DIFeaturizer, hub

    settings = {"errors": "nan", "n_jobs": args.n_jobs, "verbose": int(sys.stderr.isatty())}
    if args.featurizer == "ecfp":
        if args.head == "fine-tuned":
            raise ValueError("--head fine-tuned: ECFP has nothing to tune")
        featurizer: Any = ECFPFeaturizer(count=True, **settings)
    else:
        featurizer = REM3DIFeaturizer(args.featurizer, **settings)
        if args.head == "forest":
            encoder: Any = hub.from_pretrained(args.featurizer)
            featurizer.set_params(blocks="trees" if "words" in encoder.output_blocks() else None)
    return featurizer.fit(())


def _head(name: str, kind: str) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
    from sklearn.linear_model import LogisticRegression, RidgeCV

    from skmol3d import KernelRidgeClassifierCV, KernelRidgeCV
    from skmol3d.benchmark.heads import UNSCALED_ALPHAS

    trees = {"n_estimators": 200, "max_features": 0.15, "random_state": 0}
    heads: dict[tuple[str, str], Callable[[], Any]] = {
        ("kernel", "reg"): KernelRidgeCV,
        ("kernel", "cls"): KernelRidgeClassifierCV,
        ("ridge", "reg"): lambda: RidgeCV(UNSCALED_ALPHAS),
        ("ridge", "cls"): lambda: LogisticRegression(max_iter=1000),
        ("forest", "reg"): lambda: RandomForestRegressor(**trees),
        ("forest", "cls"): lambda: RandomForestClassifier(**trees),
    }
    return heads[name, kind]()
