"""The command line: ``skmol3d featurize | benchmark | demo | label | pretrain``."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import skmol3d

if TYPE_CHECKING:
    from skmol3d.datasets import Task

DEMO_ROWS = 500
INPUTS = ".smi, .csv, .tsv, .parquet, .sdf, .mol, .xyz, .extxyz"


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
    parser = _parser()
    args, rest = parser.parse_known_args(argv)
    if args.command == "pretrain":  # only the trainer, which is not imported yet, knows its arguments
        args.rest = rest
    elif rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        args.run(args)
    except (OSError, ValueError, ImportError) as error:
        # What users get wrong (files, columns, checkpoints, molecules) raises these, with a message for them.
        print(f"skmol3d {args.command}: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="skmol3d", description=skmol3d.__doc__)
    parser.add_argument("--version", action="version", version=f"skmol3d {skmol3d.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    featurize = commands.add_parser("featurize", help="molecules in a file to rows of numbers in a file")
    featurize.add_argument("input", type=Path, help=f"{INPUTS}, or .gz of these")
    featurize.add_argument(
        "output", type=Path, help=".npy (float32 matrix) or .csv (SMILES or row number, features)"
    )
    featurize.add_argument("--smiles-column", help="column of the table (default: SMILES in any case)")
    featurize.add_argument(
        "--model", default="rem3di-small", help="bundled name, folder or Hub id; or 'ecfp'"
    )
    featurize.add_argument("--revision", help="commit, tag or branch of a Hub model")
    featurize.add_argument("--n-conformers", type=int, default=1, help="conformers per molecule (default: 1)")
    featurize.add_argument("--random-state", type=int, default=0, help="goes into every conformer's seed")
    featurize.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default: auto)")
    featurize.add_argument("--n-jobs", type=int, help="processes that make conformers")
    featurize.add_argument("--cache-dir", type=Path, help="folder that keeps rows for the next run")
    featurize.add_argument(
        "--errors",
        choices=["nan", "raise"],
        default="nan",
        help="nan (default): failed molecules are rows of NaN, listed in OUTPUT.failures.csv; raise: no file",
    )
    featurize.set_defaults(run=_featurize)

    benchmark = commands.add_parser("benchmark", help="compare methods on tasks")
    source = benchmark.add_mutually_exclusive_group()
    source.add_argument("--tasks", type=Path, help="folder of tasks (tasks.json and <task>.csv.gz)")
    source.add_argument(
        "--demo", action="store_true", help="the shipped table of small organics (the default)"
    )
    benchmark.add_argument(
        "--only", nargs="+", metavar="TASK", help="names of the tasks to run (default: all)"
    )
    benchmark.add_argument(
        "--methods", nargs="+", default=["rem3di", "ecfp", "ecfp-count"], help="see --list-methods"
    )
    benchmark.add_argument(
        "--heads", nargs="+", default=["linear", "forest"], help="linear, forest (default: both)"
    )
    benchmark.add_argument("--model", default="rem3di-small", help="checkpoint of the encoder-based methods")
    benchmark.add_argument("--cv", type=_folds, help="KxR: R times K-fold (default: given splits, or 5x1)")
    benchmark.add_argument("--seed", type=int, default=0, help="seed of folds, forests and random weights")
    benchmark.add_argument(
        "--out", type=Path, help="folder for results.csv, tables.md, win_rates.png; resumes there"
    )
    benchmark.add_argument("--cache-dir", type=Path, help="folder that keeps conformers (default: OUT/cache)")
    benchmark.add_argument("--n-jobs", type=int, help="worker processes")
    benchmark.add_argument("--list-methods", action="store_true", help="list the methods and exit")
    benchmark.set_defaults(run=_benchmark)

    demo = commands.add_parser(
        "demo", help="REM3DI + ridge against ECFP + ridge on shipped data, in a minute"
    )
    demo.add_argument("--n-jobs", type=int, help="worker processes")
    demo.add_argument("--model", default="rem3di-small", help="checkpoint (default: rem3di-small)")
    demo.set_defaults(run=_demo)

    label = commands.add_parser(
        "label",
        help="GFN2-xTB energies, forces, charges, dipoles and orbitals of the molecules in a file",
        description="Label molecules with GFN2-xTB through tblite, for training. A killed run continues when "
        "the same command is given again. What cannot be labelled is listed in OUTPUT.failures.csv.",
    )
    label.add_argument("input", type=Path, help=f"{INPUTS}, or .gz of these")
    label.add_argument("output", type=Path, help=".npz that the recipes' `potential` data are read from")
    label.add_argument("--smiles-column", help="column of the table (default: SMILES in any case)")
    label.add_argument(
        "--n-conformers", type=int, default=1, help="conformers per molecule without coordinates (default: 1)"
    )
    label.add_argument("--random-state", type=int, default=0, help="goes into every conformer's seed")
    label.add_argument(
        "--relax",
        choices=["mmff", "none"],
        default="mmff",
        help="relax conformers with MMFF94 (default) or leave them as ETKDG gives them",
    )
    label.add_argument("--n-jobs", type=int, help="worker processes, one thread each (default: 1; -1: all)")
    label.set_defaults(run=_label)

    pretrain = commands.add_parser("pretrain", help="train a checkpoint from a recipe", add_help=False)
    pretrain.set_defaults(run=_pretrain)
    return parser


def _folds(text: str) -> tuple[int, int]:
    splits, _, repeats = text.partition("x")
    if not (splits.isdigit() and repeats.isdigit() and int(splits) > 1 and int(repeats) > 0):
        raise argparse.ArgumentTypeError(f"expected KxR such as 5x3 (K folds at least 2), got {text!r}")
    return int(splits), int(repeats)


# --- featurize -------------------------------------------------------------------------------------------


def _featurize(args: argparse.Namespace) -> None:
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


# --- benchmark and demo ----------------------------------------------------------------------------------


def _benchmark(args: argparse.Namespace) -> None:
    from skmol3d.benchmark import METHODS, best_head, evaluate, plot_win_rates, render, score_table
    from skmol3d.benchmark.report import SELECTIONS

    if args.list_methods:
        print("\n".join(f"{name:16} {text}" for name, text in METHODS.items()))
        return
    tasks = _tasks(args)
    cv = args.cv or (None if args.tasks else (5, 1))
    methods = _methods(args, args.methods)
    verbose = int(sys.stderr.isatty())
    results = evaluate(methods, tasks, args.heads, cv, args.seed, args.n_jobs, args.out, verbose)
    choices = list(SELECTIONS) if len(set(args.heads)) > 1 else ["inner"]
    text = "\n\n".join(render(results, by) for by in choices)
    print(text)
    if args.out:
        results.to_csv(args.out / "results.csv", index=False)
        (args.out / "tables.md").write_text(text + "\n", encoding="utf-8")
        if len(methods) > 1:
            plot_win_rates(score_table(best_head(results, "inner")), args.out / "win_rates.png")


def _methods(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    from skmol3d.benchmark.methods import make_method
    from skmol3d.benchmark.store import ConformerStore

    folder = args.cache_dir or (args.out / "cache" if args.out else None)
    store = ConformerStore(folder, n_jobs=args.n_jobs, verbose=int(sys.stderr.isatty()))
    return {name: make_method(name, args.model, store, args.n_jobs, args.seed) for name in names}


def _tasks(args: argparse.Namespace) -> list["Task"]:
    if args.tasks is not None:
        from skmol3d.datasets import read_panel

        return read_panel(args.tasks, args.only)
    known = {task.name: task for task in _shipped_tasks()}
    unknown = [name for name in args.only or () if name not in known]
    if unknown:
        raise ValueError(f"no task {', '.join(unknown)} in the shipped table; it has {', '.join(known)}")
    return [known[name] for name in args.only or known]


def _shipped_tasks(rows: int | None = None) -> list["Task"]:
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


def _demo(args: argparse.Namespace) -> None:
    from skmol3d.benchmark import evaluate, render

    start = time.perf_counter()
    tasks = [task for task in _shipped_tasks(DEMO_ROWS) if task.name in ("dipole", "gap")]
    methods = {
        "rem3di": skmol3d.REM3DIFeaturizer(model=args.model, n_jobs=args.n_jobs),
        "ecfp": skmol3d.ECFPFeaturizer(),
    }
    results = evaluate(methods, tasks, ["linear"], cv=(5, 1))
    print(f"REM3DI + ridge against ECFP + ridge: {DEMO_ROWS} of the shipped small organics, 5-fold, MAE\n")
    print(render(results))
    # The user must not take this for evidence: the checkpoint has met these quantities before.
    print(
        "\nAn illustration: rem3di-small was pretrained on the same GFN2-xTB quantities, partly of the same "
        "molecules.\nThe README compares on measured data."
    )
    print(f"{time.perf_counter() - start:.0f} s, conformers included")


def _label(args: argparse.Namespace) -> None:
    from skmol3d.structures import ConformerSettings
    from skmol3d.trainer.data.labelling import label_file

    start = time.perf_counter()
    settings = ConformerSettings(
        n_conformers=args.n_conformers,
        random_state=args.random_state,
        relax=None if args.relax == "none" else args.relax,
    )
    verbose = int(sys.stderr.isatty())
    done = label_file(args.input, args.output, args.smiles_column, settings, args.n_jobs, verbose)
    earlier = f" ({done.resumed} inputs were done before)" if done.resumed else ""
    print(
        f"{done.conformers} conformers of {done.inputs} inputs in {time.perf_counter() - start:.1f} s: "
        f"{args.output}{earlier}"
    )
    if done.failures:
        print(f"{len(done.failures)} failures, listed in {args.output}.failures.csv", file=sys.stderr)
        for failure in done.failures[:10]:
            print(f"  [{failure.index}] {failure.input}: {failure.reason}", file=sys.stderr)


def _pretrain(args: argparse.Namespace) -> None:
    from skmol3d.trainer import pretrain  # an extra: nothing but this command imports it

    parser = argparse.ArgumentParser(prog="skmol3d pretrain")
    pretrain.add_arguments(parser)
    pretrain.run(parser.parse_args(args.rest))


if __name__ == "__main__":
    sys.exit(main())
