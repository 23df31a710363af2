"""How wide Mo3ENet's bottleneck should be: vectors against reconstruction and linear read-outs.

    python -m skmol3d.benchmark.experiments.bottleneck RUNS/NAME [RUNS/NAME ...]

Each is a checkpoint of a recipe of kind ``mo3enet_pooled``, as `skmol3d pretrain` leaves it with ``NAME.run``
beside it; for example of

    skmol3d pretrain mo3enet-druglike --data DATA --out RUNS --set name=width-12 --set model.embedding=12 \\
        --set schedule.steps=500 --set schedule.minutes=null

Prints for each set of held-out molecules, by the number of vectors: the steps of the run, the shares of heavy
atoms and of molecules that are found again, and the mean absolute errors of the linear read-outs of the gap
(eV) and the dipole vector (e·Å), where the set has labels.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from skmol3d.benchmark.report import markdown

COLUMNS = {
    "matched_atoms": "atoms found",
    "matched_molecules": "molecules found",
    "gap_mae": "gap, eV",
    "dipole_mae": "dipole, e·Å",
}


def read_run(checkpoint: Path) -> tuple[int, int, dict[str, dict[str, float]]]:
    """Vectors, steps, and the metrics of each set, of a checkpoint with its logs beside it."""
    logs = checkpoint.with_name(f"{checkpoint.name}.run")
    config: dict[str, Any] = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    steps = pd.read_csv(logs / "log.csv")["step"].iloc[-1]
    metrics = json.loads((logs / "metrics.json").read_text(encoding="utf-8"))
    return config["config"]["embedding"], int(steps), metrics


def table(checkpoints: Sequence[Path]) -> str:
    """The table of runs, as Markdown."""
    lines = []
    for vectors, steps, metrics in sorted(map(read_run, checkpoints), key=lambda run: run[:2]):
        for name, found in metrics.items():
            cells = [f"{found[key]:.3f}" if key in found else "" for key in COLUMNS]
            lines.append([name, str(vectors), f"{steps:,}", *cells])
    lines.sort(key=lambda line: line[0])
    return markdown(lines, ["held out of", "vectors", "steps", *COLUMNS.values()])


def main(argv: Sequence[str] | None = None) -> None:
    """Read the runs and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoints", type=Path, nargs="+")
    print(table(parser.parse_args(argv).checkpoints))


if __name__ == "__main__":
    main()
