"""Tables of the documentation from the results that lie beside it.

``python -m skmol3d.benchmark.experiments.panel --fill README.md docs/benchmark.md
docs/systems/finetuning.md``
``python -m skmol3d.benchmark.experiments.panel --collect FOLDER ... [--results docs/results/panel.csv]``

``docs/results/panel.csv`` holds one line for each task, method and head of `skmol3d benchmark`;
``--collect`` adds what is in folders that the command wrote (``--out``), later ones replacing what the file
and earlier ones say of the same methods; where rivals were scored with and without the molecules that
another method had dropped, the scores without them count. ``docs/results/finetuning.csv`` is what
``experiments.finetuning --out`` wrote, ``finetuning_scratch.csv`` what it wrote for random weights, and
``finetuning_ecfp.csv`` what with ``--fingerprints ecfp-count``; ``variants.csv`` is that of other rows
(`experiments.variants`). In each file to fill, what stands between ``<!-- table: NAME -->`` and ``<!-- end
-->`` is replaced by the table of that name (see `tables`). A test holds the documentation to it.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from skmol3d.benchmark.experiments.variants import TREES, VARIANTS, blocks, conformers, training, trees
from skmol3d.benchmark.report import best_head, losses, markdown, score_table, tasks_won

RESULTS = Path("docs/results/panel.csv")
TUNED = Path("docs/results/finetuning.csv")
SCRATCH = Path("docs/results/finetuning_scratch.csv")
NETWORKS = Path("docs/results/finetuning_ecfp.csv")
METHODS = ("rem3di", "ecfp", "ecfp-count", "words2d", "rdkit2d")
BOTH = "ecfp-count+rdkit2d"
HEADS = {
    "linear": "ridge against ridge",
    "forest": "forest against forest",
    "kernel": "kernel against kernel",
}
RIDGES = {
    "linear": "`StandardScaler`, penalty searched",
    "unscaled": "no scaler, penalty searched",
    "default": "`Ridge()` or `LogisticRegression()`",
}
FINGERPRINTS = ("ecfp", "ecfp-count")
INNER = "head of the best inner score"
KEPT = [
    *("task", "kind", "unit", "method", "head", "repeat", "fold", "score", "inner_score"),
    *("chosen", "n_train", "n_test", "n_failed", "n_dropped"),
]
EXCERPT = {
    "biogen_hlm": "HLM clearance, log10 mL/min/kg",
    "biogen_mdr1_er": "MDR1-MDCK efflux, log10 ratio",
    "biogen_sol": "solubility, log10 µg/mL",
    "biogen_hppb": "human plasma binding, log10 % unbound",
    "esol": "ESOL, log10 mol/L",
    "freesolv": "FreeSolv, kcal/mol",
    "lipo": "lipophilicity, logD",
    "ace_chembl219_ki": "CHEMBL219, pKi",
}
"""Tasks of the README, which were chosen before the results: one of each sort."""


def collect(folders: Sequence[Path], known: Sequence[pd.DataFrame] = ()) -> pd.DataFrame:
    """One line for each task, method and head of what is known and of runs, the later where both have it."""
    runs = list(known)
    for folder in folders:
        files = sorted((folder / "results").glob("*.csv"))
        if not files:
            raise FileNotFoundError(f"{folder}: no results of `skmol3d benchmark`")
        runs += [pd.read_csv(file) for file in files]
    every = pd.concat(runs, ignore_index=True)
    latest = every.iloc[::-1].sort_values("n_dropped", ascending=False, kind="stable")
    once = latest.drop_duplicates(["task", "method", "head"])[KEPT]
    return once.sort_values(["kind", "task", "method", "head"], ignore_index=True)


def scores(results: pd.DataFrame) -> str:
    """Scores of every head, that of the best inner score in bold."""
    results, rows = _compared(results), []
    for task in dict.fromkeys(results["task"]):
        cells = []
        for method in METHODS:
            part = results[(results["task"] == task) & (results["method"] == method)].set_index("head")
            best = best_head(part.reset_index())["head"].tolist() if len(part) == len(HEADS) else []
            found = [f"{part['score'][head]:.3f}" if head in part.index else "–" for head in HEADS]
            cells.append(" / ".join(_bold(v, h in best) for v, h in zip(found, HEADS, strict=True)))
        rows.append([task, *cells])
    return markdown(rows, ["task", *METHODS])


def wins(results: pd.DataFrame) -> str:
    """Tasks on which REM3DI is better, under one head and under the head of the best inner score."""
    results = _compared(results)
    parts = {text: results[results["head"] == head] for head, text in HEADS.items()}
    parts[INNER] = _chosen(results)
    rows = []
    for text, part in parts.items():
        loss = losses(score_table(part))
        loss["better"] = loss[["ecfp", "ecfp-count"]].min(axis=1, skipna=False)
        rows.append(
            [text, *(tasks_won(loss, "rem3di", rival) for rival in ("better", "words2d", "rdkit2d", BOTH))]
        )
    names = ("than the better ECFP", "than `words2d`", "than `rdkit2d`", "than ECFP counts beside `rdkit2d`")
    return markdown(rows, ["head", *names])


def ridges(results: pd.DataFrame) -> str:
    """Scores of linear models with and without a scaler and a search, and how often REM3DI is better."""
    methods = ("rem3di", *FINGERPRINTS)
    results = results[results["method"].isin(methods)]
    by = results.set_index(["task", "method", "head"])["score"]
    rows = [
        [task, *(" / ".join(f"{by[task, method, head]:.3f}" for head in RIDGES) for method in methods)]
        for task in dict.fromkeys(results["task"])
    ]
    of = {head: losses(score_table(results[results["head"] == head])) for head in RIDGES}
    compared = {text: of[head] for head, text in RIDGES.items()}
    searched = of["linear"].where(of["linear"] < of["unscaled"], of["unscaled"])
    searched = searched.assign(rem3di=of["default"]["rem3di"])
    compared[f"{RIDGES['default']}, against the better of both searches on ECFP"] = searched
    counted = []
    for text, loss in compared.items():
        loss["better"] = loss[list(FINGERPRINTS)].min(axis=1)
        counted.append([text, *(tasks_won(loss, "rem3di", rival) for rival in ("better", *FINGERPRINTS))])
    told = markdown(counted, ["linear model", "than the better ECFP", "than ECFP", "than ECFP counts"])
    return f"{markdown(rows, ['task', *methods])}\n\nTasks in which REM3DI is better:\n\n{told}"


def claims(results: pd.DataFrame, variants: pd.DataFrame) -> str:
    """What the README says of frozen rows: regression tasks on which they beat the better ECFP."""

    def ahead_of_ecfp(table: pd.DataFrame, method: str = "rem3di") -> int:
        loss = losses(table).loc[(slice(None), "reg"), :]
        return int((loss[method] < loss[list(FINGERPRINTS)].min(axis=1)).sum())

    heads = (*HEADS, "unscaled", "default")
    won = {head: ahead_of_ecfp(score_table(results[results["head"] == head])) for head in heads}
    every = pd.concat([results, variants])
    won["trees"] = ahead_of_ecfp(score_table(every[every["head"] == "forest"]), TREES)
    won["inner"] = ahead_of_ecfp(_best(results))
    count = results.loc[results["kind"] == "reg", "task"].nunique()
    return (
        f"Of {count} regression tasks, frozen rows are better than the better ECFP under the same head on "
        f"{won['default']} with `Ridge()` as it comes, which REM3DI's rows are scaled for "
        f"({won['unscaled']} with the penalty searched for both, {won['linear']} with a scaler, too), "
        f"on {won['kernel']} with `KernelRidgeCV()`, on {won['forest']} with a random forest "
        f'({won["trees"]} with `REM3DIFeaturizer(blocks="trees")`); '
        f"each with its best head by inner score, on {won['inner']}."
    )


def excerpt(results: pd.DataFrame, tuned: pd.DataFrame) -> str:
    """The README's tasks by the head of the best inner score and fine-tuned, the best method in bold."""
    methods = METHODS[:4]
    table = _best(results)[list(methods)].droplevel("kind")
    table.insert(0, "tuned", tuned.set_index("task")["fine_tuned"])
    rows = []
    for task, text in EXCERPT.items():
        own = table.loc[task].round(3)
        rows.append([text, *(_bold(f"{v:.3f}", v == own.min()) if v == v else "–" for v in own)])
    names = ["task", "fine-tuned", "rem3di", "ECFP", "ECFP counts", "the same counts, no network"]
    return f"{markdown(rows, names)}\n\n{ahead(results, tuned)}"


def finetuned(results: pd.DataFrame, tuned: pd.DataFrame) -> str:
    """Fine-tuning next to the frozen row and the better ECFP, the best in bold, and how often it is ahead."""
    rows = []
    for task, own in _with_ecfp(results, tuned).iterrows():
        cells = _marked(own, ["ecfp", "frozen", "fine_tuned"])
        facts = [str(task), own["metric"], f"{own['n_train']:,.0f}"]
        rows.append([*facts, *cells, f"{own['share']:.2f}", f"{own['seconds']:.0f}"])
    names = ["task", "metric", "training molecules", "better ECFP", "frozen row", "fine-tuned"]
    made = markdown(rows, [*names, "share of the networks", "seconds"])
    return f"{made}\n\n{ahead(results, tuned)}"


def from_scratch(tuned: pd.DataFrame, scratch: pd.DataFrame) -> str:
    """Fine-tuning next to the same network from random weights, the best in bold.

    And how often the pretrained one is ahead, and by how much.
    """
    both = _beside(tuned, scratch)
    four = ["pretrained_frozen", "pretrained_fine_tuned", "frozen", "fine_tuned"]
    rows = [
        [str(task), own["metric"], f"{own['n_train']:,.0f}", *_marked(own, four)]
        for task, own in both.iterrows()
    ]
    names = ["task", "metric", "training molecules", "pretrained, frozen row", "fine-tuned"]
    made = markdown(rows, [*names, "random, frozen row", "fine-tuned"])
    wins, ratio = _gain(both)
    return (
        f"{made}\n\nFine-tuned, the pretrained start is ahead on {wins} of {len(rows)} tasks; its errors of "
        f"regression are {ratio:.2f} times those of random weights (geometric mean)."
    )


def on_fingerprints(tuned: pd.DataFrame, networks: pd.DataFrame) -> str:
    """Fine-tuning next to the same networks on ECFP counts, the best in bold, and how often each is ahead."""
    both = _beside(tuned, networks)
    rows = []
    for task, own in both.iterrows():
        alone, blended, rem3di = _marked(own, ["frozen", "fine_tuned", "pretrained_fine_tuned"])
        rows.append([str(task), own["metric"], alone, blended, f"{own['share']:.2f}", rem3di])
    names = ["task", "metric", "ECFP counts, ridge or kernel", "with networks", "their share"]
    made = markdown(rows, [*names, "REM3DI, fine-tuned"])
    wins, ratio = _gain(both)
    own_wins = (both["sign"] * (both["fine_tuned"] - both["frozen"]) < 0).sum()
    return (
        f"{made}\n\nNetworks on ECFP counts are ahead of ridge or kernel on {own_wins} of {len(rows)} tasks. "
        f"REM3DI, fine-tuned, is ahead of them on {wins}; its errors of regression are {ratio:.2f} times "
        "theirs (geometric mean)."
    )


def _beside(tuned: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Other fits by task, with the scores of fine-tuning from pretrained weights (``pretrained_...``)."""
    ours = tuned.set_index("task")[["frozen", "fine_tuned"]].add_prefix("pretrained_")
    return _signed(other.set_index("task").sort_index().join(ours))


def _gain(both: pd.DataFrame) -> tuple[int, float]:
    """How often pretrained, fine-tuned rows are ahead of others, and their errors relative to these."""
    one, other = both["pretrained_fine_tuned"], both["fine_tuned"]
    ratios = (one / other)[both["metric"] == "MAE"]
    return int((both["sign"] * (one - other) < 0).sum()), float(np.exp(np.log(ratios).mean()))


def _signed(table: pd.DataFrame) -> pd.DataFrame:
    """With ``sign``: -1 where more is better, else 1."""
    return table.assign(sign=np.where(table["metric"] == "MAE", 1, -1))


def _marked(own: pd.Series, names: list[str]) -> list[str]:
    """Scores of a task as text, the best in bold."""
    best = (own[names] * own["sign"]).min() * own["sign"]
    return [_bold(f"{own[name]:.3f}", own[name] == best) for name in names]


def ahead(results: pd.DataFrame, tuned: pd.DataFrame) -> str:
    """How often fine-tuning is ahead."""
    table = _with_ecfp(results, tuned)
    better = [
        (table["sign"] * (table["fine_tuned"] - table[rival]) < 0).sum() for rival in ("frozen", "ecfp")
    ]
    return (
        f"Fine-tuning is ahead of the frozen row on {better[0]} of {len(table)} tasks, and of the better "
        f"ECFP on {better[1]}."
    )


def _with_ecfp(results: pd.DataFrame, tuned: pd.DataFrame) -> pd.DataFrame:
    """Fine-tuned tasks with the score of the better ECFP."""
    table = _signed(tuned.sort_values(["metric", "task"], ascending=[False, True]).set_index("task"))
    rivals = _best(results).droplevel("kind").loc[table.index, ["ecfp", "ecfp-count"]]
    table["ecfp"] = rivals.mul(table["sign"], axis=0).min(axis=1) * table["sign"]
    return table


def _best(results: pd.DataFrame) -> pd.DataFrame:
    """Scores by task and method, each by the head of its best inner score."""
    return score_table(_chosen(_compared(results)))


def _chosen(results: pd.DataFrame) -> pd.DataFrame:
    """Results of the heads of the best inner score, where all heads have been tried."""
    complete = results.groupby(["task", "method"])["head"].transform("nunique") == len(HEADS)
    return best_head(results[complete])


def _compared(results: pd.DataFrame) -> pd.DataFrame:
    """The heads that every method meets, without other linear models."""
    return results[results["head"].isin(HEADS)]


def _bold(text: str, strong: bool) -> str:
    return f"**{text}**" if strong else text


def tables(
    results: pd.DataFrame,
    tuned: pd.DataFrame,
    scratch: pd.DataFrame,
    networks: pd.DataFrame,
    variants: pd.DataFrame,
) -> dict[str, Callable[[], str]]:
    """What makes each table, by its name."""
    return {
        "scores": partial(scores, results),
        "wins": partial(wins, results),
        "ridges": partial(ridges, results),
        "conformers": partial(conformers, results, variants),
        "trees": partial(trees, results, variants),
        "blocks": partial(blocks, results, variants),
        "training": partial(training, results, variants),
        "claims": partial(claims, results, variants),
        "finetuned": partial(finetuned, results, tuned),
        "scratch": partial(from_scratch, tuned, scratch),
        "networks": partial(on_fingerprints, tuned, networks),
        "excerpt": partial(excerpt, results, tuned),
    }


def fill(text: str, *results: pd.DataFrame) -> str:
    """The text with its tables made anew from what `read` returns; ValueError for one that there is not."""
    known = tables(*results)

    def made(match: re.Match[str]) -> str:
        if match[1] not in known:
            raise ValueError(f"no table {match[1]!r}; there are {', '.join(known)}")
        return f"<!-- table: {match[1]} -->\n{known[match[1]]()}\n<!-- end -->"

    return re.sub(r"<!-- table: (\S+) -->.*?<!-- end -->", made, text, flags=re.DOTALL)


def read(path: Path = RESULTS) -> tuple[pd.DataFrame, ...]:
    """The committed results: the panel, fine-tuning, from random weights, on fingerprints, and other rows."""
    panel, variants = (pd.read_csv(file, dtype={"chosen": str}) for file in (path, VARIANTS))
    return panel, pd.read_csv(TUNED), pd.read_csv(SCRATCH), pd.read_csv(NETWORKS), variants


def main(argv: Sequence[str] | None = None) -> None:
    """Collect, fill or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--collect", type=Path, nargs="+", default=[], metavar="FOLDER")
    parser.add_argument("--fill", type=Path, nargs="+", default=[], metavar="FILE")
    args = parser.parse_args(argv)
    if args.collect:
        known = [pd.read_csv(args.results, dtype={"chosen": str})] if args.results.is_file() else []
        collect(args.collect, known).to_csv(args.results, index=False, float_format="%.6g")
        return
    found = read(args.results)
    for path in args.fill:
        path.write_text(fill(path.read_text(encoding="utf-8"), *found), encoding="utf-8")
    if not args.fill:
        print("\n\n".join(made() for made in tables(*found).values()))


if __name__ == "__main__":
    main()
