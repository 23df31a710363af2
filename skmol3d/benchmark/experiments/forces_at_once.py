"""What pretraining is worth to a potential, all seeds and learning rates at once on a GPU.

``python -m skmol3d.benchmark.experiments.forces_at_once TRAIN --test TEST --out FOLDER --device cuda``
``python -m skmol3d.benchmark.experiments.forces_at_once --out FOLDER``

As ``experiments.forces``: pretrained potentials and one with random weights train for the same steps on the
same frames of one molecule, with losses, weights and schedule of a recipe, once per seed, which draws the
frames, the batches and the random weights. But every start is tried with every ``--rate`` as peak of the
learning rate, and the one with the lowest mean error of validation forces over the seeds stands in the table.
Networks train side by side (`stacked_potentials`), each with an optimiser, clipping and average of its own,
so that they have the same steps also where ``--set schedule.minutes=`` ends the run. The starts must be
equivariant convolutions.

FOLDER gets ``results.csv`` (eV, eV/Å; a row for each network and set of frames), ``curve.csv`` (validation
meanwhile) and the first seed's potentials. If it has results, they are printed and nothing is trained: the
second command needs no more than it.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from skmol3d import hub
from skmol3d.benchmark.experiments.forces import RANDOM, draw, read_all, select
from skmol3d.benchmark.experiments.stacked_potentials import StackedPotentials
from skmol3d.benchmark.experiments.stacked_training import AT_ONCE, Adam, Frames, frame_errors, orders
from skmol3d.benchmark.report import markdown, spread
from skmol3d.encoders import Potential
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.kinds.potential import PotentialRecipe
from skmol3d.trainer.pretrain import read_recipe

VALIDATION = "validation"
HEARTBEAT = 20.0  # seconds


class SideBySide:
    """Networks of all starts, seeds and rates, frames of one molecule, and the optimiser of all.

    Attributes
    ----------
    nets : list of (str, int, float)
        Start, seed and rate of each.
    fit, held : list of ndarray
        Frames that each seed trains on and validates by.
    offset : Tensor [M]
        What the energies of each lack on average, eV.
    """

    def __init__(
        self,
        recipe: PotentialRecipe,
        train_set: PackedSet,
        chosen: Sequence[NDArray],
        starts: Sequence[str],
        rates: Sequence[float],
        device: str,
    ) -> None:
        self.recipe, self.device = recipe, device
        self.nets = list(product(starts, range(len(chosen)), rates))
        self.of_seed = torch.tensor([seed for _, seed, _ in self.nets])
        inner = [select(train_set, rows).split(recipe.held_out, seed) for seed, rows in enumerate(chosen)]
        self.fit, self.held = (
            [rows[part[k]] for rows, part in zip(chosen, inner, strict=True)] for k in (0, 1)
        )
        self.level = float(np.mean(train_set.molecule_targets["energy"]))
        self.data = Frames(train_set, device, self.level)
        self.size = self.data.positions.shape[1]

        networks = []
        for start, seed, _ in self.nets:
            torch.manual_seed(seed)
            networks.append(Potential(recipe.model) if start == RANDOM else _pretrained(start, recipe))
        numbers = self.data.numbers.expand(len(self.nets), -1).contiguous()
        self.stack = StackedPotentials(networks, numbers).to(device)
        schedule = recipe.schedule
        self.adam = Adam(
            self.stack.weights,
            torch.tensor([rate for *_, rate in self.nets], device=device),
            schedule.clip,
            schedule.weight_decay,
            schedule.ema,
        )
        rows = self.of_each(self.fit)
        self.offset = torch.zeros(len(self.nets), device=device)
        for part in rows.split(AT_ONCE, 1):
            energy, _ = self.stack.energy_and_forces(self.data.positions[part])
            self.offset += (self.data.energy[part] - energy).sum(1) / rows.shape[1]

    def of_each(self, rows: Sequence[NDArray]) -> Tensor:
        """Rows [M, F] of each network from those of its seed."""
        return torch.from_numpy(np.array(rows))[self.of_seed].to(self.device)

    def step(self, batch: Tensor, share: float) -> None:
        """One step on frames [M, B] with ``share`` of the learning rates."""
        data, weights = self.data, self.recipe.weights
        places = data.positions[batch].requires_grad_()
        energy = self.stack(places)
        (gradient,) = torch.autograd.grad(energy.sum(), places, create_graph=True)
        wrong = (energy + self.offset[:, None] - data.energy[batch]).abs().mean(1) / self.size**0.5
        assert data.forces is not None
        loss = weights["forces"] * (gradient + data.forces[batch]).norm(dim=-1).mean((1, 2))
        (gradient,) = torch.autograd.grad((loss + weights["energy"] * wrong).sum(), self.stack.weights)
        self.adam.step(gradient, share)

    def errors(self, frames: Frames, rows: Tensor) -> tuple[NDArray, NDArray]:
        """Mean errors [M, F] of forces and energies of averaged weights on frames [M, F]."""
        force, energy = frame_errors(self.stack, frames, rows, self.adam.average, self.offset)
        return force.numpy(), energy.numpy()

    def measure(self, frames: Frames, rows_of: Sequence[NDArray]) -> dict[str, list[Any]]:
        """How many frames each network is measured on, of those of its seed, and its mean errors."""
        every = torch.arange(len(frames.energy), device=self.device).expand(len(self.nets), -1)
        force, energy = self.errors(frames, every)
        kept = [rows_of[seed] for _, seed, _ in self.nets]
        return {
            "frames": [len(own) for own in kept],
            "force_mae": [force[m, own].mean() for m, own in enumerate(kept)],
            "energy_mae": [energy[m, own].mean() for m, own in enumerate(kept)],
        }

    def potential(self, k: int) -> Potential:
        """Network ``k`` by itself, with averaged weights and energies of the elements."""
        made = self.stack.potential(k, self.adam.average)
        made.element_energy.copy_(_shared(self.data.numbers, float(self.offset[k]) + self.level))
        return made

    def run(self, out: Path) -> float:
        """Train; ``curve.csv`` in ``out`` gets validation errors meanwhile. Seconds."""
        schedule, adam = self.recipe.schedule, self.adam
        order = orders(self.fit, max(1, self.recipe.atoms // self.size), range(len(self.fit)))
        held, zero, shown, elapsed = self.of_each(self.held), time.monotonic(), 0.0, 0.0
        while schedule.progress(adam.steps, elapsed) < 1.0:
            share = schedule.rate(adam.steps, elapsed) / schedule.learning_rate
            self.step(self.of_each(list(next(order))), share)
            elapsed = time.monotonic() - zero
            if elapsed - shown > HEARTBEAT:
                shown = elapsed
                error = self.errors(self.data, held)[0].mean(1)
                now = _rows(self.nets, step=adam.steps, seconds=elapsed, force_mae=error)
                _append(out / "curve.csv", now)
                print(
                    f"{out.name}: step {adam.steps}, {elapsed:.0f} s, validation "
                    f"{1000 * np.fmin.reduce(error):.1f} meV/Å",
                    flush=True,
                )
        return elapsed


def train(
    recipe: PotentialRecipe,
    train_set: PackedSet,
    tests: dict[str, PackedSet],
    starts: Sequence[str],
    rates: Sequence[float],
    frames: int,
    seeds: int,
    device: str,
    out: Path,
) -> pd.DataFrame:
    """Train all networks and return the rows of ``results.csv``."""
    begun = time.monotonic()
    drawn = [draw({"train": train_set}, tests, frames, seed) for seed in range(seeds)]
    networks = SideBySide(recipe, train_set, [c["train"] for c, _ in drawn], starts, rates, device)
    seconds = networks.run(out)
    facts = {"steps": networks.adam.steps, "seconds": seconds}
    found: list[pd.DataFrame] = []

    def measure(name: str, frames_of: Frames, rows_of: Sequence[NDArray]) -> None:
        found.append(_rows(networks.nets, **facts, set=name, **networks.measure(frames_of, rows_of)))
        _append(out / "results.csv", found[-1])

    measure(VALIDATION, networks.data, networks.held)
    for start, rate in choose(found[0]).items():
        potential = networks.potential(networks.nets.index((start, 0, rate)))
        hub.save_pretrained(potential, out / Path(start).name, card="Fine-tuned on a trajectory.", half=True)
    for name, test in tests.items():
        measure(name, Frames(test, device, networks.level), [left[name] for _, left in drawn])
    print(f"{out.name}: {facts['steps']} steps, {time.monotonic() - begun:.0f} s in all", flush=True)
    return pd.concat(found, ignore_index=True)


def _pretrained(name: str, recipe: PotentialRecipe) -> Potential:
    found = hub.from_pretrained(name)
    if not isinstance(found, Potential) or found.config != recipe.model:
        raise ValueError(f"{name} is not a potential of the architecture of the first start")
    return found


def _shared(numbers: Tensor, energy: float) -> Tensor:
    """Energies of the elements [119] that sum to ``energy``: the shortest such vector, as least squares."""
    counts = torch.bincount(numbers, minlength=119).double()
    return energy * counts / counts.square().sum()


def _rows(nets: Sequence[tuple[str, int, float]], **values: Any) -> pd.DataFrame:
    plain = pd.DataFrame(nets, columns=["start", "seed", "rate"])
    return plain.assign(**values)


def _append(path: Path, rows: pd.DataFrame) -> None:
    rows.to_csv(path, mode="a", header=not path.exists(), index=False)


def choose(results: pd.DataFrame) -> dict[str, float]:
    """The rate of each start with the lowest mean validation error of forces over the seeds."""
    errors = results[results["set"] == VALIDATION].fillna({"force_mae": np.inf})
    means = errors.groupby(["start", "rate"])["force_mae"].mean()
    return {start: means[start].idxmin() for start in results["start"].unique()}


def table(results: pd.DataFrame) -> str:
    """Markdown: errors of each start at its rate, as mean ± standard deviation over the seeds."""
    best, lines = choose(results), []
    for name, part in results.groupby("set", sort=False):
        means = {}
        for start, rate in best.items():
            own = part[(part["start"] == start) & (part["rate"] == rate)]
            means[start] = own[["force_mae", "energy_mae"]].mean()
            force, energy = (
                spread((1000 * own[column]).tolist(), 1) if own[column].notna().all() else ""
                for column in ("force_mae", "energy_mae")
            )
            frames = "-".join(map(str, sorted({own["frames"].min(), own["frames"].max()})))
            lines.append([str(name), frames, Path(start).name, f"{rate:g}", force, "", energy, ""])
        for line, mean in zip(lines[-len(best) :], means.values(), strict=True):
            if RANDOM in means:
                line[5], line[7] = ("" if np.isnan(r) else f"{r:.2f}" for r in mean / means[RANDOM])
    header = ["frames of", "number", "start", "rate", "force MAE (meV/Å)", "ratio", "energy MAE (meV)"]
    return markdown(lines, [*header, "ratio"])


def progress(curve: pd.DataFrame) -> str:
    """Markdown: validation errors of forces (meV/Å) on the way, of each start at the rate best by then."""
    means = 1000 * curve.groupby(["step", "start", "rate"])["force_mae"].mean()
    best = means.groupby(["step", "start"]).min().unstack()
    rows = []
    for step, errors in best[list(curve["start"].unique())].iterrows():
        rows.append([str(step), *(f"{error:.1f}" for error in errors)])
        if RANDOM in errors:
            rows[-1] += [f"{ratio:.2f}" for ratio in errors.drop(RANDOM) / errors[RANDOM]]
    names = [Path(start).name for start in curve["start"].unique()]
    ratios = [f"{name} / {RANDOM}" for name in names if name != RANDOM and RANDOM in names]
    return markdown(rows, ["step", *names, *ratios])


def main(argv: Sequence[str] | None = None) -> None:
    """Train, unless that has been done, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("train", type=Path, nargs="?")
    parser.add_argument("--test", type=Path, nargs="+", default=[])
    parser.add_argument(
        "--start", action="append", help="pretrained potential; repeatable (default: ec-xtb-forces)"
    )
    parser.add_argument("--recipe", default="finetune-aspirin", help="settings (default: finetune-aspirin)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument(
        "--rate", type=float, action="append", help="peak learning rate; repeatable (default: the recipe's)"
    )
    parser.add_argument("--frames", type=int, default=950, help="at most (default: 950)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    done = args.out / "results.csv"
    if done.exists():
        results = pd.read_csv(done)
    else:
        if args.train is None:
            parser.error(f"{args.out} has no results: give the frames to train on")
        starts = args.start or ["ec-xtb-forces"]
        recipe = read_recipe(args.recipe, args.set)
        first = hub.from_pretrained(starts[0])
        if not isinstance(first, Potential):
            raise ValueError(f"{starts[0]} is a {type(first).__name__}, not a potential")
        recipe = replace(recipe, model=first.config)
        args.out.mkdir(parents=True, exist_ok=True)
        (train_set,), tests = read_all([args.train]).values(), read_all(args.test)
        rates = args.rate or [recipe.schedule.learning_rate]
        (args.out / "curve.csv").unlink(missing_ok=True)
        names = [*starts, RANDOM]
        results = train(
            recipe, train_set, tests, names, rates, args.frames, args.seeds, args.device, args.out
        )
    tried = ", ".join(f"{rate:g}" for rate in sorted(set(results["rate"])))
    print(f"\n{int(results['steps'].max())} steps; rates tried: {tried}\n")
    print(table(results))
    if (args.out / "curve.csv").exists():
        print(f"\nForce MAE (meV/Å) of {VALIDATION} meanwhile, of each start at the rate best by then:\n")
        print(progress(pd.read_csv(args.out / "curve.csv")))


if __name__ == "__main__":
    main()
