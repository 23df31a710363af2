"""Which molecules of the panel a checkpoint's training has met: writes ``skmol3d/benchmark/seen.csv``.

    python -m skmol3d.benchmark.experiments.seen_molecules --models et-xtb-small rem3di-small --tasks TASKS
        --training qm9/qm9_smiles_from_xyz.csv.gz smiles_flat --training xtb/drugs_smiles.csv.gz smiles

``--training`` names a table of what the models were trained on and its column of SMILES. The benchmark counts
the listed molecules in the test parts and says so under its tables (`skmol3d.benchmark.seen`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from skmol3d.benchmark.protocol import unique_smiles
from skmol3d.benchmark.report import markdown
from skmol3d.benchmark.seen import TABLE, without_stereo
from skmol3d.datasets import read_panel


def main(argv: Sequence[str] | None = None) -> None:
    """Write the list and print how many molecules of each task are on it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", required=True, help="checkpoints trained on these molecules")
    parser.add_argument("--tasks", type=Path, required=True, help="folder of tasks")
    parser.add_argument("--training", nargs=2, action="append", required=True, metavar=("TABLE", "COLUMN"))
    parser.add_argument("--out", type=Path, default=TABLE, help="where to write (default: into the package)")
    args = parser.parse_args(argv)
    tasks = read_panel(args.tasks)
    training = {
        without_stereo(text)
        for table, column in args.training
        for text in pd.read_csv(table)[column].dropna()
    }
    flat = {text: without_stereo(text) for text in unique_smiles(tasks)}
    met = sorted({smiles for smiles in flat.values() if smiles is not None and smiles in training})
    rows = [(model, smiles) for model in args.models for smiles in met]
    pd.DataFrame(rows, columns=["model", "smiles"]).to_csv(args.out, index=False)
    counts = [
        (task.name, len(task.smiles), sum(flat[text] in training for text in task.smiles)) for task in tasks
    ]
    lines = [[name, str(total), str(count)] for name, total, count in counts if count]
    print(markdown(lines, ["task", "molecules", "met in training"]))


if __name__ == "__main__":
    main()
