"""Table of the crystals in files: what each one is, how exactly it is rebuilt, and which have a row.

    python -m skmol3d.benchmark.experiments.crystals FILES... [--symprec 0.01] [--rewritten 1]

"off" is the largest distance (Å) between an atom of the file and its place in the crystal built again from
the molecules, the twelve parameters of each and the space group; then whether `CrystalFeaturizer` has a row
with each embedding of the molecules. A second table says why the others have none. With ``--rewritten N``
every crystal is written N times in another cell of its lattice, moved, turned and in another order of its
atoms, and the largest change of a row is printed.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from skmol3d import CrystalFeaturizer
from skmol3d.benchmark.report import markdown
from skmol3d.crystals import CrystalError, MolecularCrystal, iter_crystals
from skmol3d.crystals.reading import read_periodic

SAME = 1e-3
"""Rows that differ by less in every column are the same."""


def named(path: Path) -> list[tuple[str, object]]:
    """Names of the crystals in a file, and what `MolecularCrystal.read` takes."""
    found = []
    for i, record in enumerate(iter_crystals(path)):
        info = getattr(record, "info", {})
        name = info.get("name") or info.get("csd_code") or info.get("ID_origin") or ""
        found.append((f"{i} {name}".strip(), record))
    return found


def rewritten(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The same crystal in another cell of its lattice, moved, turned, and with its atoms in another order."""
    axes = np.eye(3, dtype=int)
    for _ in range(3):
        shear = np.eye(3, dtype=int)
        shear[tuple(rng.choice(3, 2, replace=False))] = rng.integers(-1, 2)
        axes = axes @ shear
    turn = Rotation.from_quat(rng.normal(size=4)).as_matrix()
    positions = (atoms.positions + rng.uniform(-5, 5, 3)) @ turn
    moved = Atoms(atoms.numbers, positions, cell=axes @ atoms.cell.array @ turn, pbc=True)
    moved.wrap()
    return moved[rng.permutation(len(moved))]


def rows(crystals: list[Any], embedding: str, symprec: float) -> tuple[NDArray, dict[int, str]]:
    """Rows of crystals, and why some have none."""
    featurizer = CrystalFeaturizer(embedding, symprec=symprec, errors="nan")
    found = featurizer.fit_transform(crystals)
    failed = featurizer.failures_
    return found, dict(zip(failed["index"], failed["reason"], strict=True))


def report(path: Path, symprec: float, embeddings: Sequence[str], repeats: int) -> str:
    """Markdown tables of one file, with a summary."""
    described: list[tuple[str, object, MolecularCrystal]] = []
    refused: list[list[str]] = []
    for name, record in named(path):
        try:
            described.append((name, record, MolecularCrystal.read(record, symprec)))
        except CrystalError as error:
            refused.append([name, "any", str(error)])
    crystals = [crystal for _, _, crystal in described]
    summary = [
        f"{len(crystals) + len(refused)} crystals, {len(refused)} refused, "
        f"{sum(len(crystal.molecules) == 1 for crystal in crystals)} with one independent molecule."
    ]
    has_row: dict[str, list[str]] = {}
    for embedding in embeddings if crystals else ():
        found, failures = rows(crystals, embedding, symprec)
        has_row[embedding] = ["no" if i in failures else "yes" for i in range(len(crystals))]
        refused += [[described[i][0], embedding, reason] for i, reason in failures.items()]
        summary.append(f"A row with {embedding}: {len(crystals) - len(failures)}.")
        changes = np.zeros(len(crystals))
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            others = [rewritten(read_periodic(record), rng) for _, record, _ in described]
            change = np.abs(rows(others, embedding, symprec)[0] - found).max(1)
            changes = np.maximum(changes, np.where(has_row[embedding] == np.array("no"), 0, change))
        if repeats:
            worst = int(np.nan_to_num(changes, nan=np.inf).argmax())
            summary.append(
                f"Rewritten {repeats} times: {int((~(changes < SAME)).sum())} of these"
                f" change by {SAME:g} or more; most, by {changes[worst]:.1e}: {described[worst][0]}."
            )
    offs = [crystal.deviation for crystal in crystals]
    groups = Counter(crystal.symbol for crystal in crystals)
    summary += [
        f"Within 1e-4 Å of the file: {sum(off < 1e-4 for off in offs)};"
        f" farthest: {max(offs, default=0):.1e} Å.",
        f"Space groups: {', '.join(f'{symbol} {n}' for symbol, n in groups.most_common())}.",
    ]
    lines = [
        [
            name,
            f"{crystal.symbol} ({crystal.space_group})",
            str(crystal.z),
            f"{crystal.z_prime:g}",
            " + ".join(str(len(molecule.numbers)) for molecule in crystal.molecules) + " atoms",
            f"{crystal.deviation:.1e}",
            *(column[i] for column in has_row.values()),
        ]
        for i, (name, _, crystal) in enumerate(described)
    ]
    head = ["crystal", "group", "Z", "Z'", "molecules", "off, Å", *has_row]
    parts = [f"## {path.name}, symprec = {symprec:g} Å", " ".join(summary), markdown(lines, head)]
    if refused:
        parts += ["Without a row:", markdown(refused, ["crystal", "with", "reason"])]
    return "\n\n".join(parts) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help=".cif, .extxyz or .xyz, possibly .gz")
    parser.add_argument("--symprec", type=float, default=0.01, help="Å (default: 0.01)")
    parser.add_argument("--embeddings", nargs="+", default=["mo3enet", "rem3di"], help="of the molecules")
    parser.add_argument("--rewritten", type=int, default=0, help="times (default: 0)")
    args = parser.parse_args(argv)
    for path in args.files:
        print(report(path, args.symprec, args.embeddings, args.rewritten), flush=True)


if __name__ == "__main__":
    main()
