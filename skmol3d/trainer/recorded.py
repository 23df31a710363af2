"""Training of potentials in whole steps that a GPU records once and replays: CUDA graphs.

A small network keeps a GPU waiting for the CPU, which launches some thousand kernels for a step; replaying
them takes one launch. Shapes must be known for that, so conformers lie padded on the device, on one shelf for
each size, and every size has a step of its own. Without a GPU the same steps run unrecorded.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from skmol3d.encoders.grid import GridBatch
from skmol3d.inference import find_device
from skmol3d.trainer.data.shelves import Shelf
from skmol3d.trainer.logs import SAVE_SECONDS, Logs
from skmol3d.trainer.loop import NonFiniteLossError
from skmol3d.trainer.schedule import Schedule

WAIT_EVERY = 25  # steps that are launched ahead
LOOK_EVERY = 100  # steps: a loss that is not finite is found this late, and in no state


class Step:
    """One optimiser step on conformers of one shelf, recorded if there is a GPU.

    Parameters
    ----------
    shelf : Shelf
    atoms : int
        Of a batch, padding included.
    run : callable
        ``run(batch, targets)`` makes the step.
    """

    def __init__(self, shelf: Shelf, atoms: int, run: Callable[[GridBatch, dict[str, Tensor]], None]) -> None:
        self.shelf, self.run = shelf, run
        self.conformers = max(1, atoms // shelf.numbers.shape[1])
        self.index = torch.zeros(self.conformers, dtype=torch.long, device=shelf.numbers.device)
        self.graph: Any = None

    @property
    def share(self) -> float:
        """How often it is made, not normalised: conformers are drawn by their probability."""
        return float(self.shelf.cumulative[-1]) / self.conformers

    def make(self) -> None:
        """The step as it is, on conformers ``index``."""
        self.run(*self.shelf.batch(self.index))

    def record(self, pool: Any) -> None:
        """Record it; it must have been made before."""
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=pool):
            self.make()

    def __call__(self, rng: np.random.Generator) -> None:
        """Draw conformers and make the step with them."""
        drawn = rng.random(self.conformers) * self.shelf.cumulative[-1]
        places = np.searchsorted(self.shelf.cumulative, drawn, side="right")
        places = np.minimum(places, len(self.shelf.cumulative) - 1)
        self.index.copy_(torch.from_numpy(places), non_blocking=True)
        if self.graph is None:
            self.make()
        else:
            self.graph.replay()


class Optimiser:
    """Losses, gradients, AdamW and averaged weights, all of them in tensors that stay where they are.

    Attributes
    ----------
    average : Module
        The exponential moving average of the objective.
    rate : Tensor
        Learning rate.
    measured : Tensor [losses + 1]
        Losses and gradient norm of the last step.
    """

    def __init__(self, objective: nn.Module, weights: dict[str, float], schedule: Schedule) -> None:
        self.objective, self.weights, self.schedule = objective, weights, schedule
        self.parameters: list[Tensor] = [p for p in objective.parameters() if p.requires_grad]
        device = self.parameters[0].device
        self.average = copy.deepcopy(objective).eval()
        self.averaged: list[Tensor] = [p for p in self.average.parameters() if p.requires_grad]
        self.rate = torch.zeros((), device=device)
        self.measured = torch.zeros(len(weights) + 1, device=device)
        self.adam = torch.optim.AdamW(
            self.parameters,
            lr=self.rate,
            weight_decay=schedule.weight_decay,
            fused=True,
            capturable=device.type == "cuda",
        )
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)
        self.gradients = [p.grad for p in self.parameters if p.grad is not None]

    def step(self, batch: GridBatch, targets: dict[str, Tensor]) -> None:
        """One step on a batch."""
        torch._foreach_zero_(self.gradients)
        losses = self.objective(batch, targets)
        total = torch.stack([weight * losses[name] for name, weight in self.weights.items()]).sum()
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.schedule.clip, foreach=True)
        self.adam.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.averaged, self.parameters, 1.0 - self.schedule.ema)
            self.measured.copy_(torch.stack([*(losses[n].detach() for n in self.weights), norm]))

    def reset(self) -> None:
        """Forget what was learned of the gradients."""
        for state in self.adam.state.values():
            for value in state.values():
                value.zero_()

    def state(self) -> dict[str, Any]:
        """All that a resumed run needs."""
        parts: dict[str, Any] = {"objective": self.objective, "average": self.average, "adam": self.adam}
        return {name: part.state_dict() for name, part in parts.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Take over a state, in the tensors that there are: steps may have been recorded."""
        self.objective.load_state_dict(state["objective"])
        self.average.load_state_dict(state["average"])
        kept = state["adam"]["state"]
        for k, parameter in enumerate(self.parameters):
            for name, value in self.adam.state[parameter].items():
                value.copy_(kept[k][name])


def training_device(name: str) -> torch.device:
    """The device of that name; ValueError if this machine lacks it."""
    device = find_device(name)
    if device is None:
        raise ValueError(f"--device {name} is not available on this machine")
    return device


def train_recorded(
    objective: nn.Module,
    shelves: Callable[[torch.device], list[Shelf]],
    atoms: int,
    weights: dict[str, float],
    schedule: Schedule,
    out: Path,
    *,
    evaluate: Callable[[nn.Module], dict[str, float]],
    resume: bool = False,
    log_every: int = 500,
    evaluate_every: int = 4000,
    device: str = "cpu",
    seed: int = 0,
) -> nn.Module:
    """Train ``objective`` as `skmol3d.trainer.loop.train` does, to the same logs and result.

    On a GPU, products of matrices have the ten bits of TF32.

    Parameters
    ----------
    objective : Module
        Its shapes, and what it does, must not depend on values.
    shelves : callable
        From a device to what is drawn from.
    atoms : int
        Of a batch, padding included.
    weights, schedule, out, evaluate, resume, log_every, evaluate_every, seed
        As there; without a GPU a resumed run is the same, bit for bit.
    device : str
        "cpu", "cuda", or "auto" for a GPU if there is one.

    Raises
    ------
    NonFiniteLossError
        Names the step and the losses.
    ValueError
        There is no such device.
    """
    place = training_device(device)
    gpu = place.type == "cuda"
    precise = torch.backends.cuda.matmul.allow_tf32
    objective.to(place).train()
    optimiser = Optimiser(objective, weights, schedule)
    steps = [Step(shelf, atoms, optimiser.step) for shelf in shelves(place)]
    shares = np.array([step.share for step in steps])
    kept = out / "state.pt"
    state = torch.load(kept, map_location=place, weights_only=True) if resume and kept.exists() else None
    _prepare(optimiser, steps, gpu)
    number, elapsed, since = 0, 0.0, Since(torch.zeros_like(optimiser.measured))
    if state:
        optimiser.load(state["optimiser"])
        number, elapsed, since = state["step"], state["elapsed"], Since(*state["since"])
    logs = Logs(out, number, print)
    if not number:
        logs.evaluation.write(0, 0.0, evaluate(optimiser.average))
    begun, saved = time.monotonic() - elapsed, time.monotonic()
    try:
        while schedule.progress(number, elapsed) < 1.0:
            rng = np.random.default_rng([seed, number])
            step = steps[int(rng.choice(len(steps), p=shares / shares.sum()))]
            rate = schedule.rate(number, elapsed)
            optimiser.rate.fill_(rate)
            step(rng)
            since = since.add(optimiser.measured, step.conformers)
            number += 1
            if gpu and number % WAIT_EVERY == 0:
                torch.cuda.synchronize()
            elapsed = time.monotonic() - begun
            ended = schedule.progress(number, elapsed) >= 1.0
            logged, shown = number % log_every == 0 or ended, number % evaluate_every == 0 or ended
            saving = shown or time.monotonic() - saved > SAVE_SECONDS
            if logged or saving or number % LOOK_EVERY == 0:
                means = since.means(weights)
                if not all(np.isfinite(value) for value in means.values()):
                    raise NonFiniteLossError(f"step {number}: means of {since.steps} steps {means}")
            if logged:
                logs.training.write(number, elapsed, {"rate": rate, **means})
                since = Since(torch.zeros_like(since.sums))
            if shown:
                logs.evaluation.write(number, elapsed, evaluate(optimiser.average))
            if saving:
                new = kept.with_suffix(".tmp")
                own = {"optimiser": optimiser.state(), "since": tuple(since)}
                torch.save(own | {"step": number, "elapsed": elapsed}, new)
                new.replace(kept)
                saved = time.monotonic()
    finally:
        logs.close()
        torch.backends.cuda.matmul.allow_tf32 = precise
    return optimiser.average.to("cpu")


class Since(NamedTuple):
    """What was measured since the last row of the log.

    Attributes
    ----------
    sums : Tensor [losses + 1]
        Of losses and gradient norms. Once there was one that is not finite, its sum is not.
    steps, conformers : int
    """

    sums: Tensor
    steps: int = 0
    conformers: int = 0

    def add(self, measured: Tensor, conformers: int) -> Since:
        """With one step more."""
        return Since(self.sums + measured, self.steps + 1, self.conformers + conformers)

    def means(self, weights: dict[str, float]) -> dict[str, float]:
        """Per step, by name; those of losses, the gradient norm and the number of conformers."""
        values = dict(zip([*weights, "gradient_norm"], (self.sums / self.steps).tolist(), strict=True))
        return values | {"molecules": self.conformers / self.steps}


def _prepare(optimiser: Optimiser, steps: Sequence[Step], gpu: bool) -> None:
    """Make every step once, at a rate of zero, and record it."""
    start = copy.deepcopy(optimiser.objective.state_dict())
    optimiser.rate.fill_(0.0)
    if gpu:
        torch.backends.cuda.matmul.allow_tf32 = True
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # as recording asks for
            for step in steps:
                step.make()
        torch.cuda.current_stream().wait_stream(aside)
        pool = torch.cuda.graph_pool_handle()
        for step in steps:
            step.record(pool)
    else:
        steps[0].make()  # for the optimiser's state
    optimiser.objective.load_state_dict(start)
    optimiser.average.load_state_dict(start)
    optimiser.reset()
