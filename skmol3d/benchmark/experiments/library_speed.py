"""What a library costs: molecules per second by workers, cost by size, and a plan for 10⁹ molecules.

``python -m skmol3d.benchmark.experiments.library_speed --input FILE [--sizes 500 1000 1500]
[--workers 1 2]``

Featurizes the first molecules of FILE on clusters of this machine: the largest of the sizes with each number
of workers, and each size with the first number. The start of a cluster is not counted, the first
partition's loading of weights is. The cost of a molecule is CPU time of all workers, which others who use the
machine prolong less than the clock. The plan multiplies that of the largest size on the first number of
workers.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pandas as pd

from skmol3d import ECFPFeaturizer, REM3DIFeaturizer
from skmol3d.benchmark.report import markdown
from skmol3d.distributed import featurize_library
from skmol3d.distributed.cluster import connected
from skmol3d.structures import read_records

BILLION = 10**9
HOURS = 24 * 7


@dataclass(frozen=True)
class Run:
    """A library that was featurized."""

    workers: int
    molecules: int
    failed: int
    seconds: float
    busy: float
    bytes: int
    memory: int

    @property
    def cost(self) -> float:
        """CPU seconds of the workers per molecule."""
        return self.busy / self.molecules


def _busy() -> float:
    """CPU seconds of this process, and of children that have ended."""
    return sum(os.times()[:4])


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(library: Path, workers: int, partition_size: int, dtype: str, model: str) -> Run:
    """Featurize a library on workers of this machine."""
    featurizer = ECFPFeaturizer() if model == "ecfp" else REM3DIFeaturizer(model)
    output = library.with_suffix(f".{workers}")
    with connected(f"local:{workers}") as client:
        start, before = time.perf_counter(), sum(client.run(_busy).values())
        done = featurize_library(
            library, output, featurizer, scheduler=client, partition_size=partition_size, dtype=dtype
        )
        seconds = time.perf_counter() - start
        busy = sum(client.run(_busy).values()) - before
        memory = max(client.run(_memory).values())
    size = sum(part.stat().st_size for part in output.glob("part-*"))
    shutil.rmtree(output)
    return Run(workers, done.molecules, done.failed, seconds, busy, size, memory)


def plan(run: Run) -> str:
    """Cores, hours and bytes for a billion molecules at the cost of a run."""
    hours = BILLION * run.cost / 3600
    stored = BILLION * run.bytes / run.molecules
    return (
        f"10^9 molecules: {hours:,.0f} core hours, that is {hours / HOURS:,.0f} cores for a week or "
        f"{hours / 24:,.0f} for a day; {stored / 1e12:.2f} TB of rows"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, required=True, help="any file of molecules with SMILES")
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 1000, 1500], help="molecules")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--partition-size", type=int, default=256)
    parser.add_argument("--dtype", choices=["float32", "float16"], default="float32")
    parser.add_argument("--model", default="rem3di-small", help="or ecfp")
    args = parser.parse_args(argv)
    records = islice(read_records(args.input), max(args.sizes))
    smiles = [record.structure for record in records if isinstance(record.structure, str)]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        todo = [(args.workers[0], size) for size in sorted(args.sizes)]
        todo += [(workers, max(args.sizes)) for workers in args.workers[1:]]
        runs = []
        for workers, size in todo:
            library = Path(folder) / f"library{size}.parquet"
            pd.DataFrame({"smiles": smiles[:size]}).to_parquet(library, index=False)
            run = measure(library, workers, args.partition_size, args.dtype, args.model)
            runs.append(run)
            rows.append(
                [
                    str(workers),
                    f"{run.molecules:,}",
                    str(run.failed),
                    f"{run.molecules / run.seconds:.1f}",
                    f"{1000 * run.cost:.1f}",
                    f"{run.bytes / run.molecules:,.0f}",
                    f"{run.memory / 2**20:,.0f}",
                ]
            )
    costs = ["molecules/s", "core ms/molecule", "bytes/molecule", "MB/worker"]
    headings = ["workers", "molecules", "failed", *costs]
    print(markdown(rows, headings))
    largest = runs[len(args.sizes) - 1]
    print(f"\n{plan(largest)}")
    for run in runs[len(args.sizes) :]:
        faster = largest.seconds / run.seconds
        print(f"{run.workers} workers are {faster:.2f} times as fast as {largest.workers}")


if __name__ == "__main__":
    main()
