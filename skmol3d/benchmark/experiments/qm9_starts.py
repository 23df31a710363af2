"""What pretraining is worth on QM9: orbitals or dipoles after fine-tuning, pretrained against random weights.

``python -m skmol3d.benchmark.experiments.qm9_starts --geometries xtb/qm9_0.npz xtb/qm9_1.npz``
``--labels qm9_10k_rimp2_tzvp.csv.gz --recipe egnn-emgp-small --start FOLDER``

FOLDER is a potential that ``skmol3d pretrain`` made, by the recipe or another one with its architecture. It
and random weights train for the same steps on the Hartree-Fock energies of the highest occupied and lowest
unoccupied orbitals (columns ``homo_HF_eV`` and ``lumo_HF_eV``) of the same molecules, or with ``--targets
dipole`` on their Hartree-Fock dipole vectors (``dip_HF_x_au`` and so on), at the geometries of QM9, with the
recipe's settings: once per seed, which draws the molecules, the batches and the random weights. The recipe's
share ``held_out`` of the training molecules is for validation, and the molecules that are left are the test.

Prints a Markdown table of mean absolute errors (meV; of dipoles the length of the difference, mD), mean ±
standard deviation over the seeds. A killed command, repeated, goes on from its ``--out``.
"""

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from skmol3d.benchmark.experiments.forces import PRETRAINED, RANDOM, compare, select
from skmol3d.benchmark.report import markdown, spread
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.xtb import read_xtb
from skmol3d.trainer.pretrain import read_recipe

LABELS = {"homo": "homo_HF_eV", "lumo": "lumo_HF_eV", "dipole": [f"dip_HF_{x}_au" for x in "xyz"]}
BOHR, DEBYE = 0.529177211, 1 / 0.208194333  # Å; D per e·Å
UNITS = {"homo": ("HOMO (meV)", 1e3), "lumo": ("LUMO (meV)", 1e3), "dipole": ("dipole (mD)", 1e3 * DEBYE)}


def read(path: Path, labels: pd.DataFrame, names: Sequence[str]) -> PackedSet:
    """The QM9 geometries of a file that have labels (by QM9's number of the molecule), with those named."""
    data = read_xtb(path)
    known = np.isin(data.group, labels.index)
    rows = np.flatnonzero(known & (data.molecule_targets["kind"] == ConformerKind.QM9))
    found = labels.loc[data.group[rows]]
    targets = {name: found[LABELS[name]].to_numpy(np.float32) for name in names}
    if "dipole" in targets:
        targets["dipole"] *= np.float32(BOHR)
    return replace(select(data, rows), atom_targets={}, molecule_targets=targets)


def table(runs: Sequence[dict[str, dict[str, dict[str, float]]]], targets: Sequence[str]) -> str:
    """Markdown from what `forces.compare` returned for each seed; files count by their molecules."""
    lines = []
    for part in ("validation", "test"):
        line = [part]
        for name in targets:
            unit = UNITS[name][1]
            errors = [
                [unit * _mean(run[start], part, f"{name}_mae") for run in runs]
                for start in (PRETRAINED, RANDOM)
            ]
            line += [spread(e, 0) for e in errors]
            line.append(f"{np.mean(errors[0]) / np.mean(errors[1]):.2f}")
        lines.append(line)
    header = ["molecules"]
    for name in targets:
        header += [f"{UNITS[name][0]}, {PRETRAINED}", RANDOM, "ratio"]
    return markdown(lines, header)


def _mean(metrics: dict[str, dict[str, float]], part: str, metric: str) -> float:
    chosen = [row for name, row in metrics.items() if name.endswith("(validation)") == (part == "validation")]
    return float(np.average([row[metric] for row in chosen], weights=[row["molecules"] for row in chosen]))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--geometries", type=Path, nargs="+", required=True)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--recipe", default="egnn-emgp-small", help="(default: egnn-emgp-small)")
    parser.add_argument("--start", required=True, help="pretrained potential")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument(
        "--molecules", type=int, default=4000, help="of each file, to train on (default: 4000)"
    )
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--targets", nargs="+", choices=LABELS, default=["homo", "lumo"])
    parser.add_argument("--out", type=Path, help="keeps data, logs and metrics")
    args = parser.parse_args(argv)
    columns = [column for name in args.targets for column in np.atleast_1d(LABELS[name])]
    labels = pd.read_csv(args.labels).set_index("mol_index")[columns].dropna()
    sets = {path.name.partition(".")[0]: read(path, labels, args.targets) for path in args.geometries}
    sets = {name: data for name, data in sets.items() if len(data)}
    recipe = read_recipe(args.recipe, args.set)
    recipe = replace(recipe, initial=args.start, weights=dict.fromkeys(args.targets, 1.0))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "runs" if args.out is None else args.out
        runs = [
            compare(replace(recipe, seed=seed), sets, sets, args.molecules, out / f"seed{seed}")
            for seed in range(args.seeds)
        ]
    schedule, tests = recipe.schedule, {n: r for n, r in runs[0][RANDOM].items() if "(validation)" not in n}
    print(
        f"\n{sum(len(s) for s in sets.values())} molecules, of which {args.molecules} of each file train "
        f"(validation {recipe.held_out:.0%}) and {sum(int(r['molecules']) for r in tests.values())} test; "
        f"{schedule.steps} steps of at most {recipe.atoms} atoms, peak learning rate "
        f"{schedule.learning_rate:g}; {args.seeds} seeds; pretrained: {args.start}\n"
    )
    print(table(runs, args.targets))


if __name__ == "__main__":
    main()
