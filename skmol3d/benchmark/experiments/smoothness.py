"""How far Mo3ENet's vector rows move when atoms do, what they copy, and how well they are decoded.

    python -m skmol3d.benchmark.experiments.smoothness SETS [--models mo3enet-druglike mo3enet-small]

For random molecules of a set (any that training reads): the change of the row when every coordinate gets
noise of 0.01 Å, over the median distance between the rows of two molecules; the distance from an atom that is
encoded to the nearest of the molecule's vectors, over its distance to the nearest other encoded atom (zero if
each atom's position is copied); and `reconstruction_error`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from skmol3d import Mo3ENetFeaturizer, hub
from skmol3d.benchmark.report import markdown
from skmol3d.trainer.data.sources import read_set

NOISE = 0.01  # Å
COLUMNS = [
    "rows",
    "molecules",
    "change, median",
    "largest",
    "more than 0.1",
    "atom to nearest vector, Å",
    "over nearest atom",
    "reconstruction error, Å",
]


def changes(featurizer: Any, molecules: Sequence[Atoms], seed: int = 0) -> NDArray[np.float64]:
    """Change of each row under noise, over the median distance between molecules."""
    rng = np.random.default_rng(seed)
    noised = [Atoms(a.numbers, a.positions + rng.normal(0.0, NOISE, a.positions.shape)) for a in molecules]
    one, other = featurizer.transform(molecules), featurizer.transform(noised)
    moved: NDArray[np.float64] = np.linalg.norm(one - other, axis=1) / np.median(pdist(one))
    return moved


def copied(featurizer: Any, molecules: Sequence[Atoms]) -> tuple[float, float]:
    """Median distance (Å) from an encoded atom to the nearest vector; median of it over that to an atom."""
    rows = featurizer.transform(molecules)
    encoder: Any = hub.from_pretrained(featurizer.model)
    found, relative = [], []
    for row, atoms in zip(rows, molecules, strict=True):
        x = atoms.positions if encoder.config.hydrogens else atoms.positions[atoms.numbers > 1]
        if len(x) < 2:
            continue
        x = x - x.mean(0)
        vectors = row[: 3 * len(row) // 4].reshape(3, -1).T
        nearest = cdist(x, vectors).min(1)
        between = cdist(x, x) + np.diag(np.full(len(x), np.inf))
        found.append(nearest)
        relative.append(nearest / between.min(1))
    return float(np.median(np.concatenate(found))), float(np.median(np.concatenate(relative)))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", type=Path)
    parser.add_argument("--most", type=int, default=300, help="molecules")
    parser.add_argument("--models", nargs="+", default=["mo3enet-druglike", "mo3enet-small"])
    args = parser.parse_args(argv)
    data = read_set(args.set)
    drawn = []
    for i in np.random.default_rng(0).permutation(len(data))[: args.most]:
        batch = data.batch(np.array([i]))[0]
        drawn.append(Atoms(batch.numbers.numpy(), batch.positions.double().numpy()))
    lines = []
    for model in args.models:
        featurizer = Mo3ENetFeaturizer(model, output="vector", errors="nan")
        known = np.isfinite(featurizer.fit_transform(drawn)).all(1)
        molecules = [m for m, k in zip(drawn, known, strict=True) if k]
        if not molecules:
            lines.append([model, "0", *[""] * 6])
            continue
        moved = changes(featurizer, molecules)
        nearest, relative = copied(featurizer, molecules)
        error = featurizer.reconstruction_error(molecules)
        numbers = [np.median(moved), moved.max(), (moved > 0.1).mean(), nearest, relative, np.mean(error)]
        lines.append([model, str(len(molecules)), *[f"{value:.4f}" for value in numbers]])
    print(markdown(lines, COLUMNS))


if __name__ == "__main__":
    main()
