"""Tables from the results of `skmol3d.benchmark.evaluate`."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import t as student
from scipy.stats import wilcoxon

from skmol3d.benchmark.scores import METRIC

LEVEL = 0.05
SPLIT = ["task", "method", "repeat", "fold"]
SELECTIONS = {
    "inner": "for each task and method the head chosen by its score inside the training part",
    "test": "for each task and method the head with the best test score (optimistic, alike for all)",
}


SEED = "@random_state="  # as `make_method` reads it
INNER = (
    "Wins are of a head over the same head of the rival, and of the heads shown. All inner scores, by which "
    "heads are chosen, are of molecules left out: by ridge and kernel one at a time, by forests those out of "
    "bag, by logistic regression five folds."
)


def best_head(results: pd.DataFrame, by: str = "inner") -> pd.DataFrame:
    """Keep one head per task and method.

    Parameters
    ----------
    results : DataFrame
        From `evaluate`.
    by : {"inner", "test"}
        ``inner``: for each split the head with the best score inside the training part. ``test``: the head
        with the best mean test score over the splits, an optimistic choice that is often reported.

    Returns
    -------
    DataFrame
        The rows kept, one per task, method, repeat and fold.

    Raises
    ------
    ValueError
        If `by` is something else.
    """
    if by not in SELECTIONS:
        raise ValueError(f"by must be 'inner' or 'test', got {by!r}")
    sign = np.where(results["kind"] == "reg", 1.0, -1.0)
    if by == "inner":
        loss = results["inner_score"] * sign
    else:
        loss = results.groupby(["task", "method", "head"])["score"].transform("mean") * sign
    chosen = loss.groupby([results[name] for name in SPLIT]).idxmin()
    return results.loc[np.sort(chosen.to_numpy())].reset_index(drop=True)


def score_table(results: pd.DataFrame) -> pd.DataFrame:
    """Mean test score of each task (index: task, kind) and method (columns), in order of appearance.

    Raises
    ------
    ValueError
        If a split has several heads: choose with `best_head`, or select one head.
    """
    if results.duplicated(SPLIT).any():
        raise ValueError("several heads per split; choose with best_head(results), or keep one head")
    table = results.pivot_table(index=["task", "kind"], columns="method", values="score", sort=False)
    return table[list(dict.fromkeys(results["method"]))]


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Scores as something to minimise: MAE as it is, 1 - AUROC."""
    classes = table.index.get_level_values("kind") == "cls"
    return table.where(~classes[:, None].repeat(table.shape[1], axis=1), 1 - table)


def better_of(table: pd.DataFrame, methods: list[str], name: str) -> pd.DataFrame:
    """`table` with one more column: on each task the better score among `methods`."""
    classes = table.index.get_level_values("kind") == "cls"
    best = table[methods].min(axis=1).where(~classes, table[methods].max(axis=1))
    return table.assign(**{name: best})


def tasks_won(loss: pd.DataFrame, method: str, rival: str) -> str:
    """On how many of the tasks that both have ``method`` loses less: "17/20, 3/4", numbers before classes."""
    cells = []
    for kind in ("reg", "cls"):
        own = loss[loss.index.get_level_values("kind") == kind]
        own = own[[method, rival]].dropna() if rival in own else own[[]]
        if len(own):
            cells.append(f"{int((own[method] < own[rival]).sum())}/{len(own)}")
    return ", ".join(cells) or "–"


def paired(table: pd.DataFrame) -> pd.DataFrame:
    """Compare every two methods over tasks.

    Parameters
    ----------
    table : DataFrame
        From `score_table`.

    Returns
    -------
    DataFrame
        Columns ``method, rival, wins, losses, ties`` (tasks) and ``p``: two-sided Wilcoxon signed-rank test
        over tasks on log(loss / rival's loss), which knows no units; nan with fewer than two differing tasks.
    """
    loss = losses(table)
    rows = []
    for method in loss.columns:
        for rival in loss.columns.drop(method):
            pair = loss[[method, rival]].dropna()
            tie = np.isclose(pair[method], pair[rival], rtol=1e-9, atol=0)
            wins = int(((pair[method] < pair[rival]) & ~tie).sum())
            # A perfect score has no logarithm; this floor keeps its rank and sign.
            ratio = np.log(pair[method].clip(1e-12) / pair[rival].clip(1e-12))[~tie]
            p = float(wilcoxon(ratio).pvalue) if len(ratio) > 1 else float("nan")
            rows.append((method, rival, wins, len(pair) - wins - int(tie.sum()), int(tie.sum()), p))
    return pd.DataFrame(rows, columns=["method", "rival", "wins", "losses", "ties", "p"])


def resampled(results: pd.DataFrame, method: str, rival: str) -> pd.DataFrame:
    """Compare two methods on each task over its splits.

    The variance-corrected resampled t-test (Nadeau and Bengio, doi:10.1023/A:1024068626366): training parts
    of different splits overlap, so that the plain t-test finds too much.

    Parameters
    ----------
    results : DataFrame
        From `evaluate`, one head per split (see `best_head`).
    method : str
        Whose wins are told.
    rival : str
        What it is compared with.

    Returns
    -------
    DataFrame
        Index ``task``; columns ``difference`` (mean over splits of score - rival's score), ``wins`` (whether
        it is for the better) and ``p``, two-sided; nan with fewer than two splits.
    """
    rows = []
    for task, part in results.groupby("task", sort=False):
        scores = part.pivot_table(index=["repeat", "fold"], columns="method", values="score")
        difference = (scores[method] - scores[rival]).to_numpy()
        count, mean, p = len(difference), difference.mean(), float("nan")
        if count > 1:
            variance = difference.var(ddof=1)
            share = (part["n_test"] / part["n_train"]).mean()
            error = np.sqrt((1 / count + share) * variance)
            p = float(2 * student.sf(abs(mean) / error, count - 1)) if error else float(mean == 0)
        wins = bool(mean < 0) if part["kind"].iloc[0] == "reg" else bool(mean > 0)
        rows.append({"task": task, "difference": mean, "wins": wins, "p": p})
    return pd.DataFrame(rows).set_index("task")


def mean_ranks(table: pd.DataFrame) -> pd.Series:
    """Mean rank of each method over tasks, 1 the best, ties sharing their mean rank."""
    return losses(table).rank(axis=1).mean().rename("mean rank")


def markdown(rows: list[list[str]], header: list[str]) -> str:
    """A Markdown table, the first column to the left and the others to the right."""
    lines = ["| " + " | ".join(header) + " |", "|---|" + "---:|" * (len(header) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def spread(values: ArrayLike, digits: int = 3) -> str:
    """Mean ± standard deviation, or the value alone if there is one."""
    numbers = np.asarray(values, float)
    text = f"{numbers.mean():.{digits}f}"
    return text + (f" ± {numbers.std(ddof=1):.{digits}f}" if len(numbers) > 1 else "")


def render(results: pd.DataFrame, by: str = "inner") -> str:
    """Markdown: scores (mean ± sd over splits) per task with the winner bold, mean ranks, paired wins.

    Where there are several heads, a letter behind each score tells which was chosen, and wins are counted
    for each head against the same head of the rival as well as for the chosen ones.

    Parameters
    ----------
    results : DataFrame
        From `evaluate`.
    by : {"inner", "test"}
        How one head is chosen where there are several; see `best_head`.

    Returns
    -------
    str
        The wins listed are those of the first method.
    """
    chosen = best_head(results, by)
    table = score_table(chosen)
    deviation = chosen.groupby(["task", "method"])["score"].std()
    counts = chosen.groupby("task")[["n_train", "n_test", "n_dropped"]].first()
    units = chosen.groupby("task")["unit"].first()
    winner = losses(table).idxmin(axis=1)
    heads = list(dict.fromkeys(results["head"]))
    letters = {}
    if len(heads) > 1:
        for split, part in chosen.groupby(["task", "method"]):
            letters[split] = " " + "".join(head[0] for head in heads if head in set(part["head"]))
    rows = []
    for task, kind in table.index:
        scores = table.loc[(task, kind)]
        n = f"{counts.loc[task, 'n_train']}/{counts.loc[task, 'n_test']}"
        cells = []
        for method, value in scores.items():
            sd = deviation.loc[(task, method)]
            text = f"{value:.3f}" + ("" if np.isnan(sd) else f" ± {sd:.3f}")
            text = f"**{text}**" if winner.loc[(task, kind)] == method else text
            cells.append(text + letters.get((task, method), ""))
        unit = f" ({units[task]})" if kind == "reg" and isinstance(units[task], str) and units[task] else ""
        rows.append([task, f"{METRIC[kind]}{unit}", n, str(counts.loc[task, "n_dropped"]), *cells])
    ranks = mean_ranks(table)
    rows.append(["mean rank", "", "", "", *(f"{ranks[method]:.2f}" for method in table.columns)])
    caption = f"Head: {heads[0]}."
    if letters:
        caption = f"Heads: {', '.join(f'{head} ({head[0]})' for head in heads)}. Shown: {SELECTIONS[by]}."
    parts = [caption, markdown(rows, ["task", "metric", "train/test", "dropped", *table.columns])]
    ours = table.columns[0]
    if len(table.columns) > 1:
        columns = {head: score_table(results[results["head"] == head]) for head in heads}
        if letters:
            columns["heads as shown"] = table
            parts.append(INNER)
        parts.append(_wins(columns, ours))
        seeds = [name for name in table.columns if name.startswith(f"{ours}{SEED}")]
        if seeds:
            parts.append(_seeds(table, [ours, *seeds]))
        if chosen.groupby("task")[["repeat", "fold"]].nunique().to_numpy().max() > 1:
            parts.append(_significant(chosen, ours))
    if chosen["n_seen"].any():
        parts.append(_seen(chosen))
    return "\n\n".join(parts)


def _wins(tables: dict[str, pd.DataFrame], ours: str) -> str:
    """Wins of one method, a column for each of the tables."""
    cells: dict[tuple[str, str], list[str]] = {}
    for table in tables.values():
        fingerprints = ["ecfp", "ecfp-count"]
        if {*fingerprints} <= {*table.columns} and ours not in fingerprints:
            table = better_of(table, fingerprints, "better of ecfp, ecfp-count")
        for kind in [k for k in METRIC if k in table.index.get_level_values("kind")]:
            comparison = paired(table[table.index.get_level_values("kind") == kind])
            for pair in comparison[comparison["method"] == ours].to_dict("records"):
                p = "–" if np.isnan(pair["p"]) else f"{pair['p']:.2g}"
                outcome = f"{pair['wins']}/{pair['losses']}/{pair['ties']}"
                row = cells.setdefault((METRIC[kind], f"{ours} – {pair['rival']}"), [])
                row.extend([outcome, p])
    names = [cell for name in tables for cell in (f"{name}: wins/losses/ties", "Wilcoxon p")]
    rows = [[pair, metric, *row] for (metric, pair), row in cells.items()]
    return markdown(rows, ["pair", "tasks by", *names])


def _seeds(table: pd.DataFrame, methods: list[str]) -> str:
    """The same method with other conformers: the error bar of its scores."""
    rows = [[task, METRIC[kind], spread(table.loc[(task, kind), methods])] for task, kind in table.index]
    return f"Mean ± deviation over the seeds of conformers: {', '.join(methods)}.\n\n" + markdown(
        rows, ["task", "metric", methods[0]]
    )


def _seen(chosen: pd.DataFrame) -> str:
    """What a table owes to its reader where a checkpoint was not blind to the test molecules."""
    repeats = chosen.groupby(["task", "method"], sort=False)["repeat"].nunique()
    sums = chosen.groupby(["task", "method"], sort=False)[["n_seen", "n_test"]].sum().div(repeats, axis=0)
    sums = sums[sums["n_seen"] > 0].round().astype(int).reset_index()
    methods: dict[str, list[str]] = {}
    for method, part in sums.groupby("method", sort=False):
        counts = [
            f"{n} of {total} of {task}" for task, n, total in part[["task", "n_seen", "n_test"]].to_numpy()
        ]
        methods.setdefault(", ".join(counts), []).append(str(method))
    lines = [f"{' and '.join(names)}: {counts}." for counts, names in methods.items()]
    return (
        "Test molecules whose GFN2-xTB energies, forces, charges and orbitals, but not their labels here, "
        "were in the training of a checkpoint (stereo ignored): " + " ".join(lines)
    )


def _significant(chosen: pd.DataFrame, ours: str) -> str:
    rows = []
    for rival in dict.fromkeys(chosen["method"]):
        if rival == ours:
            continue
        for kind, part in chosen.groupby("kind", sort=False):
            found = resampled(part, ours, rival)
            sure = found["p"] < LEVEL
            counts = [int((found["wins"] & sure).sum()), int((~found["wins"] & sure).sum())]
            rows.append(
                [f"{ours} – {rival}", METRIC[str(kind)], *map(str, [*counts, len(found) - sum(counts)])]
            )
    header = ["pair", "tasks by", f"better (p < {LEVEL})", f"worse (p < {LEVEL})", "neither"]
    return "Corrected resampled t-test over the splits of each task.\n\n" + markdown(rows, header)
