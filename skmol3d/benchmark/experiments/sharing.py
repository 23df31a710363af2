"""One featurizer in many hands: ``python -m skmol3d.benchmark.experiments.sharing [--n 240] [--workers 8]``.

Rows of the shipped small organics, computed in one thread, are computed anew by forked processes that inherit
the featurizer after use, by joblib's processes that unpickle it, and by threads that share it; each part of
the molecules by one of them, and all of a few molecules by each. Exits with status 1 if a row differs by more
than rounding (1e-5 of the largest number) or a molecule is missing, or if a thread or process hangs, which
then says where.
"""

import argparse
import faulthandler
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
from loky import ProcessPoolExecutor as LokyExecutor

from skmol3d.featurizers import REM3DIFeaturizer, cache

TOLERANCE = 1e-5
PATIENCE = 150.0  # seconds for all that one kind of workers does


def watch() -> None:
    """End this process after that many seconds, and print where each of its threads was."""
    faulthandler.dump_traceback_later(PATIENCE, exit=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    from skmol3d.datasets import load_small_organics

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=240, help="molecules (default: 240)")
    parser.add_argument("--workers", type=int, default=8, help="threads or processes (default: 8)")
    args = parser.parse_args(argv)
    smiles = list(load_small_organics().data)[: args.n]
    featurizer = REM3DIFeaturizer()
    expected = featurizer.fit_transform(smiles)
    places = [np.arange(len(smiles))[k :: args.workers] for k in range(args.workers)]
    places += [np.arange(min(20, len(smiles)))] * args.workers
    parts = [[smiles[i] for i in place] for place in places]
    fork = multiprocessing.get_context("fork")
    kinds: dict[str, Callable[[], Executor]] = {
        "forked processes": lambda: ProcessPoolExecutor(args.workers, fork, initializer=watch),
        "joblib's processes": lambda: LokyExecutor(args.workers, initializer=watch),
        # Last: when Python has joined a thread, its end in MKL goes on, and what is forked then would hang.
        "threads": lambda: ThreadPoolExecutor(args.workers, initializer=watch),
    }
    status = 0
    for name, make in kinds.items():
        cache.clear()  # or rows would be looked up rather than computed
        with make() as pool:
            rows = list(pool.map(featurizer.transform, parts))
        differences = [np.abs(row - expected[place]).max() for row, place in zip(rows, places, strict=True)]
        largest = float(np.max(differences) / np.abs(expected).max())  # NaN if a row is
        print(f"{args.workers} {name}, {sum(map(len, rows))} rows: largest difference {largest:.1e}")
        status |= not largest < TOLERANCE
    faulthandler.cancel_dump_traceback_later()
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main())
