"""Polymorphs of one molecule ranked by energy.

``python -m skmol3d.benchmark.experiments.crystal_ranking FILE``

FILE holds crystals of one molecule with energies in a field of their headers. Regressors on their rows (space
group beside them, as indicators) are cross-validated; crystals of one name, such as a structure before and
after relaxation, stay in one fold, and the regressor and its settings are chosen within the training folds.
Energies of potentials, which need no training, stand beside them, and rows with the energy as one more column
too (the Buckingham energy is of crystals with one independent molecule, and scored on these). Printed are
Spearman's rank correlation, Pearson's R and the mean absolute error (in the units of the file), means and
standard deviations over ten repetitions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d import CrystalFeaturizer
from skmol3d.benchmark.report import markdown
from skmol3d.calculator import PotentialCalculator
from skmol3d.crystals import CrystalError, MolecularCrystal, iter_crystals
from skmol3d.crystals.energies import RigidCrystals, buckingham, lattice_energies, lattice_energy
from skmol3d.hub import from_pretrained

FOLDS, REPEATS = 5, 10
GRID: list[dict[str, Any]] = [
    {"head": [Ridge(alpha) for alpha in np.logspace(-1, 4, 6)]},
    {
        "head": [
            GaussianProcessRegressor(RBF(length) + WhiteKernel(noise), optimizer=None, normalize_y=True)
            for length in (3.0, 10.0, 30.0)
            for noise in (1e-3, 1e-1)
        ]
    },
]


def predictions(X: NDArray, y: NDArray, groups: NDArray, seed: int) -> NDArray[np.float64]:
    """Out-of-fold predictions; everything is chosen within the training folds."""
    search = GridSearchCV(
        Pipeline([("scale", StandardScaler()), ("head", Ridge())]),
        GRID,
        scoring="neg_mean_absolute_error",
        cv=GroupKFold(4, shuffle=True, random_state=seed),
    )
    found = np.empty(len(y))
    for train, test in GroupKFold(FOLDS, shuffle=True, random_state=seed).split(X, y, groups):
        found[test] = search.fit(X[train], y[train], groups=groups[train]).predict(X[test])
    return found


def scores(found: NDArray, y: NDArray) -> list[float]:
    """Spearman's and Pearson's correlation and the mean absolute error."""
    return [spearmanr(found, y).statistic, np.corrcoef(found, y)[0, 1], np.abs(found - y).mean()]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--energy", default="E_aims_mbd_relative", help="field of the header")
    parser.add_argument("--name", default="ID_origin", help="field of the header")
    parser.add_argument("--symprec", type=float, default=0.1)
    parser.add_argument("--model", default="mo3enet-druglike", help="of the rows with molecule='mo3enet'")
    parser.add_argument("--potential", default="ec-xtb-small")
    args = parser.parse_args(argv)
    crystals, energies, names, refused = [], [], [], []
    record: Any
    for record in iter_crystals(args.file):
        try:
            crystals.append(MolecularCrystal.read(record, args.symprec))
        except CrystalError as error:
            refused.append(str(error))
            continue
        energies.append(float(record.info[args.energy]))
        names.append(record.info[args.name])
    y = np.array(energies)
    groups = np.unique(names, return_inverse=True)[1]
    group_columns = np.array([c.space_group for c in crystals])[:, None] == np.unique(
        [c.space_group for c in crystals]
    )
    print(f"{len(y)} crystals of {len(np.unique(groups))} structures; left out: {len(refused)}")
    for reason in sorted(set(refused)):
        print(f"- {refused.count(reason)}: {reason}")
    head = ["crystals as", "Spearman", "Pearson", "MAE"]
    lines = [["mean of the training folds", "", "", f"{np.abs(y - y.mean()).mean():.3f}"]]
    one = np.array([len(crystal.molecules) == 1 for crystal in crystals])
    alone = RigidCrystals.from_crystals([c for c, single in zip(crystals, one, strict=True) if single])
    soft = lattice_energies(alone, buckingham).numpy()
    potential: Any = from_pretrained(args.potential)
    calculator = PotentialCalculator(potential)
    hard = np.array([lattice_energy(crystal, calculator) for crystal in crystals])
    energy = f"lattice energy of {args.potential}"
    for name, found, truth in (("Buckingham energy", soft, y[one]), (energy, hard, y)):
        rank, r, _ = scores(found, truth)
        lines.append([f"{name}, untrained", f"{rank:.2f}", f"{r:.2f}", ""])
    ways: dict[str, NDArray] = {energy: hard[:, None]}
    for name in ("none", "volume", "inertia", "mo3enet", "rem3di"):
        model = args.model if name == "mo3enet" else None
        rows = CrystalFeaturizer(molecule=name, model=model).fit_transform(crystals)
        ways[f"rows, molecule={name!r}"] = np.concatenate([rows, group_columns], 1).astype(float)
        ways[f"the same and the {energy}"] = np.column_stack([ways[f"rows, molecule={name!r}"], hard])
        for way, X in ways.items():
            each = np.array([scores(predictions(X, y, groups, seed), y) for seed in range(REPEATS)])
            cells = [
                f"{m:.2f} ± {s:.2f}" if k < 2 else f"{m:.3f} ± {s:.3f}"
                for k, (m, s) in enumerate(zip(each.mean(0), each.std(0), strict=True))
            ]
            lines.append([way, *cells])
        ways.clear()
    print(markdown(lines, head))


if __name__ == "__main__":
    main()
