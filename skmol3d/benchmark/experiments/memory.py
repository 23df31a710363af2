"""Resident memory over a long stream.

``python -m skmol3d.benchmark.experiments.memory [--n 100000] [--input FILE]``

Featurizes a stream with `REM3DIFeaturizer.iter_transform` and prints resident memory every 5,000 molecules.
The cache of rows (bounded, see `skmol3d.featurizers.cache.MEMORY_BYTES`) fills up at first; from then on the
numbers must stay level.
"""

import argparse
import os
import resource
import time
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path

from skmol3d.benchmark.experiments.make_small_organics import SUBSTITUENTS
from skmol3d.featurizers import REM3DIFeaturizer, cache
from skmol3d.structures import read_records

STEP = 5000
SCAFFOLDS = ("c%10({})cc({})cc({})c%10", "c%10({})nc({})cc({})c%10")


def enumerated() -> Iterator[str]:
    """128,000 SMILES of small molecules (some molecules come in two spellings)."""
    for scaffold, *groups in product(SCAFFOLDS, *[SUBSTITUENTS.split()] * 3):
        yield scaffold.format(*groups)


def resident_mb() -> float:
    """Resident memory of this process and, at their largest, of its finished children, MB."""
    with open("/proc/self/statm", encoding="ascii") as file:
        own = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024) / 2**20


def main(argv: Sequence[str] | None = None) -> None:
    """Stream and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, help=".csv, .tsv, .smi or .sdf (default: enumerated molecules)")
    parser.add_argument("--smiles-column")
    parser.add_argument("--n", type=int, default=100_000, help="molecules (default: 100000)")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument(
        "--relax", action="store_true", help="relax conformers (default: not, which is faster)"
    )
    parser.add_argument("--model", default="rem3di-small")
    args = parser.parse_args(argv)
    inputs: Iterator[object] = enumerated()
    if args.input:
        inputs = (record.structure for record in read_records(args.input, smiles_column=args.smiles_column))
    featurizer = REM3DIFeaturizer(
        model=args.model, relax="mmff" if args.relax else None, n_jobs=args.n_jobs, errors="nan"
    )
    print(f"cache of rows: at most {cache.MEMORY_BYTES / 2**20:.0f} MB\n")
    print("| molecules | s | resident MB | cached MB |\n|---:|---:|---:|---:|")
    start, done = time.perf_counter(), 0
    for rows in featurizer.iter_transform(islice(inputs, args.n), chunk_size=STEP):
        done += len(rows)
        numbers = [
            f"{time.perf_counter() - start:.0f}",
            f"{resident_mb():.0f}",
            f"{cache.CACHE.memory.size / 2**20:.0f}",
        ]
        print(f"| {done} | {' | '.join(numbers)} |", flush=True)
    print(f"\n{len(featurizer.failures_)} of {done} failed")


if __name__ == "__main__":
    main()
