"""Are the dynamics of a potential stable, and do they visit what the reference visits?

``python -m skmol3d.benchmark.experiments.dynamics [MOLECULE] [--model NAME ...] --out FOLDER``

The protocol of ET-OREO (arXiv:2308.14759) after arXiv:2210.07237: each method first relaxes the molecule, a
SMILES string or the first structure of a file that ASE reads, then runs replicas of it with Nosé–Hoover
thermostats at 500 K in steps of 0.5 fs. Stable is the time until a bond deviates by more than 0.5 Å from its
length at the start. h(r) is the distribution of the distances of all pairs of atoms after ``--skip`` ps, over
all replicas; its error against the reference, GFN2-xTB through tblite (``pip install "skmol3d[labels]"``), is
the integral of the absolute difference, from 0 to 2. What short runs cannot tell apart stands next to it: the
same between the first and the second half of the replicas of one method.

Every method ends after ``--ps`` for each replica or ``--minutes`` of the CPU. Prints a Markdown table; FOLDER
gets trajectories (.npz) and the plot of h(r) (needs matplotlib: ``pip install "skmol3d[benchmark]"``).

With ``--trajectory`` nothing is run: such files, or those of ``experiments.dynamics_at_once``, are judged.
As replicas of the latter go on after a bond has broken, the table says how many lost an atom: it has no
neighbour left. A hydrogen that hops to another atom, as that of an enol does, breaks a bond but is not lost.
With ``--reference`` h(r) is compared with that of other files, trajectories or frames (extxyz).
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.data import chemical_symbols
from ase.io import read
from ase.optimize import BFGS
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from skmol3d.benchmark.experiments.dynamics_at_once import NEAR_MINIMUM, add_protocol
from skmol3d.benchmark.plots import plot_pair_distances
from skmol3d.benchmark.report import markdown
from skmol3d.calculator import PotentialCalculator
from skmol3d.dynamics import BROKEN, Trajectory, distribution_error, nose_hoover, one_by_one, pair_distances
from skmol3d.structures import Conformers, ConformerSettings, generate, read_molecule
from skmol3d.structures.geometry import perceive_bonds, total_charge
from skmol3d.trainer.data.positions import POSITION_UNIT
from skmol3d.trainer.data.sources import read_set

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"
REFERENCE = "GFN2-xTB"
REFERENCE_FILES = "reference"


def read_start(molecule: str) -> Atoms:
    """A structure from a file that ASE reads, or a conformer of a SMILES string."""
    if Path(molecule).is_file():
        atoms = read(molecule, 0)
        assert isinstance(atoms, Atoms)  # one index, one structure
        return Atoms(atoms.numbers, atoms.positions, info={"charge": total_charge(atoms)})
    (made,) = generate([read_molecule(molecule)], ConformerSettings())
    if not isinstance(made, Conformers):
        raise made
    return Atoms(made.numbers, made.positions[0], info={"charge": made.charge})


def run(method: str, start: Atoms, args: argparse.Namespace) -> Trajectory:
    """Relax, then run the replicas."""
    atoms = start.copy()
    if method == REFERENCE:
        from tblite.ase import TBLite

        charge = total_charge(atoms)
        calculators = [TBLite(method=REFERENCE, charge=charge, verbosity=0) for _ in range(args.replicas)]
        atoms.calc, forces = calculators[0], one_by_one(atoms, calculators)
    else:
        calculator = PotentialCalculator(method, args.device, args.dtype)
        atoms.calc, forces = calculator, lambda x: calculator.evaluate(start, x)
    BFGS(atoms, logfile=None).run(fmax=NEAR_MINIMUM, steps=500)
    return nose_hoover(
        forces,
        atoms,
        steps=round(1000 * args.ps / args.timestep),
        replicas=args.replicas,
        temperature=args.temperature,
        timestep=args.timestep,
        seconds=60 * args.minutes,
        seed=args.seed,
    )


def read_positions(path: Path) -> NDArray[np.float64]:
    """Positions [T, R, N, 3] (Å) of a file, also of replicas that broke if they went on."""
    with np.load(path) as saved:
        positions = saved["positions"]
    return positions * (POSITION_UNIT if positions.dtype.kind == "i" else 1.0)


def read_trajectory(path: Path) -> Trajectory:
    """A trajectory as this module or `dynamics_at_once` writes it; no replica goes on after it broke."""
    positions = read_positions(path)
    with np.load(path) as saved:
        stable, times = saved["stable"], saved["times"]
        over = times[:, None] >= stable
        return Trajectory(
            times=times,
            positions=np.where(over[:, :, None, None], np.nan, positions),
            temperatures=np.where(over, np.nan, saved["temperatures"]),
            conserved=np.where(over, np.nan, saved["conserved"]),
            stable=stable,
            seconds=float(saved["seconds"]) if "seconds" in saved else np.nan,
        )


def broken_bonds(path: Path) -> str:
    """Elements of the bond that broke in each replica, and in how many.

    The bond farthest off in the first frame after the break, or in the last frame if they end there.
    """
    positions = read_positions(path)
    with np.load(path) as saved:
        numbers, stable = saved["numbers"], saved["stable"]
    bonds = perceive_bonds(numbers, positions[0, 0])
    lengths = np.linalg.norm(np.subtract(*(positions[:, :, bonds[:, k]] for k in (0, 1))), axis=-1)
    start = np.median(lengths[0], axis=0)  # where replicas have moved already in the first frame
    found: Counter[str] = Counter()
    for replica in np.flatnonzero(np.isfinite(stable)):
        off = np.abs(lengths[:, replica] - start)
        off = off[np.isfinite(off).all(1)]
        broken = (off > BROKEN).any(1)
        bond = bonds[off[broken.argmax() if broken.any() else -1].argmax()]
        found["–".join(chemical_symbols[n] for n in sorted(numbers[bond], reverse=True))] += 1
    return ", ".join(f"{bond} {count}" for bond, count in found.most_common())


def lost_atoms(path: Path) -> str:
    """Replicas in which the nearest neighbour of an atom came to be farther off by more than `BROKEN`.

    A dash where frames end when a bond breaks.
    """
    positions = read_positions(path)
    if np.isnan(positions).any():
        return "–"
    away = [
        cdist(x, x) + np.diag(np.full(len(x), np.inf)) for x in positions.reshape(-1, *positions.shape[2:])
    ]
    nearest = np.min(away, axis=-1).reshape(positions.shape[:3])
    return str((nearest > np.median(nearest[0], axis=0) + BROKEN).any((0, 2)).sum())


def read_distances(paths: Sequence[Path], skip: float) -> NDArray[np.float64]:
    """h(r) of trajectories, after ``skip`` ps, or of frames; each file counts as much."""
    found = []
    for path in paths:
        if path.suffix == ".npz":
            trajectory = read_trajectory(path)
            found.append(pair_distances(trajectory.positions[trajectory.times >= skip]))
        else:
            data = read_set(path)
            batch, _ = data.batch(np.arange(len(data)))
            found.append(pair_distances(batch.positions.view(len(data), -1, 3).numpy()))
    return np.mean(found, axis=0)


def describe(
    path: Path, trajectory: Trajectory, skip: float, reference: NDArray[np.float64] | None
) -> list[str]:
    """A row of the table, of the file that ``trajectory`` was read from."""
    late = trajectory.positions[trajectory.times >= skip]
    half = late.shape[1] // 2
    end = trajectory.times[-1]
    broken = np.isfinite(trajectory.stable)
    error = own = "–"
    if np.isfinite(late).any():
        if reference is not None:
            error = f"{distribution_error(pair_distances(late), reference):.3f}"
        if half and np.isfinite(late[:, :half]).any() and np.isfinite(late[:, half:]).any():
            own = f"{distribution_error(*(pair_distances(p) for p in (late[:, :half], late[:, half:]))):.3f}"
    drift = np.nanmax(np.abs(trajectory.conserved - trajectory.conserved[0]))
    which = f" ({broken_bonds(path)})" if broken.any() else ""
    return [
        path.stem,
        f"{np.minimum(trajectory.stable, end).mean():.2f} of {end:.2f}",
        f"{broken.sum()} of {len(broken)}{which}",
        lost_atoms(path),
        f"{np.nanmean(trajectory.temperatures[trajectory.times >= min(skip, end)]):.0f}",
        f"{1000 * drift:.0f}",
        error,
        own,
        "–" if np.isnan(trajectory.seconds) else f"{1000 * trajectory.seconds:.1f}",
    ]


def trajectories(args: argparse.Namespace) -> Iterator[Path]:
    """The files given, or else one of each method, which runs."""
    if args.trajectory:
        yield from args.trajectory
        return
    start = read_start(args.molecule)
    methods = [] if args.no_reference else [REFERENCE]
    methods += args.model or ["ec-xtb-small"]
    for method in methods:
        trajectory = run(method, start, args)
        path = args.out / f"{Path(method).name}.npz"
        np.savez(
            path,
            numbers=start.numbers,
            times=trajectory.times,
            positions=trajectory.positions.astype(np.float32),
            stable=trajectory.stable,
            temperatures=trajectory.temperatures,
            conserved=trajectory.conserved,
            seconds=trajectory.seconds,
        )
        print(f"{method}: {trajectory.times[-1]:.2f} ps", flush=True)
        yield path


HEADER = [
    "method",
    "stable (ps, mean)",
    "replicas that broke",
    "lost an atom",
    "temperature (K)",
    "conserved energy off by at most (meV)",
    "h(r) error",
    "h(r), halves of the replicas",
    "CPU ms per step and replica",
]


def main(argv: Sequence[str] | None = None) -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("molecule", nargs="?", default=ASPIRIN, help="SMILES or file (default: aspirin)")
    parser.add_argument(
        "--model", action="append", help="a potential, or GFN2-xTB; repeatable (default: ec-xtb-small)"
    )
    parser.add_argument("--no-reference", action="store_true", help="no run of GFN2-xTB")
    parser.add_argument("--trajectory", type=Path, nargs="+", help="judge these files; run nothing")
    parser.add_argument("--reference", type=Path, nargs="+", help="compare h(r) with these files'")
    parser.add_argument("--skip", type=float, default=0.5, help="ps that h(r) leaves out (default: 0.5)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"))
    add_protocol(parser, replicas=4)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    rows: list[list[str]] = []
    curves: dict[str, NDArray[np.float64]] = {}
    if args.reference:
        curves[REFERENCE_FILES] = read_distances(args.reference, args.skip)
    for path in trajectories(args):
        trajectory = read_trajectory(path)
        reference = curves.get(REFERENCE_FILES, curves.get(REFERENCE))
        rows.append(describe(path, trajectory, args.skip, reference))
        late = trajectory.positions[trajectory.times >= args.skip]
        if np.isfinite(late).any():
            curves[path.stem] = pair_distances(late)
    if not args.trajectory:
        print(f"\n{args.molecule}, {args.temperature:g} K, {args.timestep:g} fs, {args.replicas} replicas")
    print()
    print(markdown(rows, HEADER))
    if curves:
        print(f"\n{plot_pair_distances(curves, args.out / 'pair_distances.png')}")


if __name__ == "__main__":
    main()
