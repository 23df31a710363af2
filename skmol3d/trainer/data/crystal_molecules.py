"""Molecules to make crystals of.

    python -m skmol3d.trainer.data.crystal_molecules FILE COUNT [FILE COUNT ...] --out MOLECULES.npz

FILE is a labelled set (``xtb/drugs.npz``), COUNT how many of its neutral molecules are taken at random; there
can be several pairs. Of each molecule the conformer relaxed in GFN2-xTB is taken where there is one, or else
that of QM9, of MMFF94, of a file or of ETKDG, never a noisy one. Positions are rounded to 0.004 Å and charges
to 0.01 e: a file that travels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.xtb import read_xtb

UNIT = 0.004  # Å
PREFERRED = (
    ConformerKind.RELAXED,
    ConformerKind.QM9,
    ConformerKind.MMFF,
    ConformerKind.BROUGHT,
    ConformerKind.ETKDG,
)


def choose(path: Path, count: int, seed: int) -> list[tuple[NDArray, NDArray, NDArray]]:
    """Atomic numbers [n], positions [n, 3] (Å) and charges [n] (e) of ``count`` random molecules."""
    data = read_xtb(path)
    kind = data.molecule_targets["kind"]
    heavy = np.add.reduceat(data.numbers > 1, data.offsets[:-1])
    rank = np.full(len(kind), len(PREFERRED))
    for k, each in enumerate(PREFERRED):
        rank[kind == each] = k
    fit = np.flatnonzero((data.charge == 0) & (heavy > 1) & (rank < len(PREFERRED)))
    fit = fit[np.lexsort([fit, rank[fit], data.group[fit]])]
    _, first = np.unique(data.group[fit], return_index=True)
    best = fit[first]
    if len(best) < count:
        raise ValueError(f"{path}: only {len(best)} neutral molecules with two atoms besides hydrogen")
    chosen = np.sort(np.random.default_rng(seed).permutation(best)[:count])
    spans = [slice(*data.offsets[i : i + 2]) for i in chosen]
    charges = data.atom_targets["charges"]
    return [(data.numbers[s], data.positions[s] * 0.001, charges[s].astype(float)) for s in spans]


def write(path: Path, molecules: Sequence[tuple[NDArray, NDArray, NDArray]]) -> None:
    """Write molecules, as `choose` gives them, for `skmol3d.trainer.data.synthetic_crystals`."""
    numbers, positions, charges = (np.concatenate(each) for each in zip(*molecules, strict=True))
    np.savez_compressed(
        path,
        sizes=np.array([len(n) for n, *_ in molecules], np.uint8),
        numbers=numbers.astype(np.uint8),
        positions=np.round(positions / UNIT).astype(np.int16),
        charges=np.round(100.0 * charges).clip(-127, 127).astype(np.int8),
        unit=np.array(UNIT),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Choose and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pairs", nargs="+", metavar="FILE COUNT")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    parts = [
        choose(Path(path), int(count), args.seed)
        for path, count in zip(args.pairs[::2], args.pairs[1::2], strict=True)
    ]
    molecules = [molecule for part in parts for molecule in part]
    write(args.out, molecules)
    print(f"{len(molecules)} molecules in {args.out}")


if __name__ == "__main__":
    main()
