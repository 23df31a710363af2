"""The two choices in a REM3DI row that were made for its heads: its scale, and the columns for forests.

``python -m skmol3d.benchmark.experiments.row_choices TABLE [TABLE ...] [--molecules 600]``

Each TABLE is a task of the benchmark (``smiles``, ``y``, ``split``), of which molecules of the training part
are drawn; test parts are not looked at. Printed are mean absolute errors over five shuffled folds:

- of a forest on fingerprint counts, and relative to it on REM3DI's counts alone, with the columns of
  ``blocks="trees"`` beside them, and on all columns;
- of ridge regression with its penalty searched, on rows as they come, and relative to it of ``Ridge()`` on
  rows of which a count, and a standard deviation of any other column, are one of several numbers.
"""

import argparse
import os
from collections.abc import Sequence
from itertools import compress

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold, cross_val_predict

from skmol3d import ECFPFeaturizer, REM3DIFeaturizer
from skmol3d.benchmark.heads import UNSCALED_ALPHAS
from skmol3d.benchmark.report import markdown
from skmol3d.featurizers.scales import COUNTS, SCALE

FOLDS = KFold(5, shuffle=True, random_state=0)
SCALES = (3 / 128, 3 / 64, 1 / 16, 3 / 32, 1 / 8, 3 / 16, 3 / 8)


def error(model: object, rows: NDArray[np.floating], y: NDArray[np.float64]) -> float:
    """Mean absolute error of a model over the folds."""
    return float(mean_absolute_error(y, cross_val_predict(model, rows, y, cv=FOLDS)))


def choices(
    table: pd.DataFrame, model: str, trees: int
) -> tuple[tuple[float, list[float]], tuple[float, list[float]]]:
    """Errors of one task: forests (on ECFP; ratios of three rows) and ridges (searched; ratios by scale)."""
    smiles, y = list(table["smiles"]), table["y"].to_numpy(np.float64)
    whole = REM3DIFeaturizer(model, device="cpu", errors="nan")
    rows, names = whole.fit_transform(smiles), list(whole.get_feature_names_out())
    made = ~np.isnan(rows).any(axis=1)
    rows, y, smiles = rows[made], y[made], list(compress(smiles, made))
    few = REM3DIFeaturizer(model, device="cpu", blocks="trees").fit(smiles).get_feature_names_out()
    counted = whole.describe_columns()["block"].isin(COUNTS).to_numpy()
    forest = RandomForestRegressor(trees, max_features=0.15, random_state=0)
    fingerprints = error(forest, ECFPFeaturizer(count=True).fit_transform(smiles), y)
    picked = rows[:, [names.index(name) for name in few]]
    forests = [error(forest, part, y) / fingerprints for part in (rows[:, counted], picked, rows)]
    searched = error(RidgeCV(UNSCALED_ALPHAS), rows, y)
    ridges = [error(Ridge(), rows * np.float32(scale / SCALE), y) / searched for scale in SCALES]
    return (fingerprints, forests), (searched, ridges)


def main(argv: Sequence[str] | None = None) -> None:
    """Encode, fit and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="+", metavar="TABLE")
    parser.add_argument("--molecules", type=int, default=600)
    parser.add_argument("--model", default="rem3di-small")
    parser.add_argument("--trees", type=int, default=100)
    args = parser.parse_args(argv)
    lines: tuple[list[list[str]], list[list[str]]] = ([], [])
    ratios: tuple[list[list[float]], list[list[float]]] = ([], [])
    for path in args.tables:
        table = pd.read_csv(path)
        table = table[table["split"] == "train"]
        table = table.sample(min(len(table), args.molecules), random_state=0)
        found = choices(table, args.model, args.trees)
        for k, (base, relative) in enumerate(found):
            name = os.path.basename(path).split(".")[0]
            lines[k].append([name, str(len(table)), f"{base:.3f}", *(f"{v:.3f}" for v in relative)])
            ratios[k].append(relative)
    heads = (
        ["forest on ECFP counts", "counts", '`blocks="trees"`', "all columns"],
        ["ridge, penalty searched", *(f"{scale:.4g}" for scale in SCALES)],
    )
    for head, rows, told in zip(heads, lines, ratios, strict=True):
        mean = np.exp(np.mean(np.log(told), axis=0))
        rows.append(["geometric mean", "", "", *(f"{v:.3f}" for v in mean)])
        print(markdown(rows, ["task", "molecules", *head]), end="\n\n")


if __name__ == "__main__":
    main()
