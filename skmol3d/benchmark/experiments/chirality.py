"""Which of two enantiomers scores better.

``python -m skmol3d.benchmark.experiments.chirality TABLE [--pairs 2000]``

TABLE has the columns ``smiles``, ``top_score``, ``pair`` and ``split`` (train, test; others are left alone),
as the docking scores of ChIRo's enantiomer pairs (arXiv:2110.04383). A model of the difference of two rows
predicts the difference of their scores; it is odd by construction, so that a row which does not know its
handedness ranks at chance. Ridge and forest read the difference alone. The kernel also knows what both
molecules have in common: that of two pairs is an odd MinMax kernel of their differences times one of their
sums, so that a centre may count one way in one series and the other way in another. All settings are chosen
on training pairs. Prints the share of test pairs ranked rightly, with its binomial standard error.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.linalg import solve
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold

from skmol3d import ECFPFeaturizer, REM3DIFeaturizer
from skmol3d.benchmark.report import markdown
from skmol3d.estimators.kernel_ridge import minmax_kernel
from skmol3d.featurizers.scales import counted_columns

ALPHAS = np.logspace(0, 6, 13)
PENALTIES = (0.1, 0.3, 1.0)
COMMON = (0.0, 0.75, 1.0)
"""Weights of the kernel of sums, by which that of differences is multiplied; the rest is 1."""


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


def kernel(rows: NDArray[np.float32], scores: NDArray[np.float64], cut: int) -> NDArray[np.float64]:
    """Kernel ridge on pairs, of which the first `cut` train: predicted differences of the others.

    Parameters
    ----------
    rows : ndarray of float32, shape [2n, p]
        Columns that are no counts are left out.
    scores : ndarray of float64, shape [2n]
        Of the molecules; those of test pairs are not looked at.
    cut : int
        Training pairs.
    """
    counts = rows[:, counted_columns(rows)]
    first, second = counts[::2], counts[1::2]
    y = (scores[::2] - scores[1::2])[:cut]
    if (first == second).all():
        return np.zeros(len(first) - cut)
    there, back = (np.hstack([part.clip(0), (-part).clip(0)]) for part in (first - second, second - first))
    odd = minmax_kernel(there, there[:cut]) - minmax_kernel(there, back[:cut])
    total = (first + second).clip(0)  # signed counts cancel
    even = minmax_kernel(total, total[:cut])
    best, chosen = -1.0, (COMMON[0], PENALTIES[0])
    for weight in COMMON:
        K = odd * (1 - weight + weight * even)
        for penalty in PENALTIES:
            found = np.empty(cut)
            for train, test in KFold(min(5, cut), shuffle=True, random_state=0).split(y):
                found[test] = K[np.ix_(test, train)] @ _dual(K[np.ix_(train, train)], y[train], penalty)
            if (share := accuracy(y, found)) > best:
                best, chosen = share, (weight, penalty)
    weight, penalty = chosen
    K = odd * (1 - weight + weight * even)
    return K[cut:] @ _dual(K[:cut], y, penalty)


def _dual(K: NDArray, y: NDArray, penalty: float) -> NDArray[np.float64]:
    return solve(K.astype(np.float64) + penalty * np.eye(len(K)), y, assume_a="pos")


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
        whole = np.repeat(np.isfinite(matrix).reshape(len(matrix) // 2, -1).all(1), 2)
        found.append(accuracy(y_test, kernel(matrix[whole], scores[whole], len(y))))
        cells = [f"{a:.3f} ± {np.sqrt(0.25 / len(y_test)):.3f}" for a in found]
        lines.append([name, f"{len(y)}/{len(y_test)}", *cells])
    print(markdown(lines, ["rows", "train/test pairs", "ridge", "forest", "kernel"]))


if __name__ == "__main__":
    main()
