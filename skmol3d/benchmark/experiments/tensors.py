"""Vectors and tensors of molecules from frozen vector rows, by `EquivariantRidge`: ranks 1, 2 and 3.

    python -m skmol3d.benchmark.experiments.tensors --labels xtb/qm9_0.npz --most 6000
        [--models mo3enet-druglike mo3enet-small]

Rank 1 is the GFN2-xTB dipole; rank 2 the traceless quadrupole and rank 3 the octupole of its atomic charges
(tblite gives a quadrupole, too, but that of tblite 0.8 does not turn with the molecule). All from the
centroid of the heavy atoms, of neutral molecules. 80 % of the molecules train, 20 % test; settings of the
head are chosen on a tenth of the training molecules.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from skmol3d import EquivariantRidge, Mo3ENetFeaturizer
from skmol3d.benchmark.experiments.qm9 import best, distance, split
from skmol3d.benchmark.report import markdown
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.xtb import read_xtb

UNITS = {1: "dipole, e·Å", 2: "quadrupole, e·Å²", 3: "octupole, e·Å³"}
HEADS = [EquivariantRidge(alpha=alpha, gates=gates) for gates in (8, 32) for alpha in (1e-8, 1e-6, 1e-4)]


def moments(data: PackedSet, i: int) -> tuple[Atoms, dict[int, NDArray[np.float64]]]:
    """Molecule ``i``, and its dipole, quadrupole and octupole by rank."""
    batch, targets = data.batch(np.array([i]))
    x, charges = batch.positions.double().numpy(), targets["charges"].double().numpy()
    x = x - x[batch.numbers.numpy() > 1].mean(0)
    second = np.einsum("n,na,nb->ab", charges, x, x)
    found = {
        1: targets["dipole"][0].double().numpy(),
        2: 1.5 * (second - np.eye(3) * np.trace(second) / 3),
        3: np.einsum("n,na,nb,nc->abc", charges, x, x, x),
    }
    return Atoms(batch.numbers.numpy(), x), found


def tensor_table(rows: dict[str, NDArray], wanted: dict[int, NDArray]) -> str:
    """Errors of each rank for each kind of rows."""
    lines = []
    for rank, y in wanted.items():
        test = split(len(y))[2]
        flat = y.reshape(len(y), -1)
        guess = distance(np.zeros_like(flat[test]), flat[test])
        for name, X in rows.items():
            found = best(HEADS, X, y, lambda a, b: distance(a.reshape(len(a), -1), b.reshape(len(b), -1)))[0]
            error = distance(found.reshape(len(found), -1), flat[test])
            share = 1 - np.square(found - y[test]).sum() / np.square(y[test]).sum()
            lines.append([UNITS[rank], name, f"{guess:.3f}", f"{error:.3f}", f"{share:.3f}"])
    return markdown(lines, ["target", "rows", "error of zero", "error", "R²"])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--labels", type=Path, required=True, help="npz of `skmol3d label`")
    parser.add_argument("--most", type=int, default=6000, help="molecules, one conformer each")
    parser.add_argument("--models", nargs="+", default=["mo3enet-druglike", "mo3enet-small"])
    args = parser.parse_args(argv)
    data = read_xtb(args.labels)
    heavy = np.add.reduceat(data.numbers > 1, data.offsets[:-1], dtype=np.int64)
    usable = np.flatnonzero((data.charge == 0) & (heavy > 1))
    usable = usable[np.unique(data.group[usable], return_index=True)[1]]
    chosen = np.random.default_rng(0).permutation(usable)[: args.most]
    molecules, tensors = zip(*(moments(data, i) for i in chosen), strict=True)
    rows = {
        name: np.asarray(
            Mo3ENetFeaturizer(name, output="vector", errors="nan").fit_transform(list(molecules)), float
        )
        for name in args.models
    }
    # Molecules that any of them refuses are left out for all.
    known = np.all([np.isfinite(X).all(1) for X in rows.values()], axis=0)
    wanted = {rank: np.stack([found[rank] for found in tensors])[known] for rank in UNITS}
    print(f"## {known.sum()} molecules of {args.labels.name}\n")
    print(tensor_table({name: X[known] for name, X in rows.items()}, wanted))


if __name__ == "__main__":
    main()
