"""Table of the crystals in files: what each one is, how exactly it is rebuilt, and what was refused.

    python -m skmol3d.benchmark.experiments.crystals FILES... [--symprec 0.01]

"off" is the largest distance (Å) between an atom of the file and its place in the crystal built again from
the molecules, the twelve parameters of each and the space group; "row" is whether `CrystalFeaturizer` embeds
it, or why not.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from skmol3d import CrystalFeaturizer
from skmol3d.crystals import CrystalError, MolecularCrystal, iter_crystals


def rows(path: Path, symprec: float) -> Iterator[tuple[str, MolecularCrystal | CrystalError]]:
    """Yield the name and the description, or the reason why there is none, of each crystal in a file."""
    for i, record in enumerate(iter_crystals(path)):
        info = getattr(record, "info", {})
        name = info.get("name") or info.get("csd_code") or info.get("ID_origin") or ""
        try:
            yield f"{i} {name}".strip(), MolecularCrystal.read(record, symprec)
        except CrystalError as error:
            yield f"{i} {name}".strip(), error


def table(path: Path, symprec: float, model: str) -> str:
    """Markdown table of one file, with a summary."""
    lines = ["| crystal | group | Z | Z' | molecules | off, Å | row |", "|---|---|---:|---:|---|---:|---|"]
    offs: list[float] = []
    refused: list[str] = []
    single = 0
    groups: Counter[str] = Counter()
    found = list(rows(path, symprec))
    described = [crystal for _, crystal in found if not isinstance(crystal, CrystalError)]
    failures: dict[int, str] = {}
    if described:
        featurizer = CrystalFeaturizer(model=model, errors="nan")
        featurizer.fit_transform(described)
        failed = featurizer.failures_
        failures = dict(zip(failed["index"], failed["reason"], strict=True))
    for name, crystal in found:
        if isinstance(crystal, CrystalError):
            refused.append(str(crystal))
            lines.append(f"| {name} | refused: {crystal} | | | | | |")
            continue
        row = failures.get(len(offs), "yes")
        offs.append(crystal.deviation)
        groups[crystal.symbol] += 1
        single += len(crystal.molecules) == 1
        sizes = " + ".join(str(len(molecule.numbers)) for molecule in crystal.molecules)
        lines.append(
            f"| {name} | {crystal.symbol} ({crystal.space_group}) | {crystal.z} | {crystal.z_prime:g}"
            f" | {sizes} atoms | {crystal.deviation:.1e} | {row} |"
        )
    summary = [
        f"## {path.name}, symprec = {symprec:g} Å",
        "",
        f"{len(found)} crystals, {len(refused)} refused, {single} with one independent molecule, "
        f"{len(described) - len(failures)} embedded by {model}. Within 1e-4 Å of "
        f"the file: {sum(off < 1e-4 for off in offs)}; farthest: {max(offs, default=0):.1e} Å. "
        f"Space groups: {', '.join(f'{symbol} {n}' for symbol, n in groups.most_common())}.",
        "",
    ]
    return "\n".join(summary + lines) + "\n"


def main(argv: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, help=".cif, .extxyz or .xyz, possibly .gz")
    parser.add_argument("--symprec", type=float, default=0.01, help="Å (default: 0.01)")
    parser.add_argument("--model", default="mo3enet-small", help="checkpoint of Mo3ENet")
    args = parser.parse_args(argv)
    for path in args.files:
        print(table(path, args.symprec, args.model), flush=True)


if __name__ == "__main__":
    main()
