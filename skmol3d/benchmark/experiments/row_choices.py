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

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.metrics import mean_absolute_error
from sklearn.model_selection import KFold, cross_val_predict

from skmol3d import ECFPFeaturizer, REM3DIFeaturizer
from skmol3d.benchmark.experiments.relaxation import training_molecules
from skmol3d.benchmark.heads import UNSCALED_ALPHAS
from skmol3d.benchmark.report import markdown
from skmol3d.featurizers.scales import COUNTS, SCALE

FOLDS = KFold(5, shuffle=True, random_state=0)
SCALES = (3 / 128, 3 / 64, 1 / 16, 3 / 32, 1 / 8, 3 / 16, 3 / 8)


def error(model: object, rows: NDArray[np.floating], y: NDArray[np.float64]) -> float:
    """Mean absolute error of a model over the folds."""
    return float(mean_absolute_error(y, cross_val_predict(model, rows, y, cv=FOLDS)))


def rows_of(table: pd.DataFrame, model: str) -> tuple[REM3DIFeaturizer, NDArray[np.float32], pd.DataFrame]:
    """The featurizer, its rows, and the molecules that have one."""
    featurizer = REM3DIFeaturizer(model, device="cpu", errors="nan")
    rows = featurizer.fit_transform(table["smiles"])
    made = ~np.isnan(rows).any(axis=1)
    return featurizer, rows[made], table[made]


def forests(
    featurizer: REM3DIFeaturizer, rows: NDArray[np.float32], table: pd.DataFrame, trees: int
) -> list[float]:
    """Error on fingerprint counts, and relative to it on counts, on columns for forests, on all."""
    y = table["y"].to_numpy(np.float64)
    names = featurizer.get_feature_names_out().tolist()
    few = clone(featurizer).set_params(blocks="trees").fit([]).get_feature_names_out()
    counted = featurizer.describe_columns()["block"].isin(COUNTS).to_numpy()
    forest = RandomForestRegressor(trees, max_features=0.15, random_state=0)
    base = error(forest, ECFPFeaturizer(count=True).fit_transform(table["smiles"]), y)
    parts = (rows[:, counted], rows[:, [names.index(name) for name in few]], rows)
    return [base, *(error(forest, part, y) / base for part in parts)]


def ridges(rows: NDArray[np.float32], y: NDArray[np.float64]) -> list[float]:
    """Error with the penalty searched, and relative to it of ``Ridge()`` on rows of each scale."""
    base = error(RidgeCV(UNSCALED_ALPHAS), rows, y)
    return [base, *(error(Ridge(), rows * np.float32(scale / SCALE), y) / base for scale in SCALES)]


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
    of_forests, of_ridges = {}, {}
    for path in args.tables:
        featurizer, rows, table = rows_of(training_molecules(path, args.molecules), args.model)
        task = (os.path.basename(path).split(".")[0], str(len(table)))
        of_forests[task] = forests(featurizer, rows, table, args.trees)
        of_ridges[task] = ridges(rows, table["y"].to_numpy(np.float64))
    print(report(of_forests, ["forest on ECFP counts", "counts", '`blocks="trees"`', "all columns"]))
    print()
    print(report(of_ridges, ["ridge, penalty searched", *(f"{scale:.4g}" for scale in SCALES)]))


def report(found: dict[tuple[str, str], list[float]], head: list[str]) -> str:
    """A line for each task, and the geometric mean of what is relative."""
    lines = [[*task, *(f"{v:.3f}" for v in values)] for task, values in found.items()]
    mean = np.exp(np.log([relative for _, *relative in found.values()]).mean(axis=0))
    lines.append(["geometric mean", "", "", *(f"{v:.3f}" for v in mean)])
    return markdown(lines, ["task", "molecules", *head])


if __name__ == "__main__":
    main()
