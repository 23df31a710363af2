"""Runs killed at random moments: ``python -m skmol3d.benchmark.experiments.kills VERB [--kills 20]``.

A small ``skmol3d featurize`` or ``label`` (two workers; rows are kept after every 32 molecules, not 1,024) or
``pretrain`` (its state saved every half second, not every three minutes) is run once undisturbed; then again
and again, each time ended by SIGKILL, SIGINT or SIGTERM at a random moment, and continued by the same
command. What comes out at last must equal what the undisturbed run wrote, number for number, and no process
may be left behind. Exits with status 1 if not.
"""

import argparse
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

OUTPUTS = {"featurize": "rows.npy", "label": "labels.npz"}
SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM)
REST = re.compile(r"\.part|\.unfinished")
PATIENCE = 75.0  # seconds until the last worker must be gone: idle ones leave after a minute
RECIPE = """\
kind: potential
name: small
seed: 0
initial: null
data: [{path: labels.npz, share: 1.0}]
held_out: 0.2
atoms: 64
model: {backbone: {kind: equivariant-transformer, width: 16, layers: 1, heads: 2, radial: 8, cutoff: 5.0}}
weights: {forces: 1.0, energy: 0.5}
schedule: {steps: 300, minutes: null, learning_rate: 1.0e-3, warmup: 10, ema: 0.9}
"""


START = """\
import sys
from skmol3d.cli import main
if sys.argv[1] == "pretrain":
    from skmol3d.trainer import logs
    logs.SAVE_SECONDS = 0.5
if sys.argv[1] == "featurize":
    from skmol3d.cli import featurize
    featurize.CHUNK = 32
sys.exit(main())
"""


def command(verb: str, folder: Path, out: Path) -> list[str]:
    """The command line that is killed."""
    start = [sys.executable, "-c", START, verb]
    if verb in OUTPUTS:
        return [*start, str(folder / "molecules.smi"), str(out / OUTPUTS[verb]), "--n-jobs", "2"]
    paths = [str(folder / "small.yaml"), "--data", str(folder), "--out", str(out)]
    return [*start, *paths, "--device", "cpu", "--resume"]


def prepare(verb: str, folder: Path, molecules: int) -> None:
    """Write what the command reads."""
    from skmol3d.datasets import load_small_organics
    from skmol3d.trainer.data.labelling import label_file

    smiles = list(load_small_organics().data)[: molecules if verb in OUTPUTS else 20]
    (folder / "molecules.smi").write_text("\n".join([*smiles, "no SMILES", ""]))
    if verb == "pretrain":
        label_file(folder / "molecules.smi", folder / "labels.npz")
        (folder / "small.yaml").write_text(RECIPE)


def results(verb: str, out: Path) -> dict[str, np.ndarray]:
    """What the command wrote: arrays by name."""
    if verb == "featurize":
        return {"rows": np.load(out / "rows.npy")}
    if verb == "label":
        with np.load(out / "labels.npz") as arrays:
            return dict(arrays)
    from skmol3d.hub import from_pretrained

    return {name: value.numpy() for name, value in from_pretrained(out / "small").state_dict().items()}


def disturbed(run: Sequence[str], number: int, wait: float) -> list[psutil.Process] | None:
    """Run until the signal comes; the processes it had then, or None if it ended before."""
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(wait)
            return None
        except subprocess.TimeoutExpired:
            family = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(number)
    return family


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("verb", choices=("featurize", "label", "pretrain"))
    parser.add_argument("--kills", type=int, default=20, help="signals (default: 20)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--molecules", type=int, default=400, help="to featurize or label (default: 400)")
    args = parser.parse_args(argv)
    rng = np.random.default_rng(args.seed)
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(args.verb, folder, args.molecules)
        whole = folder / "whole"
        whole.mkdir()
        start = time.perf_counter()
        subprocess.run(command(args.verb, folder, whole), check=True, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - start
        expected = results(args.verb, whole)
        tally, finished, families = Counter[str](), 0, list[psutil.Process]()
        while tally.total() < args.kills:
            out = folder / f"out{finished}"
            out.mkdir(exist_ok=True)
            number = SIGNALS[int(rng.integers(len(SIGNALS)))]
            family = disturbed(command(args.verb, folder, out), number, rng.uniform(0.3, 1.0) * seconds)
            if family is None:
                finished += 1
                continue
            tally[number.name] += 1
            print(f"{number.name}, while {len(family)} other processes ran", flush=True)
            families += family
        for runs in range(finished + 1):
            out = folder / f"out{runs}"
            if runs == finished:
                subprocess.run(command(args.verb, folder, out), check=True, stdout=subprocess.DEVNULL)
            found = results(args.verb, out)
            if found.keys() != expected.keys() or not all(
                np.array_equal(found[key], expected[key], equal_nan=True) for key in expected
            ):
                wrong.append(f"run {runs} differs from the undisturbed one")
            wrong += [f"left behind: {p.name}" for p in out.rglob("*") if REST.search(p.name)]
    _, left = psutil.wait_procs(families, PATIENCE)
    wrong += [f"still there after {PATIENCE:.0f} s: {process}" for process in left]
    signals = ", ".join(f"{count} {name}" for name, count in sorted(tally.items()))
    print(f"{args.verb}: {seconds:.0f} s undisturbed; {signals}; {finished + 1} runs finished")
    print("\n".join(wrong) if wrong else "nothing was wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
