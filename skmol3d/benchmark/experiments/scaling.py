"""What more training is worth: the score of linear probes against the molecules seen.

``python -m skmol3d.benchmark.experiments.scaling RUN [RUN ...]``

RUN is the folder of logs of a run of ``skmol3d pretrain`` (``OUT/<name>.run``) whose recipe has a `probe`:
ridge regressions on the training parts of tasks, on the averaged weights of that step, before the learning
rate has come down. Several runs (with and without a loss, say) stand side by side.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from skmol3d.benchmark.report import markdown

SCORE = "probe_r2"


def read_curve(run: Path) -> pd.Series:
    """The mean R² of the probes of a run, by the number of molecules seen.

    Raises
    ------
    ValueError
        If the run has no probe.
    """
    evaluation = pd.read_csv(run / "evaluation.csv")
    if SCORE not in evaluation or evaluation[SCORE].isna().all():
        raise ValueError(f"{run}: no probe was scored; the recipe has none")
    probes = evaluation.dropna(subset=[SCORE]).drop_duplicates("step", keep="last").sort_values("step")
    # Where a run was resumed, its log tells some steps twice.
    log = pd.read_csv(run / "log.csv").drop_duplicates("step", keep="last").sort_values("step")
    steps = np.concatenate([[0], log["step"]])
    seen = np.concatenate([[0], np.cumsum(log["molecules"] * np.diff(steps))])
    at = np.interp(probes["step"], steps, seen).round().astype(int)
    return pd.Series(probes[SCORE].to_numpy(), index=at, name=run.name.removesuffix(".run"))


def main(argv: Sequence[str] | None = None) -> None:
    """Print the curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    args = parser.parse_args(argv)
    rows = [
        [str(run), f"{seen:,}", f"{score:.4f}"]
        for run in args.runs
        for seen, score in read_curve(run).items()
    ]
    print(markdown(rows, ["run", "molecules seen", "probe R²"]))


if __name__ == "__main__":
    main()
