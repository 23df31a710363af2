"""Tables of REM3DI's other rows: other conformers, the columns for forests, some blocks, random weights.

They stand in docs/benchmark.md, where `skmol3d.benchmark.experiments.panel` puts them, from
``docs/results/variants.csv``, which it collects from what these wrote (``--out FOLDER``):

- ``skmol3d benchmark --methods rem3di@random_state=1 rem3di@n_conformers=5 --heads unscaled kernel``
- ``skmol3d benchmark --methods rem3di@blocks=trees --heads forest``
- ``skmol3d benchmark --heads unscaled kernel --methods`` and the names in `BLOCKS`
- ``skmol3d benchmark --methods rem3di:random --heads linear kernel``, in the folder where
  `skmol3d.benchmark.experiments.random_checkpoint` wrote ``random``
"""

from pathlib import Path

import numpy as np
import pandas as pd

from skmol3d.benchmark.report import losses, markdown, score_table, tasks_won

VARIANTS = Path("docs/results/variants.csv")
CONFORMERS = {"rem3di": "seed 0", "rem3di@random_state=1": "seed 1", "rem3di@n_conformers=5": "mean of five"}
HEADS = ("unscaled", "kernel")
TREES = "rem3di@blocks=trees"
FOREST = {"rem3di": "all columns", TREES: '`blocks="trees"`', "ecfp": "ECFP", "ecfp-count": "ECFP counts"}
COUNTED = "rem3di@blocks=('words','rare','signed')"
BLOCKS = {
    COUNTED: "counts of the graph",
    "rem3di@blocks=('words','rare','signed','surface','strain')": "and `surface`, `strain`",
    "rem3di@blocks=('words','rare','signed','properties','dense')": "and `properties`, `dense`",
    "rem3di": "all",
}
UNTRAINED = "rem3di:random"
TRAINING = {UNTRAINED: "random weights", "rem3di": "trained"}


def conformers(results: pd.DataFrame, variants: pd.DataFrame) -> str:
    """Scores of other conformers, and by how much of the error they differ in the median."""
    every, made = _side_by_side(results, variants, CONFORMERS)
    told = [_change(every[every["head"] == head], head) for head in HEADS]
    names = ["head", "seed 1 against seed 0, median", "five against one, median", "five are better"]
    return f"{made}\n\nChanges of the error, regression tasks:\n\n{markdown(told, names)}"


def blocks(results: pd.DataFrame, variants: pd.DataFrame) -> str:
    """Scores of some blocks, and the error relative to counts alone, its geometric mean over the tasks."""
    every, made = _side_by_side(results, variants, BLOCKS)
    told = _relative(every, BLOCKS, HEADS)
    return f"{made}\n\nErrors of regression relative to counts alone (better on):\n\n{told}"


def training(results: pd.DataFrame, variants: pd.DataFrame) -> str:
    """Scores of trained and random weights, and the error of trained ones relative to random ones."""
    heads = ("linear", "kernel")
    tried = variants.loc[variants["method"] == UNTRAINED, "task"]
    every, made = _side_by_side(results[results["task"].isin(tried)], variants, TRAINING, heads)
    told = _relative(every, TRAINING, heads)
    return f"{made}\n\nErrors of regression relative to random weights (better on):\n\n{told}"


def trees(results: pd.DataFrame, variants: pd.DataFrame) -> str:
    """Forests on all columns, on those for forests, and on fingerprints; and how often which is better."""
    every = pd.concat([results, variants])
    table = score_table(every[(every["head"] == "forest") & every["method"].isin(FOREST)])
    table = table.dropna(subset=[TREES])[list(FOREST)]
    tasks = table.index.get_level_values("task")
    rows = [[task, *(f"{v:.3f}" for v in own)] for task, own in zip(tasks, table.to_numpy(), strict=True)]
    loss = losses(table)
    loss["better"] = loss[["ecfp", "ecfp-count"]].min(axis=1)
    pairs = (("rem3di", "better"), (TREES, "better"), (TREES, "rem3di"))
    named = {**FOREST, "better": "the better ECFP"}
    won = [[f"{FOREST[a]} against {named[b]}", tasks_won(loss, a, b)] for a, b in pairs]
    made = markdown(rows, ["task", *FOREST.values()])
    return f"{made}\n\n{markdown(won, ['forest', 'better on'])}"


def _relative(every: pd.DataFrame, methods: dict[str, str], heads: tuple[str, ...]) -> str:
    """Table of errors relative to the first method, their geometric mean over the regression tasks."""
    first, *others = methods
    told = []
    for head in heads:
        loss = losses(score_table(every[every["head"] == head]))
        loss = loss.loc[loss.index.get_level_values("kind") == "reg", list(methods)]
        relative = loss.div(loss[first], axis=0)
        cells = [
            f"{np.exp(np.log(own).mean()):.3f} ({int((own < 1).sum())}/{len(own)})"
            for own in (relative[method].dropna() for method in others)
        ]
        told.append([f"`{head}`", *cells])
    return markdown(told, ["head", *(methods[method] for method in others)])


def _side_by_side(
    results: pd.DataFrame,
    variants: pd.DataFrame,
    methods: dict[str, str],
    heads: tuple[str, ...] = HEADS,
) -> tuple[pd.DataFrame, str]:
    """Results of these methods, and a table of both heads."""
    every = pd.concat([results, variants])
    every = every[every["method"].isin(methods) & every["head"].isin(heads)]
    by = every.set_index(["task", "method", "head"])["score"]
    rows = []
    for task in dict.fromkeys(every["task"]):
        cells = [" / ".join(_cell(by, (task, method, head)) for head in heads) for method in methods]
        rows.append([task, *(cell.replace("– / –", "–") for cell in cells)])
    return every, markdown(rows, ["task", *methods.values()])


def _cell(by: pd.Series, key: tuple[str, str, str]) -> str:
    return f"{by[key]:.3f}" if key in by.index else "–"


def _change(part: pd.DataFrame, head: str) -> list[str]:
    one, other, five = (
        part[(part["method"] == method) & (part["kind"] == "reg")].set_index("task")["score"]
        for method in CONFORMERS
    )
    seed, more = (other / one - 1).dropna(), (five / one - 1).dropna()
    better = f"{int((more < 0).sum())}/{len(more)}"
    return [f"`{head}`", f"{np.median(seed.abs()):.1%} of it", f"{np.median(more):+.1%}", better]
