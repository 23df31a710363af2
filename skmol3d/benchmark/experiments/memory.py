"""Resident memory over a long stream.

``python -m skmol3d.benchmark.experiments.memory [--n 100000] [--input FILE]``

Featurizes a stream with `REM3DIFeaturizer.iter_transform` and prints resident memory every 5,000 molecules.
The cache of rows (bounded, see `skmol3d.featurizers.cache.MEMORY_BYTES`) fills up at first; from then on the
numbers must stay level. With ``--calls N`` there are N calls of `transform` with one molecule each instead,
and no cache; exits with status 1 if the second half of them takes more than 10 MB.
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


def small_calls(featurizer: REM3DIFeaturizer, count: int) -> int:
    """Call with one molecule after the other, print resident memory, and return 1 if it grows."""
    cache.set_cache_bytes(conformers=0, rows=0)
    print("| calls | resident MB |\n|---:|---:|")
    levels = []
    for done, smiles in enumerate(islice(enumerated(), count), 1):
        featurizer.transform([smiles])
        if done % max(count // 10, 1) == 0:
            levels.append(resident_mb())
            print(f"| {done} | {levels[-1]:.1f} |", flush=True)
    growth = levels[-1] - levels[len(levels) // 2 - 1]
    print(f"\nsecond half: {growth:+.1f} MB")
    return int(growth > 10)


def main(argv: Sequence[str] | None = None) -> int:
    """Stream and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--input", type=Path, help=".csv, .tsv, .smi or .sdf (default: enumerated molecules)")
    parser.add_argument("--smiles-column")
    parser.add_argument("--n", type=int, default=100_000, help="molecules (default: 100000)")
    parser.add_argument("--calls", type=int, metavar="N", help="calls with one molecule (say 20000) instead")
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
    if args.calls:
        return small_calls(featurizer, args.calls)
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
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
