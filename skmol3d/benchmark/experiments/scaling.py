"""What more training is worth: the score of linear probes against the molecules seen.

``python -m skmol3d.benchmark.experiments.scaling RUN [RUN ...] [--probe SETS --model rem3di-small ...]``

RUN is the folder of logs of a run of ``skmol3d pretrain`` (``OUT/<name>.run``) whose recipe has a `probe`:
ridge regressions on the training parts of tasks, on the averaged weights of that step, before the learning
rate has come down. Several runs (with and without a loss, say) stand side by side. With ``--probe``, a folder
packed by ``python -m skmol3d.trainer.data.pack probe``, finished checkpoints of REM3DI are probed alike.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from skmol3d import hub
from skmol3d.benchmark.report import markdown
from skmol3d.trainer.kinds.rem3di import encode
from skmol3d.trainer.probe import LinearProbe, ProbeSet, read_probes

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


def probed(model: str, sets: Sequence[ProbeSet]) -> float:
    """The mean R² of the probes of the columns that training shapes, of a checkpoint of REM3DI."""
    objective = nn.Module()
    objective.encoder = hub.from_pretrained(model)
    return LinearProbe(sets, encode, 1).scores(objective)[SCORE]


def main(argv: Sequence[str] | None = None) -> None:
    """Print the curves."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--probe", type=Path, metavar="SETS", help="packed tasks")
    parser.add_argument(
        "--model", nargs="+", default=["rem3di-small"], help="to probe (default: rem3di-small)"
    )
    args = parser.parse_args(argv)
    rows = [
        [str(run), f"{seen:,}", f"{score:.4f}"]
        for run in args.runs
        for seen, score in read_curve(run).items()
    ]
    if args.probe:
        sets = read_probes(args.probe)
        rows += [[model, "", f"{probed(model, sets):.4f}"] for model in args.model]
    print(markdown(rows, ["run", "molecules seen", "probe R²"]))


if __name__ == "__main__":
    main()
