"""What fine-tuning is worth, next to heads on the frozen row.

``python -m skmol3d.benchmark.experiments.finetuning --tasks FOLDER [--only TASK ...] --out FILE``

For each task of a panel `REM3DIRegressor` or `REM3DIClassifier` is fitted to the training part, and so are
the heads of `skmol3d benchmark` on the row of the same checkpoint, the better of which is taken by its inner
score. Test parts are looked at once, for the scores; with ``--folds K`` they are not read, and scores are
means over K folds of the training part: that is for choosing settings (``--set NAME=VALUE``, of the
estimators). ``--model`` may be a folder with random weights (``experiments.random_checkpoint``), which is a
network of the same size from scratch with ``--set train=all``; ``--ecfp`` adds a forest on ECFP counts.
``--fingerprints METHOD``, of `skmol3d benchmark`, puts its rows in the place of REM3DI's, for the heads and
for the networks (``--set train=head``), on the molecules that have a row of the model.

Prints a Markdown table, of MAE or AUROC, with the share of the networks in the prediction and the CPU seconds
of fine-tuning (conformers and rows are looked up, where they were made before, and count otherwise). FILE
keeps a row for each task and fold, with the networks' mean loss on the molecules that stopped them
(``validation``), by which settings can be compared without a test part; a killed command, repeated, goes on
from there.
"""

import argparse
import ast
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from skmol3d import ECFPFeaturizer, REM3DIClassifier, REM3DIFeaturizer, REM3DIRegressor
from skmol3d.benchmark.fingerprint_networks import (
    FingerprintClassifier,
    FingerprintRegressor,
    method_rows,
)
from skmol3d.benchmark.heads import fit_head
from skmol3d.benchmark.report import markdown
from skmol3d.benchmark.scores import METRIC, better, score
from skmol3d.datasets import Task, read_panel

KEY = ["task", "fold", "model", "settings"]
ESTIMATORS: dict[tuple[str, bool], Any] = {
    ("reg", False): REM3DIRegressor,
    ("cls", False): REM3DIClassifier,
    ("reg", True): FingerprintRegressor,
    ("cls", True): FingerprintClassifier,
}
"""By the kind of a task, and whether rows are a fingerprint's."""


def parts(task: Task, folds: int | None, seed: int) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Training and test rows: the task's own, or folds of its training part."""
    if task.split is None:
        raise ValueError(f"task {task.name!r} has no split of its own")
    train = np.flatnonzero(np.asarray(task.split) == "train")
    if folds is None:
        return [(train, np.flatnonzero(np.asarray(task.split) == "test"))]
    family = KFold if task.kind == "reg" else StratifiedKFold
    made = family(folds, shuffle=True, random_state=seed).split(train, task.y[train])
    return [(train[learn], train[check]) for learn, check in made]


def compare(
    task: Task,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    model: str,
    settings: dict[str, Any],
    heads: Sequence[str],
    ecfp: bool,
    cache_dir: str | None,
    fingerprints: str | None = None,
) -> dict[str, Any]:
    """Scores of one task and split; molecules that fail are left out for all."""
    smiles = np.array(task.smiles, dtype=object)
    featurizer = REM3DIFeaturizer(model, cache_dir=cache_dir, errors="nan").fit([])
    X, X_test = featurizer.transform(smiles[train]), featurizer.transform(smiles[test])
    kept, kept_test = (np.isfinite(rows).all(axis=1) for rows in (X, X_test))
    X, X_test, train, test = X[kept], X_test[kept_test], train[kept], test[kept_test]
    if fingerprints is not None:
        rows_of = method_rows(fingerprints, cache_dir=cache_dir)
        X, X_test = rows_of(smiles[train]), rows_of(smiles[test])
    y, y_test = task.y[train], task.y[test]
    row: dict[str, Any] = {"n_train": len(train), "n_test": len(test), "metric": METRIC[task.kind]}
    row["n_failed"] = int((~kept).sum() + (~kept_test).sum())

    inner = None
    for head in heads:
        fit = fit_head(head, task.kind, X, y, X_test)
        if inner is None or better(task.kind, fit.inner_score, inner):
            inner, row["head"] = fit.inner_score, head
            row["frozen"] = score(task.kind, y_test, fit.prediction)
    if ecfp:
        counts = ECFPFeaturizer(count=True)
        fit = fit_head(
            "forest", task.kind, counts.transform(smiles[train]), y, counts.transform(smiles[test])
        )
        row["ecfp_forest"] = score(task.kind, y_test, fit.prediction)

    start = time.process_time()
    family = ESTIMATORS[task.kind, fingerprints is not None]
    estimator = (
        family(fingerprints or model, cache_dir=cache_dir).set_params(**settings).fit(smiles[train], y)
    )
    if task.kind == "reg":
        predicted = estimator.predict(smiles[test])
    else:
        predicted = estimator.predict_proba(smiles[test])[:, 1]
    row["seconds"] = round(time.process_time() - start, 1)
    row["fine_tuned"] = score(task.kind, y_test, predicted)
    row["share"] = float(estimator.shares_.mean())
    row["validation"] = float(estimator.history_.groupby("network")["validation"].min().mean())
    return row


def table(results: pd.DataFrame) -> str:
    """Means over folds, and how often fine-tuning is ahead."""
    kinds = {name: kind for kind, name in METRIC.items()}
    numbers = [name for name in ("ecfp_forest", "frozen", "fine_tuned") if name in results]
    lines = []
    wins = 0
    for (task, model), part in results.groupby(["task", "model"], sort=False):
        mean = part[[*numbers, "share", "seconds"]].mean()
        metric = part["metric"].iloc[0]
        wins += better(kinds[metric], mean["fine_tuned"], mean["frozen"])
        line = {"task": task, "model": model, "metric": metric, "train": int(part["n_train"].mean())}
        line["head"] = ", ".join(part["head"].unique())
        line |= {name: f"{mean[name]:.4f}" for name in numbers}
        lines.append(line | {"share": f"{mean['share']:.2f}", "seconds": f"{mean['seconds']:.0f}"})
    made = markdown([[str(v) for v in line.values()] for line in lines], list(lines[0]))
    return f"{made}\n\nFine-tuned ahead of frozen: {wins} of {len(lines)}"


def main(argv: Sequence[str] | None = None) -> None:
    """Compare, keep and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=Path, required=True, help="folder of the panel")
    parser.add_argument("--only", nargs="+", metavar="TASK", help="tasks (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="CSV file of the results")
    parser.add_argument("--model", default="rem3di-small")
    parser.add_argument("--heads", nargs="+", default=["linear", "kernel"], help="(default: linear kernel)")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="of the estimators")
    parser.add_argument("--folds", type=int, help="folds of the training part, in place of the test part")
    parser.add_argument("--seed", type=int, default=0, help="of the folds (default: 0)")
    parser.add_argument("--ecfp", action="store_true", help="also a forest on ECFP counts")
    parser.add_argument("--fingerprints", metavar="METHOD", help="rows in the place of the model's")
    parser.add_argument("--cache-dir")
    args = parser.parse_args(argv)
    rows_of = args.fingerprints or args.model
    settings = {name: _value(text) for name, _, text in (item.partition("=") for item in args.set)}
    done = pd.read_csv(args.out, dtype={"settings": str}) if args.out.is_file() else pd.DataFrame(columns=KEY)
    for task in read_panel(args.tasks, args.only):
        for fold, (train, test) in enumerate(parts(task, args.folds, args.seed)):
            name = "test" if args.folds is None else f"{fold} of {args.folds}, seed {args.seed}"
            key = dict(zip(KEY, (task.name, name, rows_of, str(settings)), strict=True))
            if not (done[KEY] == pd.Series(key)).all(axis=1).any():
                own = (args.model, settings, args.heads, args.ecfp, args.cache_dir, args.fingerprints)
                row = compare(task, train, test, *own)
                done = pd.concat([done, pd.DataFrame([key | row])], ignore_index=True)
                args.out.parent.mkdir(parents=True, exist_ok=True)
                done.to_csv(args.out, index=False)
                print(key | row, flush=True)
    wanted = done[(done["model"] == rows_of) & (done["settings"] == str(settings))]
    wanted = wanted[(wanted["fold"] == "test") == (args.folds is None)]
    print(table(wanted))


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


if __name__ == "__main__":
    main()
