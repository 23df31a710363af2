"""Energies of synthesised crystals from embeddings of the molecule.

    python -m skmol3d.benchmark.experiments.crystal_energies CRYSTALS [--plot parity.png] [--save FOLDER]

CRYSTALS is a folder of `skmol3d.benchmark.experiments.synthetic_crystals`. The
molecules are split 8 : 1 : 1; on each
embedding beside the twelve parameters (the paper's four, and Mo3ENet's scalar rows), networks of several
degrees of regularisation are trained for both energies together, the best is chosen on the second part (by
the mean of the two correlations), and tested on the third: Pearson's R and mean absolute errors, energies
clipped at their 0.5 and 99.5 % quantiles as the paper does (arXiv:2405.13791, section 4.4). ``--save`` writes
the network on Mo3ENet's vectors as a checkpoint.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmol3d import CrystalEnergyRegressor, CrystalFeaturizer, Mo3ENetFeaturizer
from skmol3d.benchmark.experiments.synthetic_crystals import TARGETS, read_parts
from skmol3d.benchmark.report import markdown

EMBEDDINGS = ("none", "volume", "inertia", "mo3enet", "mo3enet scalars")
SETTINGS: list[dict[str, Any]] = [
    {"dropout": 0.0, "weight_decay": 0.01},
    {"dropout": 0.3, "weight_decay": 0.1},
    {"dropout": 0.3, "weight_decay": 1.0},
]
UNITS = {"buckingham": "well depths", "mlip": "eV"}

CARD = """# crystal-energy-small

Lattice energies of molecular crystals with one molecule in a P1 cell, from the rows of
`CrystalFeaturizer(model="mo3enet-small")`: Buckingham (in well depths, cutoff 10 Å) and `et-xtb-small` (eV),
both per molecule. A multilayer perceptron, as in arXiv:2405.13791, section 4.4.

**Limits.** Trained on synthesised crystals of {molecules:,} QM9 molecules (C, H, N, O, F; up to 9 heavy
atoms) near minima of a Lennard-Jones energy, in P1 alone; other space groups and larger molecules are
extrapolations. `et-xtb-small` learned single molecules: its energies between molecules are no physics that
was tested, but a many-body potential to be emulated.

**Not for ranking** different compounds before a test: `python -m skmol3d.benchmark.experiments.x23
x23.extxyz.gz --energies FOLDER` compares the order of its energies with the published one.

## Training

- Command: `python -m skmol3d.benchmark.experiments.crystal_energies CRYSTALS --save FOLDER`, where CRYSTALS
  come from `python -m skmol3d.benchmark.experiments.synthetic_crystals DATA --out CRYSTALS`
- {rows:,} crystals of {trained:,} molecules, {epochs} epochs, width {width}, dropout {dropout:g}, weight
  decay {decay:g}, on one CPU core

## Held-out molecules

{table}
"""


def split(molecules: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Places of crystals to train on, to choose on and to test on, by molecule."""
    count = int(molecules.max()) + 1
    order = np.random.default_rng(0).permutation(count)
    edges = [int(0.8 * count), int(0.9 * count)]
    a, b, c = (np.flatnonzero(np.isin(molecules, part)) for part in np.split(order, edges))
    return a, b, c


def correlations(found: NDArray, wanted: NDArray) -> NDArray[np.float64]:
    """Pearson's R of each column."""
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(found.T, wanted.T, strict=True)])


def compare(
    rows: dict[str, NDArray], energies: NDArray, molecules: NDArray, epochs: int
) -> tuple[str, dict[str, tuple[CrystalEnergyRegressor, NDArray, NDArray]]]:
    """Table of test errors; and of each embedding the chosen model, its predictions and the test energies."""
    train, inner, test = split(molecules)
    low, high = np.quantile(energies[train], [0.005, 0.995], axis=0)
    clipped = np.clip(energies, low, high)
    lines, kept = [], {}
    for name, X in rows.items():
        chosen: Any = None
        best = -np.inf
        for settings in SETTINGS:
            model = CrystalEnergyRegressor(epochs=epochs, batch_size=512, **settings)
            model.fit(X[train], energies[train], targets=TARGETS)
            score = correlations(model.predict(X[inner]), clipped[inner]).mean()
            if score > best:
                best, chosen = score, model
        found = chosen.predict(X[test])
        errors = np.abs(found - clipped[test]).mean(0)
        kept[name] = chosen, found, clipped[test]
        cells = [
            cell
            for r, error in zip(correlations(found, clipped[test]), errors, strict=True)
            for cell in (f"{r:.3f}", f"{error:.3g}")
        ]
        lines.append([name, str(X.shape[1]), f"{chosen.dropout:g}, {chosen.weight_decay:g}", *cells])
    spread = np.abs(clipped[test] - np.median(clipped[train], axis=0)).mean(0)
    lines.append(["median of the training crystals", "", "", "", f"{spread[0]:.3g}", "", f"{spread[1]:.3g}"])
    head = ["embedding", "columns", "dropout, decay"]
    for target in TARGETS:
        head += [f"{target}: R", f"MAE, {UNITS[target]}"]
    return markdown(lines, head), kept


def plot(kept: dict[str, tuple[Any, NDArray, NDArray]], path: Path) -> None:
    """Parity plots: energies in rows, embeddings in columns."""
    from matplotlib.figure import Figure  # without pyplot: a notebook's own figures are left alone

    figure = Figure(figsize=(3 * len(kept), 6), layout="constrained")
    axes = figure.subplots(len(TARGETS), len(kept))
    for column, (name, (_, found, wanted)) in enumerate(kept.items()):
        for row, target in enumerate(TARGETS):
            axis = axes[row, column]
            axis.hexbin(wanted[:, row], found[:, row], gridsize=60, bins="log", mincnt=1, cmap="viridis")
            ends = [wanted[:, row].min(), wanted[:, row].max()]
            axis.plot(ends, ends, color="tab:red", linewidth=0.8)
            r = np.corrcoef(wanted[:, row], found[:, row])[0, 1]
            axis.set_title(f"{name}: R = {r:.3f}")
            axis.set_xlabel(f"{target}, {UNITS[target]}")
    for axis in axes[:, 0]:
        axis.set_ylabel("predicted")
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    """Compare the embeddings and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("crystals", type=Path)
    parser.add_argument("--model", default="mo3enet-small", help="checkpoint of Mo3ENet")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--save", type=Path)
    args = parser.parse_args(argv)
    crystals, energies, molecules = read_parts(args.crystals)
    scalars = Mo3ENetFeaturizer(model=args.model, output="scalar")
    rows = {
        name: CrystalFeaturizer(
            molecule=scalars if name == "mo3enet scalars" else name, model=args.model
        ).fit_transform(crystals)
        for name in EMBEDDINGS
    }
    train, inner, test = split(molecules)
    parts = ", ".join(
        f"{len(part):,} of {len(np.unique(molecules[part])):,} molecules {use}"
        for part, use in ((train, "to train on"), (inner, "to choose on"), (test, "to test on"))
    )
    print(f"{len(crystals):,} crystals: {parts}\n")
    table, kept = compare(rows, energies, molecules, args.epochs)
    print(table)
    if args.plot:
        plot(kept, args.plot)
    if args.save:
        model = kept["mo3enet"][0]
        card = CARD.format(
            molecules=int(molecules.max()) + 1,
            rows=len(train),
            trained=len(np.unique(molecules[train])),
            epochs=args.epochs,
            width=model.width,
            dropout=model.dropout,
            decay=model.weight_decay,
            table=table,
        )
        model.save(args.save, card)


if __name__ == "__main__":
    main()
