"""The training loop: schedule, averaging, logs, resuming, errors."""

import csv
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from skmol3d.encoders import AtomBatch
from skmol3d.trainer.loop import NonFiniteLossError, Schedule, train

SCHEDULE = Schedule(steps=12, warmup=2, learning_rate=0.05, ema=0.8)
BATCH = AtomBatch.from_arrays([([1, 1], [[0, 0, 0], [0, 0, 0.74]], 0, None)] * 3)


class Line(nn.Module):
    """Fits a line; the second loss pulls on the bias."""

    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.line.bias)

    def forward(self, batch, targets):
        assert len(batch) == 3
        error = self.line(targets["x"][:, None])[:, 0] - targets["y"]
        return {"fit": error.square().mean(), "bias": self.line.bias.square().sum()}


class Killed(Exception):
    pass


def stream(stop=None, seeds=None, spoilt=None):
    """Batches of y = 2x + 1; every batch of a step is the same whichever seed the stream began with."""

    def batches(seed):
        if seeds is not None:
            seeds.append(seed)
        for step in itertools.count(seed):
            if step == stop:
                raise Killed
            x = torch.from_numpy(np.random.default_rng(step).normal(size=8)).float()
            yield BATCH, {"x": x, "y": 2 * x + (math.inf if step == spoilt else 1)}

    return batches


def fit(out, batches=None, objective=None, schedule=SCHEDULE, weights=None, **settings):
    settings = {
        "evaluate_every": 4,
        "log_every": 5,
        "evaluate": lambda o: {"weight": o.line.weight.item()},
        **settings,
    }
    weights = {"fit": 1.0, "bias": 0.01} if weights is None else weights
    return train(objective or Line(), batches or stream(), weights, schedule, out, **settings)


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_schedule_by_steps():
    schedule = Schedule(steps=1000, learning_rate=0.1, warmup=10)
    assert schedule.rate(0, 0.0) == pytest.approx(0.01, rel=1e-3)
    assert schedule.rate(4, 0.0) == pytest.approx(0.05, rel=1e-3)
    assert schedule.rate(500, 0.0) == pytest.approx(0.1 * (0.01 + 0.99 / 2))
    assert schedule.rate(1000, 0.0) == pytest.approx(0.001)
    rates = [schedule.rate(s, 0.0) for s in range(10, 1000)]
    assert rates == sorted(rates, reverse=True)
    assert schedule.progress(250, 1e9) == 0.25


def test_schedule_by_the_clock():
    schedule = Schedule(steps=1000, minutes=2, learning_rate=0.1, warmup=10)
    assert schedule.progress(10, 60.0) == 0.5
    assert schedule.progress(900, 60.0) == 0.9
    assert schedule.rate(20, 60.0) == pytest.approx(0.1 * (0.01 + 0.99 / 2))
    assert schedule.rate(20, 500.0) == pytest.approx(0.001)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be positive, got 0"),
        ({"steps": 5, "warmup": 0}, "warmup must be positive"),
        ({"steps": 5, "minutes": 0}, "minutes must be positive or absent"),
        ({"steps": 5, "ema": 1.0}, "0 <= ema < 1"),
        ({"steps": 5, "weight_decay": -1.0}, "weight_decay >= 0"),
    ],
)
def test_schedule_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        Schedule(**settings)


def test_learns_and_averages(tmp_path):
    objective = Line()
    start = objective.line.weight.item()
    average = fit(
        tmp_path, objective=objective, schedule=Schedule(300, learning_rate=0.05, warmup=5, ema=0.9)
    )
    assert start == 0
    assert average.line.weight.item() == pytest.approx(2, abs=0.1)
    short = Line()
    average = fit(tmp_path, objective=short)
    # The average lags behind weights that grow at every step.
    assert 0 < average.line.weight.item() < short.line.weight.item()


def test_average_is_the_exponential_mean(tmp_path):
    history = []

    class Recorded(Line):
        def forward(self, batch, targets):
            history.append(self.line.weight.item())
            return super().forward(batch, targets)

    objective = Recorded()
    average = fit(tmp_path, objective=objective, schedule=Schedule(4, learning_rate=0.05, warmup=1, ema=0.8))
    after = [*history[1:], objective.line.weight.item()]
    expected = after[0]
    for value in after[1:]:
        expected = 0.8 * expected + 0.2 * value
    assert average.line.weight.item() == pytest.approx(expected, rel=1e-5)


def test_logs(tmp_path):
    fit(tmp_path)
    log = rows(tmp_path / "log.csv")
    assert [int(r["step"]) for r in log] == [5, 10, 12]
    assert [int(r["step"]) for r in rows(tmp_path / "evaluation.csv")] == [4, 8, 12]
    assert {"seconds", "rate", "fit", "bias", "gradient_norm", "molecules"} < set(log[0])
    assert all(float(r["molecules"]) == 3 for r in log)  # means, also over the two steps of the last row
    assert float(log[0]["fit"]) > float(log[-1]["fit"]) > 0.01
    fit(tmp_path)
    assert len(rows(tmp_path / "log.csv")) == 3  # a new run starts new logs


def test_gradient_is_clipped(tmp_path):
    schedule = Schedule(1, learning_rate=0.05, warmup=1, clip=1e-12, weight_decay=0.0)
    objective = Line()
    fit(tmp_path, objective=objective, schedule=schedule)
    assert abs(objective.line.weight.item()) < 0.01  # Adam's first step would be the learning rate


def test_a_killed_run_resumes_where_it_was_saved(tmp_path):
    whole = Line()
    expected = fit(tmp_path / "whole", objective=whole)
    with pytest.raises(Killed):
        fit(tmp_path / "parts", stream(stop=10))
    seeds = []
    resumed = Line()
    average = fit(tmp_path / "parts", stream(seeds=seeds), objective=resumed, resume=True)
    assert seeds == [8]
    assert [int(r["step"]) for r in rows(tmp_path / "parts" / "evaluation.csv")] == [4, 8, 12]
    for found, reference in ((resumed, whole), (average, expected)):
        torch.testing.assert_close(found.line.weight, reference.line.weight, rtol=1e-6, atol=0)
        torch.testing.assert_close(found.line.bias, reference.line.bias, rtol=1e-6, atol=0)


def test_resuming_a_finished_run_returns_it(tmp_path):
    expected = fit(tmp_path)
    again = fit(tmp_path, stream(stop=12), resume=True)
    assert torch.equal(again.line.weight, expected.line.weight)


def test_resume_without_a_state_starts(tmp_path):
    seeds = []
    fit(tmp_path, stream(seeds=seeds), resume=True)
    assert seeds == [0]


def test_the_clock_ends_a_run(tmp_path):
    fit(tmp_path, schedule=Schedule(10**6, minutes=1e-9, warmup=1))
    assert [int(r["step"]) for r in rows(tmp_path / "evaluation.csv")] == [1]


def test_non_finite_loss(tmp_path):
    with pytest.raises(
        NonFiniteLossError, match=r"step 6: losses \{'fit': inf, 'bias': .*\} on a batch of 3 molecules"
    ):
        fit(tmp_path, stream(spoilt=6))


@pytest.mark.parametrize("weights", [{"fit": 1.0}, {"fit": 1.0, "bias": 0.1, "biass": 0.1}])
def test_losses_and_weights_must_agree(tmp_path, weights):
    with pytest.raises(ValueError, match=r"losses are \['bias', 'fit'\] but weights are given for"):
        fit(tmp_path, weights=weights)
