"""Errors on activity cliffs: molecules whose near twins bind very differently.

``python -m skmol3d.benchmark.experiments.cliffs OUT --originals FOLDER``

OUT is the folder of a run of ``skmol3d benchmark --out OUT`` on MoleculeACE's tasks; the test predictions
kept there are read, of the head with the best inner score. FOLDER holds MoleculeACE's own files
(``<RECEPTOR>.csv`` at any depth), whose column ``cliff_mol`` marks the molecules (van Tilborg et al. 2022,
doi:10.1021/acs.jcim.2c01073). Prints, for each task and method, the MAE on the cliff molecules of the test
part, and how often each method is ahead of the better of ecfp and ecfp-count.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rdkit import Chem

from skmol3d.benchmark.report import best_head, better_of, markdown

RIVALS = ["ecfp", "ecfp-count"]
BETTER = "better of ecfp, ecfp-count"


def cliff_molecules(path: Path) -> set[str]:
    """Canonical SMILES of the cliff molecules in the test part of one of MoleculeACE's files."""
    table = pd.read_csv(path)
    marked = table[(table["split"] == "test") & (table["cliff_mol"] == 1)]
    return {Chem.CanonSmiles(text) for text in marked["smiles"]}


def cliff_errors(out: Path, originals: Path) -> pd.DataFrame:
    """Errors on cliff molecules.

    Parameters
    ----------
    out : path
        Folder of a benchmark's results.
    originals : path
        Folder with MoleculeACE's files.

    Returns
    -------
    DataFrame
        Columns ``task, method, head, n`` (cliff molecules in the test part), ``mae`` (over them) and
        ``mae_all`` (over the whole test part).

    Raises
    ------
    ValueError
        If there is no file for any of the tasks, or a task was evaluated by folds.
    """
    files = {f"ace_{path.stem.lower()}": path for path in originals.rglob("*.csv")}
    chosen = best_head(pd.read_csv(out / "results.csv"))
    chosen = chosen[chosen["task"].isin(list(files))]
    if chosen.empty:
        raise ValueError(f"{originals} has no file for any task in {out / 'results.csv'}")
    rows = []
    for task, part in chosen.groupby("task", sort=False):
        if part["method"].duplicated().any():
            raise ValueError(f"task {task!r} was evaluated by folds; cliffs are those of its own test part")
        cliffs = cliff_molecules(files[str(task)])
        for run in part.to_dict("records"):
            table = pd.read_csv(out / "predictions" / run["predictions"])
            errors = (table["prediction"] - table["y"]).abs()
            marked = np.array([Chem.CanonSmiles(text) in cliffs for text in table["smiles"]])
            values = {"n": int(marked.sum()), "mae": errors[marked].mean(), "mae_all": errors.mean()}
            rows.append({"task": task, "method": run["method"], "head": run["head"]} | values)
    return pd.DataFrame(rows)


def main(argv: Sequence[str] | None = None) -> None:
    """Read and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="folder of a benchmark's results")
    parser.add_argument("--originals", type=Path, required=True, help="folder with MoleculeACE's files")
    args = parser.parse_args(argv)
    errors = cliff_errors(args.out, args.originals)
    methods = list(dict.fromkeys(errors["method"]))
    table = errors.pivot_table(index="task", columns="method", values="mae", sort=False)[methods]
    rows = []
    for task, part in errors.groupby("task", sort=False):
        texts = [f"{mae:.3f}" for mae in part["mae"]]
        texts[int(part["mae"].argmin())] = f"**{part['mae'].min():.3f}**"
        cells = [f"{text} {head[0]}" for text, head in zip(texts, part["head"], strict=True)]
        rows.append([str(task), str(part["n"].max()), *cells])
    print("MAE on the cliff molecules of the test part; the letter is the head, chosen by inner score.\n")
    print(markdown(rows, ["task", "cliff molecules", *methods]))
    if set(RIVALS) <= set(methods):
        table["kind"] = "reg"
        table = better_of(table.set_index("kind", append=True), RIVALS, BETTER)
        counts = [
            [name, f"{(table[name] < table[BETTER]).sum()} of {len(table)}"]
            for name in methods
            if name not in RIVALS
        ]
        print()
        print(markdown(counts, ["method", f"ahead of the {BETTER}"]))


if __name__ == "__main__":
    main()
