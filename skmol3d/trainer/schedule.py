"""How long a run is and how fast it learns."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """When to stop and how fast to learn.

    Attributes
    ----------
    steps : int
        Optimiser steps.
    minutes : float or None
        Wall-clock limit; the learning rate then follows whichever of steps and time is further along, so that
        a run cut by the clock still anneals. Such a run depends on the machine and cannot resume bit for bit.
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
