"""What a step of dynamics costs, next to GFN2-xTB.

``python -m skmol3d.benchmark.experiments.potential_speed [MOLECULE] [--model NAME ...]``

Energy-conserving dynamics (ASE, 0.5 fs, from 500 K) with each method; the methods take turns of ten steps, so
that whatever else the machine does hits all of them, and the median turn counts. Times are those of the
process on the CPU, with one thread. The ratio is to GFN2-xTB through tblite (``pip install
"skmol3d[labels]"``), which starts each step from the charges of the last. With replicas, many copies go
through the potential in one call.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from ase import Atoms, units
from ase.calculators.calculator import Calculator
from ase.md.verlet import VelocityVerlet
from numpy.typing import NDArray

from skmol3d.benchmark.experiments.dynamics import ASPIRIN, REFERENCE, read_start
from skmol3d.benchmark.report import markdown
from skmol3d.calculator import PotentialCalculator
from skmol3d.structures.geometry import total_charge

MODELS = ("ec-xtb-small", "et-xtb-small")
TURN = 10  # steps


def evaluate(calculator: PotentialCalculator, atoms: Atoms, places: NDArray[np.float64]) -> None:
    """A turn of replicas."""
    for _ in range(TURN):
        calculator.evaluate(atoms, places)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("molecule", nargs="?", default=ASPIRIN, help="SMILES or file (default: aspirin)")
    parser.add_argument("--model", action="append", help=f"repeatable (default: {', '.join(MODELS)})")
    parser.add_argument("--turns", type=int, default=20, help=f"of {TURN} steps each (default: 20)")
    parser.add_argument("--replicas", type=int, default=16, help="in one call (default: 16)")
    args = parser.parse_args(argv)
    from tblite.ase import TBLite

    torch.set_num_threads(1)
    start = read_start(args.molecule)
    rng = np.random.default_rng(0)
    momenta = rng.normal(size=(len(start), 3)) * np.sqrt(start.get_masses() * units.kB * 500)[:, None]
    charge = total_charge(start)
    methods: dict[tuple[str, str, int], Calculator] = {
        (REFERENCE, "", 1): TBLite(method=REFERENCE, charge=charge, verbosity=0)
    }
    for model in args.model or MODELS:
        for dtype in ("float32", "float64"):
            methods[model, dtype, 1] = PotentialCalculator(model, "cpu", dtype)
    turns: dict[tuple[str, str, int], Callable[[], object]] = {}
    for key, calculator in methods.items():
        atoms = start.copy()
        atoms.set_momenta(momenta)
        atoms.calc = calculator
        turns[key] = partial(VelocityVerlet(atoms, 0.5 * units.fs).run, TURN)
        if isinstance(calculator, PotentialCalculator):
            places = start.positions + rng.normal(0, 0.02, (args.replicas, len(start), 3))
            turns[*key[:2], args.replicas] = partial(evaluate, calculator, start, places)
    spent: dict[tuple[str, str, int], list[float]] = {key: [] for key in turns}
    for turn in range(args.turns + 1):
        for key, do in turns.items():
            begun = time.process_time()
            do()
            if turn:  # the first one sets things up
                spent[key].append((time.process_time() - begun) / TURN / key[2])
    reference = np.median(spent[REFERENCE, "", 1])
    rows = []
    for (name, dtype, copies), times in spent.items():
        middle, least = np.median(times), min(times)
        row = [name, dtype, str(copies), f"{1000 * middle:.1f}", f"{1000 * least:.1f}"]
        rows.append([*row, f"{middle / reference:.2f}"])
    print(f"{args.molecule}, {len(start)} atoms, {args.turns} turns of {TURN} steps, one thread\n")
    header = ["method", "precision", "replicas", "CPU ms per step and replica", "least", "ratio"]
    print(markdown(rows, header))


if __name__ == "__main__":
    main()
