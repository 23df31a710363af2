"""Which of two enantiomers scores better.

``python -m skmol3d.benchmark.experiments.chirality TABLE [--pairs 2000]``

TABLE has the columns ``smiles``, ``top_score``, ``pair`` and ``split`` (train, test; others are left alone),
as the docking scores of ChIRo's enantiomer pairs (arXiv:2110.04383). A model of the difference of two rows
predicts the difference of their scores; it is odd by construction, so that a row which does not know its
handedness ranks at chance. Prints the share of test pairs ranked rightly, with its binomial standard error.
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


def pair_differences(
    rows: NDArray[np.float32], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Differences within pairs (rows 2k and 2k + 1) of features and scores; pairs with a NaN are left out."""
    known = np.isfinite(rows[::2]).all(1) & np.isfinite(rows[1::2]).all(1)
    return (rows[::2] - rows[1::2])[known].astype(float), (scores[::2] - scores[1::2])[known]


def ridge(X: NDArray, y: NDArray, X_test: NDArray) -> NDArray[np.float64]:
    """Ridge without intercept on columns scaled by their root mean square: an odd function."""
    scale = np.sqrt((X**2).mean(0)) + 1e-12
    return RidgeCV(ALPHAS, fit_intercept=False).fit(X / scale, y).predict(X_test / scale)


def forest(X: NDArray, y: NDArray, X_test: NDArray) -> NDArray[np.float64]:
    """Forest trained on both orders of each pair; its odd part predicts."""
    # Trees look for a split until they find one: columns that never differ would make that slow.
    differs = X.any(0)
    if not differs.any():
        return np.zeros(len(X_test))
    X, X_test = X[:, differs], X_test[:, differs]
    model = RandomForestRegressor(200, max_features="sqrt", min_samples_leaf=5, random_state=0)
    model.fit(np.concatenate([X, -X]), np.concatenate([y, -y]))
    return model.predict(X_test) - model.predict(-X_test)


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
    ecfp = ECFPFeaturizer(count=True, errors="nan", n_jobs=args.n_jobs)
    features["ECFP counts"] = ecfp.transform(chosen["smiles"])
    features["ECFP counts with chirality"] = ecfp.set_params(chirality=True).transform(chosen["smiles"])
    scores = chosen["top_score"].to_numpy()
    cut = len(parts[0])
    lines = []
    for name, matrix in features.items():
        X, y = pair_differences(matrix[:cut], scores[:cut])
        X_test, y_test = pair_differences(matrix[cut:], scores[cut:])
        found = [accuracy(y_test, head(X, y, X_test)) for head in (ridge, forest)]
        cells = [f"{a:.3f} ± {np.sqrt(0.25 / len(y_test)):.3f}" for a in found]
        lines.append([name, f"{len(y)}/{len(y_test)}", *cells])
    print(markdown(lines, ["rows", "train/test pairs", "ridge", "forest"]))


if __name__ == "__main__":
    main()
