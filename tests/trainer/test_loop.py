"""The training loop: averaging, logs, mixed precision, several processes."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from loop_runs import MIXTURE, Line, fit, fit_potential, joint, rows, steps, timeless

from skmol3d.trainer.loop import Schedule

SCRIPT = Path(__file__).parent / "loop_runs.py"


@pytest.mark.slow
def test_learns_and_averages(tmp_path):
    line, average = fit(tmp_path, schedule=Schedule(300, learning_rate=0.05, warmup=5, ema=0.9))
    assert average.line.weight.item() == pytest.approx(2, abs=0.15)
    line, average = fit(tmp_path)
    # The average lags behind weights that grow at every step.
    assert 0 < average.line.weight.item() < line.line.weight.item()
    assert all(p.requires_grad for p in average.parameters())


def test_average_is_the_exponential_mean(tmp_path):
    history = []

    class Recorded(Line):
        def forward(self, batch, targets):
            history.append(self.line.weight.item())
            return super().forward(batch, targets)

    line, average = fit(tmp_path, objective=Recorded(), schedule=Schedule(4, warmup=1, ema=0.8))
    after = [*history[1:], line.line.weight.item()]
    expected = after[0]
    for value in after[1:]:
        expected = 0.8 * expected + 0.2 * value
    assert average.line.weight.item() == pytest.approx(expected, rel=1e-5)
    assert average.batches == 4  # buffers are the latest


def test_gradient_is_clipped(tmp_path):
    schedule = Schedule(1, learning_rate=0.05, warmup=1, clip=1e-12, weight_decay=0.0)
    line, _ = fit(tmp_path, schedule=schedule)
    assert abs(line.line.weight.item()) < 0.01  # Adam's first step would be the learning rate


def test_mixed_precision(tmp_path):
    seen = []

    class Recorded(Line):
        def forward(self, batch, targets):
            seen.append((torch.is_autocast_enabled("cpu"), self.line(targets["x"][:, None]).dtype))
            return super().forward(batch, targets)

    line, _ = fit(tmp_path, objective=Recorded(), precision="bf16-mixed")
    assert set(seen) == {(True, torch.bfloat16)}
    assert line.line.weight.dtype == torch.float32
    assert line.line.weight.item() > 0.1


def test_a_potential_keeps_its_forces_in_mixed_precision(tmp_path):
    """Backbone and energy compute in float32: their losses differ by less than half precision's rounding."""
    for precision in ("32-true", "bf16-mixed"):
        fit_potential(tmp_path / precision, MIXTURE, 1, precision=precision)
    (full,), (mixed,) = (rows(tmp_path / precision / "log.csv") for precision in ("32-true", "bf16-mixed"))
    for name in ("forces", "energy", "variance", "covariance"):
        assert float(mixed[name]) == pytest.approx(float(full[name]), rel=1e-4)
    assert mixed["charges"] != full["charges"]


def test_the_clock_ends_a_run(tmp_path):
    schedule = Schedule(10**6, minutes=1e-9, warmup=1)
    fit(tmp_path, schedule=schedule)
    line, _ = fit(tmp_path, schedule=schedule, resume=True)
    assert line.batches == 1
    assert steps(tmp_path / "evaluation.csv") == [0, 1]


def test_noise_is_a_function_of_the_seed(tmp_path):
    (one, _), (two, _), (three, _) = (fit(tmp_path, seed=s) for s in (0, 0, 1))
    assert torch.equal(one.line.weight, two.line.weight)
    assert not torch.equal(one.line.weight, three.line.weight)


@pytest.mark.slow
def test_two_processes_are_one_with_the_joint_batch(tmp_path):
    """Losses and gradients; two steps, so that the second rests on what the first did to the weights."""
    command = [sys.executable, str(SCRIPT), str(tmp_path / "two"), "potential"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    found = torch.load(tmp_path / "two" / "gradients.pt", weights_only=True)
    objective = fit_potential(tmp_path / "one", joint, 2)
    for name, parameter in objective.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(found[name], parameter.grad, rtol=1e-4, atol=1e-5)
    assert found.keys() == {k for k, p in objective.named_parameters() if p.grad is not None}
    for one, two in zip(
        timeless(tmp_path / "one" / "log.csv"), timeless(tmp_path / "two" / "log.csv"), strict=True
    ):
        assert {k: float(v) for k, v in two.items()} == pytest.approx(
            {k: float(v) for k, v in one.items()}, rel=1e-3
        )
        assert float(one["molecules"]) == 8
