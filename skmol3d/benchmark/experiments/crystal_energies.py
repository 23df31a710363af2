"""Energies of synthesised crystals from embeddings of the molecule.

    python -m skmol3d.benchmark.experiments.crystal_energies CRYSTALS [--plot parity.png]

CRYSTALS is a folder of `skmol3d.trainer.data.synthetic_crystals`, of which those at rest are taken, as the
recipe ``crystal-energy-small`` does: all, or those of ``--molecules``. These are split 8 : 1 : 1; on each
embedding beside the columns of cell, pose and space group (the paper's four, Mo3ENet's scalar rows and
REM3DI's), networks of several degrees of regularisation are trained for both energies together, the best is
chosen on the second part (by the mean of the two correlations), and tested on the third: Pearson's R and mean
absolute errors, energies clipped at their 0.5 and 99.5 % quantiles as the paper does (arXiv:2405.13791,
section 4.4).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skmol3d import CrystalEnergyRegressor, CrystalFeaturizer, Mo3ENetFeaturizer
from skmol3d.benchmark.report import markdown
from skmol3d.trainer.data.crystal_columns import SyntheticCrystals, embedded
from skmol3d.trainer.data.synthetic_crystals import TARGETS
from skmol3d.trainer.kinds.crystal_energy import clip, correlations, split

EMBEDDINGS = ("none", "volume", "inertia", "mo3enet", "mo3enet scalars", "rem3di")
SETTINGS: list[dict[str, Any]] = [
    {"dropout": 0.0, "weight_decay": 0.01},
    {"dropout": 0.3, "weight_decay": 0.1},
    {"dropout": 0.3, "weight_decay": 1.0},
]
UNITS = {"buckingham": "well depths", "mlip": "eV"}


def compare(
    rows: dict[str, NDArray], energies: NDArray, molecules: NDArray, epochs: int
) -> tuple[str, dict[str, tuple[CrystalEnergyRegressor, NDArray, NDArray]]]:
    """Table of test errors; and of each embedding the chosen model, its predictions and the test energies."""
    train, inner, test = split(molecules)
    clipped = clip(energies, energies[train])
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
            x, y = wanted[:, row], found[:, row]
            ends = (min(x.min(), y.min()), max(x.max(), y.max()))
            # Cells are regular hexagons where both axes are the same.
            cells = {"gridsize": (48, 28), "extent": (*ends, *ends), "bins": "log", "mincnt": 1}
            axis.hexbin(x, y, cmap="viridis", **cells)
            axis.set_aspect("equal")
            axis.locator_params(nbins=4)
            axis.plot(ends, ends, color="black", linewidth=0.8)
            r = np.corrcoef(x, y)[0, 1]
            axis.set_title(f"{name}: R = {r:.3f}")
            axis.set_xlabel(f"{target} ({UNITS[target]})")
    for axis, target in zip(axes[:, 0], TARGETS, strict=True):
        axis.set_ylabel(f"predicted ({UNITS[target]})")
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    """Compare the embeddings and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("crystals", type=Path)
    parser.add_argument("--model", default="mo3enet-druglike", help="checkpoint of Mo3ENet")
    parser.add_argument("--embeddings", nargs="+", default=EMBEDDINGS, choices=EMBEDDINGS)
    parser.add_argument("--molecules", type=int, help="so many, at random; all if left out")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args(argv)
    crystals = SyntheticCrystals.read(args.crystals)
    owner = crystals.parts["molecule"]
    chosen = np.random.default_rng(0).permutation(np.unique(owner))[: args.molecules]
    crystals = crystals[np.flatnonzero(crystals.parts["optimised"] & np.isin(owner, chosen))]
    energies, molecules = crystals.energies, crystals.parts["molecule"]
    scalars = Mo3ENetFeaturizer(model=args.model, output="scalar")
    rows, whole = {}, np.ones(len(crystals), bool)
    for name in args.embeddings:
        model = args.model if name == "mo3enet" else None
        molecule = scalars if name == "mo3enet scalars" else name
        rows[name], good = embedded(crystals, CrystalFeaturizer(molecule, model).fit([]))
        whole &= good
    rows = {name: X[whole] for name, X in rows.items()}
    energies, molecules = energies[whole], molecules[whole]
    train, inner, test = split(molecules)
    parts = ", ".join(
        f"{len(part):,} of {len(np.unique(molecules[part])):,} molecules {use}"
        for part, use in ((train, "to train on"), (inner, "to choose on"), (test, "to test on"))
    )
    print(f"{len(energies):,} crystals: {parts}\n")
    table, kept = compare(rows, energies, molecules, args.epochs)
    print(table)
    if args.plot:
        plot(kept, args.plot)


if __name__ == "__main__":
    main()
