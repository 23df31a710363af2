"""One training loop for every recipe: weighted objectives, schedule, EMA, resume, CSV log."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch

Batch = tuple[AtomBatch, dict[str, Tensor]]


@dataclass(frozen=True)
class Schedule:
    """When to stop and how fast to learn.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    minutes : float or None
        Wall-clock limit; the learning rate then follows whichever of steps and time is further along, so that
        a run cut by the clock still anneals.
    learning_rate, weight_decay, clip : float
        AdamW settings and the gradient-norm limit.
    warmup : int
        Steps of linear warm-up before the cosine decay to 1 % of the peak.
    ema : float
        Decay of the exponential moving average of the weights, which is what gets shipped.
    """

    steps: int
    minutes: float | None = None
    learning_rate: float = 5e-4
    weight_decay: float = 1e-3
    clip: float = 1.0
    warmup: int = 200
    ema: float = 0.999

    def __post_init__(self) -> None:
        for name in ("steps", "learning_rate", "clip", "warmup"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.minutes is not None and self.minutes <= 0:
            raise ValueError(f"minutes must be positive or absent, got {self.minutes}")
        if not 0 <= self.ema < 1 or self.weight_decay < 0:
            raise ValueError(
                f"need 0 <= ema < 1 and weight_decay >= 0, got {self.ema} and {self.weight_decay}"
            )

    def rate(self, step: int, elapsed: float) -> float:
        """Learning rate at ``step`` after ``elapsed`` seconds."""
        done = self.progress(step, elapsed)
        decay = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        return self.learning_rate * min(1.0, (step + 1) / self.warmup) * decay

    def progress(self, step: int, elapsed: float) -> float:
        """Share of the run that is over."""
        return max(step / self.steps, elapsed / (60 * self.minutes) if self.minutes else 0.0)


class NonFiniteLossError(RuntimeError):
    """A loss became infinite or NaN."""


def train(
    objective: nn.Module,
    batches: Callable[[int], Iterator[Batch]],
    weights: dict[str, float],
    schedule: Schedule,
    out: Path,
    *,
    evaluate: Callable[[nn.Module], dict[str, float]],
    resume: bool = False,
    log_every: int = 500,
    evaluate_every: int = 4000,
    device: str = "cpu",
) -> nn.Module:
    """Train ``objective`` and return a copy of it with the averaged weights.

    Parameters
    ----------
    objective : Module
        ``objective(batch, targets)`` returns a dict of scalar losses.
    batches : callable
        ``batches(seed)`` returns an endless iterator. A resumed run draws anew, seeded by its step.
    weights : dict
        Weight of each loss; losses and weights must have the same names.
    schedule : Schedule
        Length, learning rate and averaging.
    out : Path
        Receives ``state.pt`` (for resuming), ``log.csv`` and ``evaluation.csv``.
    evaluate : callable
        ``evaluate(objective)`` with the averaged weights returns a row for ``evaluation.csv``.
    resume : bool
        Continue from ``state.pt`` and append to the logs; otherwise the logs start afresh.
    log_every, evaluate_every : int
        Steps between rows of the two logs; the last step has a row in both. The state is saved with each
        evaluation.
    device : str
        Where to train.

    Raises
    ------
    NonFiniteLossError
        Names the losses and the step.
    ValueError
        Losses and weights differ in their names.
    """
    out.mkdir(parents=True, exist_ok=True)
    objective.to(device).train()
    trained = [p for p in objective.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    average = torch.optim.swa_utils.AveragedModel(
        objective, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(schedule.ema), use_buffers=False
    )
    state_file = out / "state.pt"
    step, elapsed = 0, 0.0
    if resume and state_file.exists():
        state = torch.load(state_file, map_location=device, weights_only=True)
        objective.load_state_dict(state["objective"])
        optimiser.load_state_dict(state["optimiser"])
        average.load_state_dict(state["average"])
        step, elapsed = state["step"], state["elapsed"]
    elif not resume:
        for log in ("log.csv", "evaluation.csv"):
            (out / log).unlink(missing_ok=True)
    stream = batches(step)
    begun = time.monotonic() - elapsed
    sums: dict[str, float] = {}
    summed = 0
    while schedule.progress(step, elapsed) < 1.0:
        batch, targets = next(stream)
        losses = objective(batch.to(device), {k: v.to(device) for k, v in targets.items()})
        if losses.keys() != weights.keys():
            raise ValueError(f"losses are {sorted(losses)} but weights are given for {sorted(weights)}")
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        if not torch.isfinite(total):
            bad = {k: v.item() for k, v in losses.items()}
            raise NonFiniteLossError(f"step {step}: losses {bad} on a batch of {len(batch)} molecules")
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(trained, schedule.clip)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step, elapsed)
        optimiser.step()
        average.update_parameters(objective)
        step, elapsed = step + 1, time.monotonic() - begun
        measured = {**losses, "gradient_norm": norm, "molecules": torch.tensor(float(len(batch)))}
        for name, value in measured.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        summed += 1
        finished = schedule.progress(step, elapsed) >= 1.0
        if step % log_every == 0 or finished:
            rate = optimiser.param_groups[0]["lr"]
            row = {"step": step, "seconds": round(elapsed, 1), "rate": rate}
            _append(out / "log.csv", row | {k: v / summed for k, v in sums.items()})
            sums, summed = {}, 0
        if step % evaluate_every == 0 or finished:
            row = {"step": step, "seconds": round(elapsed)}
            _append(out / "evaluation.csv", row | evaluate(average.module))
            state = {"objective": objective.state_dict(), "optimiser": optimiser.state_dict()}
            state |= {"average": average.state_dict(), "step": step, "elapsed": elapsed}
            torch.save(state, state_file.with_suffix(".tmp"))
            state_file.with_suffix(".tmp").replace(state_file)
            objective.train()
    return average.module


def _append(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(row))
        if new:
            writer.writeheader()
        writer.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
    text = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
    print("  ".join(text), flush=True)
