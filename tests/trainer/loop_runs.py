"""Tiny runs, for a test's own process or as a script: to be killed, or to be two processes.

``python loop_runs.py OUT line`` fits a line, slowly, saving its state after every step;
``python loop_runs.py OUT potential`` trains a potential in two processes.
"""

import csv
import sys
import time
from dataclasses import replace
from itertools import count, islice
from pathlib import Path

import numpy as np
import torch
from torch import nn

from skmol3d.encoders import AtomBatch, Potential, PotentialConfig
from skmol3d.encoders.backbones import EquivariantTransformerConfig
from skmol3d.trainer import logs
from skmol3d.trainer.data.batches import Mixture
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.loop import Schedule, main_process, train
from skmol3d.trainer.objectives.forces import PotentialObjective
from skmol3d.trainer.objectives.regularisation import variance_covariance

BATCH = AtomBatch.from_arrays([([1, 1], [[0, 0, 0], [0, 0, 0.74]], 0, None)] * 3)
LINE_SCHEDULE = Schedule(steps=150, warmup=2, learning_rate=0.05, ema=0.8)
SHORT = replace(LINE_SCHEDULE, steps=12)


class Line(nn.Module):
    """Fits a line to noisy points; the second loss pulls on the bias. A buffer counts the batches."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.line.bias)
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, batch, targets):
        if self.training:
            self.batches += 1
        x = targets["x"] + 0.1 * torch.randn_like(targets["x"])
        error = self.line(x[:, None])[:, 0] - targets["y"]
        return {"fit": error.square().mean(), "bias": self.line.bias.square().sum()}


def points(step):
    """Batch number ``step``: three molecules with a point of y = 2x + 1 each."""
    x = torch.from_numpy(np.random.default_rng(step).normal(size=3)).float()
    return BATCH, {"x": x, "y": 2 * x + 1}


def fit_line(out, batches=None, objective=None, schedule=LINE_SCHEDULE, weights=None, **settings):
    """Train a `Line`; returns it and its average."""
    objective = Line() if objective is None else objective
    weights = {"fit": 1.0, "bias": 0.01} if weights is None else weights
    settings = {"evaluate_every": 4, "log_every": 5, "evaluate": _weight, **settings}
    batches = batches or (lambda start: map(points, count(start)))
    return objective, train(objective, batches, weights, schedule, out, **settings)


def _weight(objective):
    return {"weight": objective.line.weight.item()}


class Spread(nn.Module):
    """All losses of a potential, and the variance and covariance of its pooled features."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        backbone = EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=6)
        self.supervised = PotentialObjective(Potential(PotentialConfig(backbone=backbone)))
        self.unused = nn.Linear(2, 2)

    def forward(self, batch, targets):
        scalars = self.supervised.potential.backbone(batch).scalars
        pooled = scalars.new_zeros(len(batch), scalars.shape[1]).index_add(0, batch.molecule, scalars)
        variance, covariance = variance_covariance(pooled, joint=self.training)
        return self.supervised(batch, targets) | {"variance": variance, "covariance": covariance}


def labelled(sizes, seed=0):
    """Neutral molecules of random atoms and labels."""
    rng = np.random.default_rng(seed)
    atoms, molecules = sum(sizes), len(sizes)
    return PackedSet(
        numbers=rng.choice(np.array([1, 6, 8], np.uint8), atoms),
        positions=rng.integers(-2000, 2000, (atoms, 3)).astype(np.int16),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        charge=np.zeros(molecules),
        group=np.arange(molecules),
        atom_targets={"forces": rng.normal(size=(atoms, 3)), "charges": rng.normal(size=atoms)},
        molecule_targets={
            "energy": rng.normal(size=molecules),
            "dipole": rng.normal(size=(molecules, 3)),
            "homo": rng.normal(-10, 1, molecules),
            "lumo": rng.normal(-7, 1, molecules),
        },
    )


MOLECULES = labelled([5] * 24)
MIXTURE = Mixture([MOLECULES], [1.0], [np.arange(24)], atoms=20, seed=0)  # batches of four molecules


def joint(start):
    """The batches of two processes as one."""
    for k in count(start):
        rows = [targets["row"] for _, targets in islice(MIXTURE(2 * k), 2)]
        yield MOLECULES.batch(torch.cat(rows).numpy())


def fit_potential(out, batches, steps, **settings):
    """Train `Spread` without noise; returns it."""
    objective = Spread()
    names = ("forces", "energy", "charges", "dipole", "homo", "lumo", "variance", "covariance")
    schedule = Schedule(steps=steps, warmup=1, learning_rate=1e-3, clip=1e9, ema=0.5)
    weights = dict.fromkeys(names, 1.0)
    train(objective, batches, weights, schedule, out, evaluate=lambda o: {}, log_every=1, **settings)
    return objective


class Stop(Exception):
    pass


def fit(out, stop=None, schedule=SHORT, **settings):
    """Train a line for twelve steps, or until the batch of step ``stop`` is asked for."""

    def batches(start):
        for step in count(start):
            if step == stop:
                raise Stop
            yield points(step)

    return fit_line(out, **{"batches": batches, "schedule": schedule, **settings})


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def timeless(path):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(path)]


def steps(path):
    return [int(row["step"]) for row in rows(path)]


def assert_same_run(out, found, reference, expected):
    """Bit for bit: weights, averaged weights, buffers and logs."""
    for one, other in zip(found, expected, strict=True):
        for name, value in other.state_dict().items():
            assert torch.equal(one.state_dict()[name], value), name
    for log in ("log.csv", "evaluation.csv"):
        assert timeless(out / log) == timeless(reference / log)


def main(out, kind):
    if kind == "line":
        logs.SAVE_SECONDS = 0.0

        def slowly(start):
            for step in count(start):
                time.sleep(0.05)
                yield points(step)

        fit_line(out, slowly)
    else:
        objective = fit_potential(out, MIXTURE, 2, devices=2)
        if main_process():
            gradients = {k: p.grad for k, p in objective.named_parameters() if p.grad is not None}
            torch.save(gradients, out / "gradients.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
