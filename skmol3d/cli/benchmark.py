"""Compare methods on tasks."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skmol3d.datasets import Task

USAGE = "skmol3d benchmark [--tasks FOLDER | --table FILE --target COLUMN] ..."
EXAMPLE = "skmol3d benchmark --table assay.csv --target pki --folds scaffold --out DIR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--tasks", type=Path, help="folder of NAME.csv with the columns smiles and y, and split if given"
    )
    source.add_argument("--table", type=Path, help="a table of your own: molecules and a column of numbers")
    source.add_argument(
        "--demo", action="store_true", help="the shipped table of small organics (the default)"
    )
    parser.add_argument("--target", metavar="COLUMN", help="of --table: the numbers, or classes 0 and 1")
    parser.add_argument("--smiles-column", metavar="COLUMN", help="of --table (default: SMILES in any case)")
    parser.add_argument("--only", nargs="+", metavar="TASK", help="names of the tasks to run (default: all)")
    parser.add_argument(
        "--methods",
        nargs="+",
        default=["rem3di", "ecfp", "ecfp-count"],
        help="see --list-methods; parameters of a featurizer follow as in "
        "rem3di@n_conformers=5@random_state=1; the wins counted are those of the first",
    )
    parser.add_argument(
        "--heads",
        nargs="+",
        default=["linear", "forest", "kernel"],
        help="linear, forest, kernel (default: these three), unscaled (linear without StandardScaler), "
        "default (Ridge() as it comes)",
    )
    parser.add_argument(
        "--cv", type=_folds, help="KxR: R times K-fold (default: the split of a task, or 5x1)"
    )
    parser.add_argument(
        "--folds",
        choices=("random", "scaffold"),
        default="random",
        help="of --cv: scaffold keeps molecules of one Murcko scaffold together",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of folds and forests")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for results.csv, predictions, tables.md, win_rates.png; resumes there",
    )
    parser.add_argument(
        "--cache-dir", type=Path, help="folder that keeps conformers and rows (default: OUT/cache)"
    )
    parser.add_argument("--n-jobs", type=int, help="worker processes")
    parser.add_argument("--list-methods", action="store_true", help="list the methods and exit")


def _folds(text: str) -> tuple[int, int]:
    splits, _, repeats = text.partition("x")
    if not (splits.isdigit() and repeats.isdigit() and int(splits) > 1 and int(repeats) > 0):
        raise argparse.ArgumentTypeError(f"expected KxR such as 5x3 (K folds at least 2), got {text!r}")
    return int(splits), int(repeats)


def run(args: argparse.Namespace) -> None:
    """Evaluate, print and write the tables."""
    from skmol3d.benchmark import METHODS, best_head, evaluate, plot_win_rates, render, score_table
    from skmol3d.benchmark.heads import check_heads
    from skmol3d.benchmark.report import SELECTIONS

    if args.list_methods:
        print("\n".join(f"{name:16} {text}" for name, text in METHODS.items()))
        return
    of_tables = {"--target": args.target, "--smiles-column": args.smiles_column}
    for option, given in {**of_tables, "--only": args.only}.items():
        if given and (args.table is None) == (option in of_tables):
            raise ValueError(f"{option}: only {'with' if option in of_tables else 'without'} --table")
    # Before minutes are spent on a large table.
    check_heads(args.heads)
    if args.out and args.out.exists() and not args.out.is_dir():
        raise ValueError(f"--out {args.out}: is a file; expected a folder, new or not")
    methods = _methods(args, args.methods)
    tasks = _tasks(args)
    verbose = int(sys.stderr.isatty())
    results = evaluate(
        methods, tasks, args.heads, args.cv, args.seed, args.n_jobs, args.out, verbose, args.folds
    )
    choices = list(SELECTIONS) if len(set(args.heads)) > 1 else ["inner"]
    text = "\n\n".join(render(results, by) for by in choices)
    print(text)
    if args.out:
        results.to_csv(args.out / "results.csv", index=False)
        (args.out / "tables.md").write_text(text + "\n", encoding="utf-8")
        if len(methods) > 1:
            try:
                plot_win_rates(score_table(best_head(results, "inner")), args.out / "win_rates.png")
            except ImportError as error:  # all that took time is done
                print(f"no chart of win rates: {error}", file=sys.stderr)


def _methods(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    from skmol3d.benchmark import make_method

    folder = args.cache_dir or (args.out / "cache" if args.out else None)
    verbose = int(sys.stderr.isatty())
    return {name: make_method(name, args.n_jobs, folder, verbose) for name in names}


def _tasks(args: argparse.Namespace) -> list["Task"]:
    if args.tasks is not None:
        from skmol3d.datasets import read_panel

        return read_panel(args.tasks, args.only)
    if args.table is not None:
        from skmol3d.cli.records import own_table

        return [own_table(args)]
    known = {task.name: task for task in shipped_tasks()}
    unknown = [name for name in args.only or () if name not in known]
    if unknown:
        raise ValueError(f"no task {', '.join(unknown)} in the shipped table; it has {', '.join(known)}")
    return [known[name] for name in args.only or known]


def shipped_tasks(rows: int | None = None) -> list["Task"]:
    """Tasks of the shipped table, or of a seeded choice of its rows."""
    import numpy as np

    from skmol3d.datasets import Task, load_small_organics

    tables = {name: load_small_organics(target=name) for name in ("homo", "lumo", "gap", "dipole")}
    # Mirror images share their labels: in random folds one would tell the other's.
    frame = tables["gap"].frame.drop_duplicates(subset=list(tables))
    if rows is not None:
        frame = frame.iloc[np.sort(np.random.default_rng(0).permutation(len(frame))[:rows])]
    return [
        Task(
            name, "reg", list(frame["smiles"]), frame[name].to_numpy(float), None, table.unit, "shipped table"
        )
        for name, table in tables.items()
    ]
