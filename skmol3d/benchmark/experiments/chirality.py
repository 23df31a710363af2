"""Which of two enantiomers scores better.

``python -m skmol3d.benchmark.experiments.chirality TABLE [--pairs 2000]``

TABLE has the columns ``smiles``, ``top_score``, ``pair`` and ``split`` (train, test; others are left alone),
as the docking scores of ChIRo's enantiomer pairs (arXiv:2110.04383). Ridge learns differences of two rows. A
forest reads the rows of both molecules and learns by how much each differs from the mean of its pair, so
that it may ask which molecule it is before it asks for its handedness; its settings (share of the columns
at a split, size of leaves) were chosen by cross-validation on training pairs. Both are odd: a row that does
not know its handedness ranks at chance. Prints the share of test pairs ranked rightly, with its binomial
standard error.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV

from skmol3d import ECFPFeaturizer, REM3DIFeaturizer
from skmol3d.benchmark.report import markdown

ALPHAS = np.logspace(0, 6, 13)

Rows = NDArray[np.float32]


def pairs(
    rows: NDArray[np.float32], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """First rows, second rows and differences of scores of pairs (2k and 2k + 1); none with a NaN."""
    known = np.isfinite(rows[::2]).all(1) & np.isfinite(rows[1::2]).all(1)
    return rows[::2][known], rows[1::2][known], (scores[::2] - scores[1::2])[known]


def ridge(first: Rows, second: Rows, y: NDArray, tested: tuple[Rows, Rows]) -> NDArray[np.float64]:
    """Ridge without intercept on differences, columns scaled by their root mean square: an odd function."""
    X, X_test = (np.subtract(*both, dtype=float) for both in ((first, second), tested))
    scale = np.sqrt((X**2).mean(0)) + 1e-12
    return RidgeCV(ALPHAS, fit_intercept=False).fit(X / scale, y).predict(X_test / scale)


def forest(first: Rows, second: Rows, y: NDArray, tested: tuple[Rows, Rows]) -> NDArray[np.float64]:
    """Forest on the rows of all molecules and their scores less the mean of the pair."""
    if (first == second).all():
        return np.zeros(len(tested[0]))
    model = RandomForestRegressor(200, max_features=0.15, min_samples_leaf=2, random_state=0)
    model.fit(np.concatenate([first, second]), np.concatenate([y, -y]) / 2)
    return model.predict(tested[0]) - model.predict(tested[1])


def accuracy(difference: NDArray, prediction: NDArray) -> float:
    """Share of pairs whose differences have the same sign; half for each that is not told apart."""
    return float((0.5 * (np.sign(difference) * np.sign(prediction) + 1)).mean())


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("table", type=Path)
    parser.add_argument(
        "--pairs", type=int, default=2000, help="training pairs, and at most as many test pairs"
    )
    parser.add_argument("--n-conformers", type=int, default=1)
    parser.add_argument("--n-jobs", type=int)
    parser.add_argument("--model", default="rem3di-small")
    parser.add_argument("--cache-dir", help="keeps rows between runs")
    args = parser.parse_args(argv)
    table = pd.read_csv(args.table).sort_values("pair", kind="stable")
    if (table.groupby("pair").size() != 2).any():
        raise ValueError(f"{args.table}: every pair must have two rows")
    parts = [table[table["split"] == name][: 2 * args.pairs] for name in ("train", "test")]
    chosen = pd.concat(parts)
    ours = REM3DIFeaturizer(
        model=args.model,
        n_conformers=args.n_conformers,
        n_jobs=args.n_jobs,
        cache_dir=args.cache_dir,
        errors="nan",
        verbose=1,
    ).fit(chosen["smiles"])
    rows = ours.transform(chosen["smiles"])
    names = ours.get_feature_names_out()
    blocks = dict.fromkeys(name.split("_")[1] for name in names)
    features = {"REM3DI, all blocks": rows}
    for block in blocks:
        features[f"REM3DI, {block}"] = rows[:, [name.split("_")[1] == block for name in names]]
    told = np.isin([name.split("_")[1] for name in names], ("words", "signed"))
    if told.any():
        features["REM3DI, words and signed"] = rows[:, told]
    ecfp = ECFPFeaturizer(count=True, errors="nan", n_jobs=args.n_jobs)
    features["ECFP counts"] = ecfp.transform(chosen["smiles"])
    features["ECFP counts with chirality"] = ecfp.set_params(chirality=True).transform(chosen["smiles"])
    scores = chosen["top_score"].to_numpy()
    cut = len(parts[0])
    lines = []
    for name, matrix in features.items():
        first, second, y = pairs(matrix[:cut], scores[:cut])
        *tested, y_test = pairs(matrix[cut:], scores[cut:])
        found = [accuracy(y_test, head(first, second, y, (tested[0], tested[1]))) for head in (ridge, forest)]
        cells = [f"{a:.3f} ± {np.sqrt(0.25 / len(y_test)):.3f}" for a in found]
        lines.append([name, f"{len(y)}/{len(y_test)}", *cells])
    print(markdown(lines, ["rows", "train/test pairs", "ridge", "forest"]))


if __name__ == "__main__":
    main()
