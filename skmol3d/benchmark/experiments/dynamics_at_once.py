"""Dynamics of several fine-tuned potentials at once on a GPU, for the judgement of `experiments.dynamics`.

``python -m skmol3d.benchmark.experiments.dynamics_at_once FRAMES=FOLDER ... --out FOLDER --device cuda``

Each potential (a folder, as ``experiments.forces_at_once`` leaves it) relaxes the first frame of the file
FRAMES, and replicas start from there: Nosé–Hoover thermostats and steps as in `skmol3d.dynamics.nose_hoover`.
Replicas whose bonds have broken run on, and their time is noted. All potentials and replicas share one
sequence of kernels (`stacked_potentials`), which a GPU records once and replays.

Writes one .npz for each potential, and replaces it meanwhile: ``numbers``, ``times`` (ps), ``positions``
(int16, 0.001 Å) of all replicas, ``stable`` (ps; infinite if nothing broke), ``temperatures`` (K) and
``conserved`` (eV).
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from ase import Atoms, units
from numpy.typing import NDArray
from torch import Tensor

from skmol3d import hub
from skmol3d.benchmark.experiments.stacked_potentials import FAR, StackedPotentials, fill
from skmol3d.dynamics import BROKEN, TIME_CONSTANT, thermal_velocities
from skmol3d.encoders import Potential
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.trainer.data.positions import POSITION_UNIT
from skmol3d.trainer.data.sources import read_set

NEAR_MINIMUM = 0.05  # eV/Å
RECORDED = 10  # steps that a GPU replays together, after which bonds are looked at
RELAXING = 2.0 * units.fs  # for atoms that all weigh as much as carbon
FARTHEST = 30.0  # Å; fragments beyond it are written there


class Replicas:
    """R replicas of M molecules of one size, and what they need to go on, as arrays on one device.

    Positions x [M, R, N, 3] (Å), velocities and thermostats in double precision; the networks see single.
    """

    def __init__(self, stack: StackedPotentials, places: Tensor, replicas: int, timestep: float) -> None:
        self.stack = stack
        self.x = places.double()[:, None].repeat(1, replicas, 1, 1)
        device = self.x.device
        numbers = stack.numbers
        masses = torch.from_numpy(Atoms(numbers.cpu().flatten().numpy()).get_masses())
        self.mass = masses.view(len(numbers), 1, -1, 1).to(device)
        self.real = places.abs().amax(2) < 0.5 * FAR
        self.sizes = self.real.sum(1)
        self.free = (3 * self.sizes - 6).double()[:, None]
        self.dt = timestep * units.fs
        self.v = torch.zeros_like(self.x)
        self.friction = self.x.new_zeros(self.x.shape[:2])
        self.travelled, self.time = torch.zeros_like(self.friction), self.x.new_zeros(())
        self.stable = torch.full_like(self.friction, torch.inf)
        self.kt, self.inertia = 0.0, self.free
        self.energy, self.force = self.evaluate()

    def evaluate(self) -> tuple[Tensor, Tensor]:
        """Energies [M, R] (eV) and forces (eV/Å)."""
        energy, force = self.stack.energy_and_forces(self.x.float())
        return energy.double(), force.double()

    def relax_step(self) -> None:
        """A step of dynamics that keeps of the velocities what goes along the forces, and nothing uphill."""
        power = (self.v * self.force).sum((2, 3), keepdim=True)
        along = power / self.force.square().sum((2, 3), keepdim=True).clamp(min=1e-12)
        self.v.copy_(torch.where(power > 0, along * self.force, 0.0) + RELAXING * self.force / 12.0)
        self.x.add_((RELAXING * self.v).clamp(-0.05, 0.05))
        for old, new in zip((self.energy, self.force), self.evaluate(), strict=True):
            old.copy_(new)

    def start(self, temperature: float, seed: int) -> None:
        """Note the bonds, draw velocities and set the clock to zero."""
        self.kt = units.kB * temperature
        self.inertia = self.free * self.kt * (TIME_CONSTANT * units.fs) ** 2
        numbers, first = self.stack.numbers, self.x[:, 0]
        counts = torch.full((len(numbers),), numbers.shape[1], device=numbers.device)
        charge = first.new_zeros(len(numbers))
        bonded = AtomBatch(numbers.flatten(), first.reshape(-1, 3).float(), counts, charge).bonded
        self.bonds = bonded & self.real[:, :, None] & self.real[:, None]
        self.lengths = distances(first)[:, None]
        self.v.zero_()
        for m, size in enumerate(self.sizes.tolist()):
            atoms = Atoms(numbers[m, :size].cpu().numpy(), first[m, :size].cpu().numpy())
            rng = np.random.default_rng(seed)
            drawn = thermal_velocities(atoms, self.x.shape[1], self.kt, 3 * size - 6, rng)
            self.v[m, :, :size] = torch.from_numpy(drawn).to(self.v)
        self.time.zero_()

    def kinetic(self) -> Tensor:
        """Kinetic energies [M, R], eV."""
        return 0.5 * (self.mass * self.v.square()).sum((2, 3))

    def _thermostat(self) -> None:
        for half in (True, False):
            self.friction.add_(self.dt / 4 * (2 * self.kinetic() - self.free * self.kt) / self.inertia)
            if half:
                self.v.mul_(torch.exp(-self.dt / 2 * self.friction)[:, :, None, None])
                self.travelled.add_(self.dt / 2 * self.friction)

    def step(self) -> None:
        """One step of Nosé–Hoover dynamics."""
        self._thermostat()
        self.v.add_(self.dt / 2 * self.force / self.mass)
        self.x.add_(self.dt * self.v)
        for old, new in zip((self.energy, self.force), self.evaluate(), strict=True):
            old.copy_(new)
        self.v.add_(self.dt / 2 * self.force / self.mass)
        self._thermostat()
        self.time.add_(self.dt / units.fs / 1000)

    def look(self) -> None:
        """Note the time of replicas of which a bond is off by more than `BROKEN`."""
        off = (distances(self.x) - self.lengths).abs() * self.bonds[:, None]
        held = (off <= BROKEN).all(-1).all(-1)  # false of what is not a number
        self.stable.copy_(torch.where(held, self.stable, torch.minimum(self.stable, self.time)))

    def frame(self) -> tuple[NDArray, NDArray, NDArray]:
        """Positions, temperatures (K) and conserved energies (eV), all [M, R, ...]."""
        kinetic = self.kinetic()
        whole = self.energy + kinetic + 0.5 * self.inertia * self.friction**2
        whole = whole + self.free * self.kt * self.travelled
        places = (self.x.nan_to_num(FARTHEST).clamp(-FARTHEST, FARTHEST) / POSITION_UNIT).round()
        return (
            places.short().cpu().numpy(),
            (2 * kinetic / self.free / units.kB).cpu().numpy(),
            whole.cpu().numpy(),
        )


def distances(places: Tensor) -> Tensor:
    """Of all pairs of atoms [..., N, N]."""
    return (places[..., :, None, :] - places[..., None, :, :]).norm(dim=-1)


def recorded(work: Callable[[], None], args: argparse.Namespace) -> Callable[[], None]:
    """``work`` as a CUDA graph; itself on the CPU. It runs some times meanwhile."""
    if args.eager or not args.device.startswith("cuda"):
        return work
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


def run(replicas: Replicas, names: Sequence[str], args: argparse.Namespace) -> None:
    """Relax, run and write."""
    begun = time.monotonic()

    def relaxing() -> None:
        for _ in range(RECORDED):
            replicas.relax_step()

    relax = recorded(relaxing, args)
    largest = torch.inf
    for _ in range(args.relax // RECORDED):
        relax()
        largest = float(replicas.force.abs().max())
        if largest < NEAR_MINIMUM:
            break
    print(f"relaxed to {largest:.2f} eV/Å in {time.monotonic() - begun:.0f} s", flush=True)

    def block() -> None:
        for _ in range(RECORDED):
            replicas.step()
        replicas.look()

    replicas.start(args.temperature, args.seed)
    advance = recorded(block, args)
    # Recording has run some steps; the clock starts where it ends.
    replicas.time.zero_()
    replicas.stable.fill_(torch.inf)
    steps = round(1000 * args.ps / args.timestep)
    stride = max(1, round(1000 * args.frame / args.timestep / RECORDED))
    frames, times, done, shown = [replicas.frame()], [0.0], 0, time.monotonic()
    while done < steps and time.monotonic() - begun < 60 * args.minutes:
        for _ in range(stride):
            advance()
        done += stride * RECORDED
        frames.append(replicas.frame())
        times.append(done * args.timestep / 1000)
        if time.monotonic() - shown > args.every:
            shown = time.monotonic()
            write(replicas, names, frames, times, args.out)
            broken = torch.isfinite(replicas.stable).sum(1).tolist()
            print(f"{times[-1]:.2f} ps, {shown - begun:.0f} s, replicas that broke: {broken}", flush=True)
    write(replicas, names, frames, times, args.out)
    print(f"{times[-1]:.2f} ps of each replica in {time.monotonic() - begun:.0f} s", flush=True)


def write(
    replicas: Replicas, names: Sequence[str], frames: Sequence[tuple], times: Sequence[float], out: Path
) -> None:
    """One file for each potential."""
    positions, temperatures, conserved = (np.array(each) for each in zip(*frames, strict=True))
    for m, (name, size) in enumerate(zip(names, replicas.sizes.tolist(), strict=True)):
        np.savez_compressed(
            out / f"{name}.npz",
            numbers=replicas.stack.numbers[m, :size].cpu().numpy(),
            times=np.array(times),
            positions=positions[:, m, :, :size],
            stable=replicas.stable[m].cpu().numpy(),
            temperatures=temperatures[:, m].astype(np.float32),
            conserved=conserved[:, m],
        )


def add_protocol(parser: argparse.ArgumentParser, replicas: int) -> None:
    """Declare what `experiments.dynamics` is told of the runs, too."""
    parser.add_argument("--replicas", type=int, default=replicas, help=f"(default: {replicas})")
    parser.add_argument("--ps", type=float, default=100.0, help="of each replica (default: 100)")
    parser.add_argument("--minutes", type=float, default=60.0, help="of a method, at most (default: 60)")
    parser.add_argument("--temperature", type=float, default=500.0, help="K (default: 500)")
    parser.add_argument("--timestep", type=float, default=0.5, help="fs (default: 0.5)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("molecule", nargs="+", metavar="FRAMES=FOLDER")
    add_protocol(parser, replicas=8)
    parser.add_argument("--frame", type=float, default=0.1, help="ps from frame to frame (default: 0.1)")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between writes (default: 30)")
    parser.add_argument("--relax", type=int, default=3000, help="steps at most (default: 3000)")
    parser.add_argument("--eager", action="store_true", help="launch each kernel, instead of a CUDA graph")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    potentials, found, names = [], [], []
    for each in args.molecule:
        frames, _, folder = each.rpartition("=")
        potential = hub.from_pretrained(folder)
        assert isinstance(potential, Potential)
        potentials.append(potential)
        batch, _ = read_set(Path(frames)).batch(np.array([0]))
        found.append((batch.numbers, batch.positions))
        names.append("_".join(Path(folder).parts[-2:]))
    size = max(len(numbers) for numbers, _ in found)
    numbers, places = (torch.stack(v) for v in zip(*(fill(*each, size) for each in found), strict=True))
    stack = StackedPotentials(potentials, numbers).to(args.device)
    run(Replicas(stack, places.to(args.device), args.replicas, args.timestep), names, args)


if __name__ == "__main__":
    main()
