"""A library whose featurization is killed again and again equals one that was left alone.

``python -m skmol3d.benchmark.experiments.library_kills FILE [--molecules 100000] [--model ecfp] [--kills 3]``

The first molecules of FILE are featurized by ``skmol3d featurize --dask local:N`` undisturbed; then again,
while a worker is killed (SIGKILL), and when the others have gone on the client, whose command is given again;
kills come after equal shares of the files. All files of rows, and the table of failures, must be equal byte
for byte. Exits with status 1 if not.
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


def command(library: Path, out: Path, model: str, workers: int, partition: int) -> list[str]:
    """The command line that is killed."""
    settings = ["--model", model, "--dask", f"local:{workers}", "--partition-size", str(partition)]
    return [sys.executable, "-m", "skmol3d", "featurize", str(library), str(out), *settings]


def cut(file: Path, molecules: int, library: Path) -> int:
    """Write the SMILES of the first ``molecules`` records of ``file``; returns how many there were."""
    records = [record.structure for record in islice(read_records(file), molecules)]
    pd.DataFrame({"smiles": records}).to_parquet(library, index=False)
    return len(records)


def rows(out: Path) -> list[Path]:
    """Files of rows that are complete."""
    return list(out.glob("part-*"))


def contents(out: Path) -> dict[str, bytes]:
    """Files of rows, and the table of failures."""
    files = [*rows(out), out / "_failures.csv"]
    return {file.name: file.read_bytes() for file in files}


def disturbed(run: Sequence[str], out: Path, files: int, rng: np.random.Generator) -> bool:
    """Run; kill a worker when there are so many files of rows, at the next one the client.

    Returns whether there was somebody to kill.
    """
    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        if not _until(process, out, files):
            return False
        family = psutil.Process(process.pid).children(recursive=True)
        workers = [child for child in family if any("spawn_main" in word for word in child.cmdline())]
        workers[int(rng.integers(len(workers)))].kill()
        if not _until(process, out, len(rows(out)) + 1):
            return False
        process.kill()
        psutil.wait_procs(family, timeout=120)
    return True


def _until(process: subprocess.Popen[bytes], out: Path, files: int) -> bool:
    """Wait for so many files of rows; whether the process goes on."""
    while process.poll() is None:
        if len(rows(out)) >= files:
            return True
        time.sleep(0.05)
    return False


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
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    rng, killed = np.random.default_rng(args.seed), list[int]()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library, whole, out = folder / "library.parquet", folder / "whole", folder / "out"
        molecules = cut(args.file, args.molecules, library)
        start = time.perf_counter()
        subprocess.run(command(library, whole, args.model, args.workers, args.partition), check=True)
        seconds = time.perf_counter() - start
        run = command(library, out, args.model, args.workers, args.partition)
        count = len(rows(whole))
        for k in range(1, args.kills + 1):
            files = max(len(rows(out)) + 1, count * k // (args.kills + 1))
            if disturbed(run, out, files, rng):
                killed.append(len(rows(out)))
        subprocess.run(run, check=True)
        expected, found = contents(whole), contents(out)
    same = expected == found
    print(
        f"{args.model}: {molecules} molecules, {count} files, {seconds:.0f} s undisturbed; a worker and the "
        f"client killed {len(killed)} times, when there were {', '.join(map(str, killed))} files: "
        + ("the same, byte for byte" if same else "DIFFERENT")
    )
    return 0 if same else 1


if __name__ == "__main__":
    raise SystemExit(main())
