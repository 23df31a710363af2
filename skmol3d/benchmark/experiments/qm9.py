"""Gaps, orbitals and dipoles of QM9 molecules from frozen embeddings.

    python -m skmol3d.benchmark.experiments.qm9 --geometries xtb/qm9_0.npz xtb/qm9_1.npz
        --smiles qm9_smiles.csv.gz --gaps qm9_gap.csv.gz --dipoles qm9_10k.csv.gz
        [--mo3enet mo3enet-druglike] [--rem3di rem3di-small] [--rows ecfp rem3di mo3enet] [--orbitals]

Geometries are those of QM9; ECFP, which needs bonds, takes the SMILES. 80 % of the molecules train, 20 %
test. The gap is regressed by ridge and by a perceptron, whose settings are chosen on a tenth of the training
molecules, and so is which of the two. The dipole, a vector in the frame of the geometry, is regressed by
`EquivariantRidge`, whose settings are chosen in the same way; rows without a direction can only be asked for
its length.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from ase import Atoms
from numpy.typing import NDArray
from sklearn.linear_model import Ridge
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d import ECFPFeaturizer, EquivariantRidge, Mo3ENetFeaturizer, REM3DIFeaturizer
from skmol3d.benchmark.report import markdown
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.xtb import read_xtb

HARTREE = 27.211386  # eV
DEBYE = 2.541746  # per atomic unit
TEST, INNER = 0.2, 0.1
ROWS = {"ecfp": "ECFP counts", "rem3di": "REM3DI, without counts", "mo3enet": "Mo3ENet, scalar"}
RIDGES = [make_pipeline(StandardScaler(), Ridge(alpha)) for alpha in np.logspace(-1, 5, 9)]
PERCEPTRONS = [
    make_pipeline(
        StandardScaler(),
        MLPRegressor(hidden_layer_sizes=(256, 256), alpha=alpha, early_stopping=True, random_state=0),
    )
    for alpha in (1e-4, 1.0)
]
HEADS = [EquivariantRidge(alpha=alpha, gates=gates) for gates in (0, 16, 64) for alpha in (1e-8, 1e-6, 1e-4)]


def read_geometries(paths: Iterable[Path], wanted: set[int]) -> dict[int, Atoms]:
    """QM9 geometries by QM9's number of the molecule."""
    found = {}
    for path in paths:
        data = read_xtb(path)
        with np.load(path) as arrays:
            kinds, rows = arrays["kind"], arrays["row"]
        for i in np.flatnonzero((kinds == ConformerKind.QM9) & np.isin(rows, list(wanted))):
            batch = data.batch(np.array([i]))[0]
            found[int(rows[i])] = Atoms(batch.numbers.numpy(), batch.positions.double().numpy())
    return found


def split(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Places of molecules to train on, to choose settings on, and to test on."""
    order = np.random.default_rng(0).permutation(count)
    test = int(TEST * count)
    inner = test + int(INNER * (count - test))
    return order[inner:], order[test:inner], order[:test]


def best(
    models: Sequence[Any], X: NDArray, y: NDArray, error: Callable[[NDArray, NDArray], float]
) -> tuple[NDArray, float]:
    """Test predictions of the model with the lowest inner error, trained on all but the test molecules.

    The inner error comes along.
    """
    train, inner, test = split(len(X))
    scores = [error(model.fit(X[train], y[train]).predict(X[inner]), y[inner]) for model in models]
    both = np.concatenate([train, inner])
    return models[int(np.argmin(scores))].fit(X[both], y[both]).predict(X[test]), min(scores)


def scalar_errors(X: NDArray, y: NDArray) -> tuple[float, float, float]:
    """Test errors of ridge, of the perceptron, and of that one of the two which has the lower inner error."""
    found = [best(models, X, y, absolute) for models in (RIDGES, PERCEPTRONS)]
    test = split(len(y))[2]
    ridge, perceptron = (absolute(prediction, y[test]) for prediction, _ in found)
    return ridge, perceptron, ridge if found[0][1] <= found[1][1] else perceptron


def absolute(found: NDArray, wanted: NDArray) -> float:
    """Mean absolute error."""
    return float(np.abs(found - wanted).mean())


def distance(found: NDArray, wanted: NDArray) -> float:
    """Mean length of the difference of vectors."""
    return float(np.linalg.norm(found - wanted, axis=1).mean())


def gap_table(rows: dict[str, NDArray], gaps: NDArray) -> str:
    """Errors of the gap (eV) for each kind of rows."""
    test = split(len(gaps))[2]
    guess = absolute(np.full(len(test), np.median(np.delete(gaps, test))), gaps[test])
    lines = [["median of the training molecules", f"{guess:.3f}", "", ""]]
    for name, X in rows.items():
        ridge, perceptron, chosen = scalar_errors(X, gaps)
        lines.append([name, f"{ridge:.3f}", f"{perceptron:.3f}", f"{chosen / HARTREE:.5f}"])
    return markdown(lines, ["rows", "ridge, eV", "perceptron, eV", "chosen by inner error, Ha"])


def orbital_table(rows: dict[str, NDArray], energies: dict[str, NDArray]) -> str:
    """Errors (eV) of Hartree-Fock orbital energies, and their mean (Ha), for each kind of rows."""
    lines = []
    for name, X in rows.items():
        errors = [scalar_errors(X, y)[2] for y in energies.values()]
        lines.append([name, *[f"{error:.3f}" for error in errors], f"{np.mean(errors) / HARTREE:.5f}"])
    return markdown(lines, ["rows", *[f"HF {name}, eV" for name in energies], "mean, Ha"])


def dipole_table(vectors: NDArray, rows: dict[str, NDArray], dipoles: dict[str, NDArray]) -> str:
    """Errors (D) of dipole vectors and of their lengths."""
    lines = []
    for level, y in dipoles.items():
        test = split(len(y))[2]
        lengths = np.linalg.norm(y, axis=1)
        median = np.median(np.delete(lengths, test))
        zero = [f"{lengths[test].mean():.3f}", f"{absolute(median, lengths[test]):.3f}"]
        lines.append([level, "zero vector; median length", *zero])
        found, _ = best(HEADS, vectors, y, distance)
        length = absolute(np.linalg.norm(found, axis=1), lengths[test])
        lines.append(
            [level, "vector rows, EquivariantRidge", f"{distance(found, y[test]):.3f}", f"{length:.3f}"]
        )
        for name, X in rows.items():
            error = scalar_errors(X, lengths)[2]
            lines.append([level, f"{name}, ridge or perceptron by inner error", "", f"{error:.3f}"])
    return markdown(lines, ["dipole", "rows and model", "error of the vector, D", "error of its length, D"])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--geometries", type=Path, nargs="+", required=True)
    parser.add_argument("--smiles", type=Path, required=True)
    parser.add_argument("--gaps", type=Path, required=True)
    parser.add_argument("--dipoles", type=Path, required=True)
    parser.add_argument("--mo3enet", default="mo3enet-druglike", help="checkpoint")
    parser.add_argument("--rem3di", default="rem3di-small", help="checkpoint")
    parser.add_argument("--most", type=int, help="at most so many molecules with a gap")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, help="invariant rows")
    parser.add_argument("--orbitals", action="store_true", help="Hartree-Fock orbitals, too")
    args = parser.parse_args(argv)
    gaps = pd.read_csv(args.gaps).set_index("mol_index")["gap_B3LYP_eV"]
    dipoles = pd.read_csv(args.dipoles).set_index("mol_index")
    smiles = pd.read_csv(args.smiles).set_index("mol_index")["smiles_iso"].dropna()
    atoms = read_geometries(args.geometries, set(gaps.index) | set(dipoles.index))
    scalar = Mo3ENetFeaturizer(model=args.mo3enet, errors="nan")
    vector = Mo3ENetFeaturizer(model=args.mo3enet, output="vector", errors="nan")
    dense = REM3DIFeaturizer(model=args.rem3di, blocks=("surface", "properties", "dense"))
    invariant = {
        ROWS["ecfp"]: lambda keys: ECFPFeaturizer(count=True).fit_transform(smiles[keys]),
        ROWS["rem3di"]: lambda keys: dense.fit_transform([atoms[key] for key in keys]),
        ROWS["mo3enet"]: lambda keys: scalar.fit_transform([atoms[key] for key in keys]),
    }
    invariant = {ROWS[name]: invariant[ROWS[name]] for name in args.rows}
    keys = [key for key in gaps.index if key in atoms and key in smiles.index][: args.most]
    print(f"## B3LYP gap, {len(keys)} molecules\n")
    rows = {name: np.asarray(make(keys)) for name, make in invariant.items()}
    print(gap_table(rows, gaps[keys].to_numpy()), flush=True)
    keys = [key for key in dipoles.index if key in atoms and key in smiles.index]
    print(f"\n## Dipole, {len(keys)} molecules\n")
    columns = {"HF": "dip_HF_{}_au", "MP2": "dip_MP2relaxed_{}_au"}
    wanted = {
        level: DEBYE * dipoles.loc[keys, [column.format(axis) for axis in "xyz"]].to_numpy()
        for level, column in columns.items()
    }
    rows = {name: np.asarray(make(keys)) for name, make in invariant.items()}
    if args.orbitals:
        levels = {"HOMO": "homo_HF_eV", "LUMO": "lumo_HF_eV"}
        energies = {name: dipoles.loc[keys, column].to_numpy() for name, column in levels.items()}
        energies["gap"] = energies["LUMO"] - energies["HOMO"]
        print(orbital_table(rows, energies), "\n", flush=True)
    print(dipole_table(vector.fit_transform([atoms[key] for key in keys]), rows, wanted))


if __name__ == "__main__":
    main()
