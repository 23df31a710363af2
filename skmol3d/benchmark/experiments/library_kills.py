"""A library whose featurization is killed again and again equals one that was left alone.

``python -m skmol3d.benchmark.experiments.library_kills FILE [--molecules 100000] [--model ecfp] [--kills 6]``

The first molecules of FILE are featurized by ``skmol3d featurize --dask local:N`` undisturbed; then again,
while the client is killed (SIGKILL) at random moments, and its command given again, and in the last run one
of its workers. All files of rows, and the table of failures, must be equal byte for byte. Exits with status 1
if not.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import psutil

from skmol3d.structures import read_records

START = 6.0  # seconds until a command has workers


def command(library: Path, out: Path, model: str, workers: int, partition: int) -> list[str]:
    """The command line that is killed."""
    settings = ["--model", model, "--dask", f"local:{workers}", "--partition-size", str(partition)]
    return [sys.executable, "-m", "skmol3d.cli", "featurize", str(library), str(out), *settings]


def cut(file: Path, molecules: int, library: Path) -> int:
    """Write the SMILES of the first ``molecules`` records of ``file``; returns how many there were."""
    records = [record.structure for record in islice(read_records(file), molecules)]
    pd.DataFrame({"smiles": records}).to_parquet(library, index=False)
    return len(records)


def contents(out: Path) -> dict[str, bytes]:
    """Files of rows, and the table of failures."""
    files = [*out.glob("part-*"), out / "_failures.csv"]
    return {file.name: file.read_bytes() for file in files}


def disturbed(run: Sequence[str], wait: float, worker: np.random.Generator | None = None) -> bool:
    """Run, and after ``wait`` seconds kill the client, or a random worker of it; whether it still ran."""
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(wait)
            return False
        except subprocess.TimeoutExpired:
            family = psutil.Process(process.pid).children(recursive=True)
        if worker is None:
            process.kill()
            psutil.wait_procs(family, timeout=120)
        else:
            workers = [child for child in family if any("spawn_main" in word for word in child.cmdline())]
            workers[int(worker.integers(len(workers)))].kill()
            if process.wait() != 0:
                raise RuntimeError(f"exit status {process.returncode} after a worker was killed")
        return True


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--molecules", type=int, default=100_000)
    parser.add_argument("--model", default="ecfp")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--partition", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, whole, out = folder / "library.parquet", folder / "whole", folder / "out"
        molecules = cut(args.file, args.molecules, library)
        start = time.perf_counter()
        subprocess.run(command(library, whole, args.model, args.workers, args.partition), check=True)
        seconds = time.perf_counter() - start
        run = command(library, out, args.model, args.workers, args.partition)
        killed = 0
        for _ in range(args.kills):
            # Together they are about as long as the undisturbed run; a start takes some seconds.
            killed += disturbed(run, rng.uniform(0.2, 1.0) * seconds / args.kills + START)
            print(f"client killed: {len(list(out.glob('part-*')))} files of rows", flush=True)
        worker = disturbed(run, START, rng)
        if not worker:
            subprocess.run(run, check=True)
        expected, found = contents(whole), contents(out)
    same = expected == found
    print(
        f"{args.model}: {molecules} molecules, {len(expected) - 1} files, {seconds:.0f} s undisturbed; "
        f"killed: {killed} times the client, {int(worker)} times a worker: "
        + ("the same, byte for byte" if same else "DIFFERENT")
    )
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
