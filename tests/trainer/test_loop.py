"""The training loop: averaging, logs, exact resuming, several processes, safeguards, schedule."""

import csv
import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from loop_runs import LINE_SCHEDULE, MIXTURE, Line, fit_line, fit_potential, joint, labelled, points
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from skmol3d.encoders import AtomBatch
from skmol3d.trainer import logs
from skmol3d.trainer.data.batches import Mixture, one_by_one
from skmol3d.trainer.logs import CollapseError
from skmol3d.trainer.loop import NonFiniteLossError, Schedule
from skmol3d.trainer.objectives.regularisation import variance_covariance

SCRIPT = Path(__file__).parent / "loop_runs.py"
SHORT = replace(LINE_SCHEDULE, steps=12)


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


def test_logs(tmp_path):
    fit(tmp_path)
    log = rows(tmp_path / "log.csv")
    assert steps(tmp_path / "log.csv") == [5, 10, 12]
    assert steps(tmp_path / "evaluation.csv") == [0, 4, 8, 12]
    assert list(log[0]) == ["step", "seconds", "rate", "fit", "bias", "molecules", "gradient_norm"]
    assert all(float(r["molecules"]) == 3 for r in log)  # means, also over the two steps of the last row
    assert float(log[0]["fit"]) > float(log[-1]["fit"]) > 0.01
    assert float(log[0]["rate"]) == pytest.approx(SHORT.rate(4, 0.0), rel=1e-4)
    assert rows(tmp_path / "evaluation.csv")[0]["weight"] == "0"  # the untrained network
    fit(tmp_path)
    assert len(rows(tmp_path / "log.csv")) == 3  # a new run starts new logs


def test_tensorboard_shows_what_the_tables_say(tmp_path):
    with pytest.raises(Stop):
        fit(tmp_path, stop=11)
    fit(tmp_path, resume=True)  # from step 8: row 10 is written twice
    board = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    for log, column in (("log", "fit"), ("evaluation", "weight")):
        shown = {e.step: e.value for e in board.Scalars(f"{log}/{column}")}
        table = {int(r["step"]): float(r[column]) for r in rows(tmp_path / f"{log}.csv")}
        assert shown == pytest.approx(table, rel=1e-4)
        assert len(board.Scalars(f"{log}/{column}")) == len(table)


def test_terminals_see_a_bar_and_all_rows(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    fit(tmp_path)
    shown = capsys.readouterr().out
    assert "12/12" in shown
    assert "fit=" in shown
    for step in (0, 4, 5, 8, 10, 12):
        assert f"step {step}  seconds" in shown


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


@pytest.mark.parametrize("stops", [[1], [6], [11], [12], [2, 3, 9]])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, stops, monkeypatch):
    expected = fit(tmp_path / "whole")
    monkeypatch.setattr(logs, "SAVE_SECONDS", 0.0)  # a state after every step
    for stop in stops:
        with pytest.raises(Stop):
            # Lightning fetches one batch ahead.
            fit(tmp_path / "parts", stop=stop, resume=True)
    assert_same_run(tmp_path / "parts", fit(tmp_path / "parts", resume=True), tmp_path / "whole", expected)


def test_resuming_repeats_what_was_done_after_the_last_state(tmp_path):
    expected = fit(tmp_path / "whole")
    with pytest.raises(Stop):
        fit(tmp_path / "parts", stop=12)
    assert steps(tmp_path / "parts" / "log.csv") == [5, 10]
    asked = []

    def batches(start):
        asked.append(start)
        return map(points, count(start))

    found = fit(tmp_path / "parts", batches=batches, resume=True)
    assert asked == [8]  # the last evaluation
    assert_same_run(tmp_path / "parts", found, tmp_path / "whole", expected)


def test_a_killed_process_resumes_bit_for_bit(tmp_path):
    expected = fit_line(tmp_path / "whole")
    parts = tmp_path / "parts"
    with subprocess.Popen([sys.executable, str(SCRIPT), str(parts), "line"]) as process:
        while process.poll() is None and not (
            (parts / "log.csv").exists() and len(steps(parts / "log.csv")) > 2
        ):
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert steps(parts / "log.csv")[-1] < 150
    found = fit_line(parts, resume=True)
    assert_same_run(parts, found, tmp_path / "whole", expected)


def test_resuming_a_finished_run_returns_it(tmp_path):
    expected = fit(tmp_path)
    assert_same_run(tmp_path, fit(tmp_path, resume=True), tmp_path, expected)
    assert len(rows(tmp_path / "log.csv")) == 3


def test_a_finished_run_can_be_made_longer(tmp_path):
    fit(tmp_path)
    line, _ = fit(tmp_path, resume=True, schedule=replace(SHORT, steps=16))
    assert line.batches == 16
    assert steps(tmp_path / "evaluation.csv") == [0, 4, 8, 12, 16]


def test_a_new_run_forgets_the_state_of_an_old_one(tmp_path):
    fit(tmp_path)
    with pytest.raises(Stop):
        fit(tmp_path, stop=3)
    line, _ = fit(tmp_path, resume=True)
    assert line.batches == 12
    assert steps(tmp_path / "evaluation.csv") == [0, 4, 8, 12]


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


def test_non_finite_loss_names_the_molecules(tmp_path):
    data = labelled([5] * 24)
    data.molecule_targets["homo"][7] = np.nan
    data.atom_targets["charges"][5 * 11 + 2] = np.inf
    seen = []

    def batches(start):
        for batch, targets in Mixture(
            [labelled([4] * 8), data], [1, 1], [np.arange(8), np.arange(24)], 60, 1
        )(start):
            seen.append(targets)
            yield batch, targets

    with pytest.raises(NonFiniteLossError) as error:
        fit_potential(tmp_path, batches, 200)
    message = str(error.value)
    step = int(message.split()[1].rstrip(":"))
    bad = seen[step]
    for row, loss in ((7, "homo"), (11, "charges")):
        inside = bool(((bad["set"] == 1) & (bad["row"] == row)).any())
        assert (f"set 1 row {row} ({loss})" in message) == inside
    assert message.count("set 1 row") == len({7, 11} & set(bad["row"].tolist())) > 0
    assert f"on a batch of {len(bad['row'])} molecules" in message
    assert step == steps(tmp_path / "log.csv")[-1]


def test_non_finite_gradient_names_the_molecules(tmp_path):
    class Root(Line):
        def forward(self, batch, targets):
            # The root's slope at zero is infinite; the loss is zero there.
            return {
                "fit": (self.line.weight[0, 0] * targets["y"]).square().sqrt().sum(),
                "bias": self.line.bias.sum(),
            }

    def batches(start):
        for _ in count(start):
            yield points(0)[0], {"y": torch.tensor([1.0, 0.0, 1.0])}

    root = Root()
    torch.nn.init.ones_(root.line.weight)
    with pytest.raises(
        NonFiniteLossError, match=r"step 0: gradient norm nan.* 1 alone: 1 of the batch \(gradient\)$"
    ):
        fit(tmp_path, objective=root, batches=batches)
    assert torch.isfinite(root.line.weight).all()


def test_non_finite_combination(tmp_path):
    class Pairs(Line):
        def forward(self, batch, targets):
            losses = super().forward(batch, targets)
            return losses | {"bias": losses["bias"] / (1.0 if len(batch) == 1 else 0.0)}

    with pytest.raises(NonFiniteLossError, match=r"'bias': nan.* none alone, so it is their combination"):
        fit(tmp_path, objective=Pairs())


def test_collapse_stops_the_run(tmp_path):
    dimensions = iter([5.0, 21.0, 3.1, 2.9])
    with pytest.raises(CollapseError, match=r"step 12: .* effective dimension is 2.9, after 21 at best"):
        fit(tmp_path, evaluate=lambda o: {"effective_dimension": next(dimensions)})
    # The row tells why, the state is the one before.
    assert [r["effective_dimension"] for r in rows(tmp_path / "evaluation.csv")] == ["5", "21", "3.1", "2.9"]
    # A resumed run remembers how many there were.
    with pytest.raises(CollapseError, match="after 21 at best"):
        fit(tmp_path, resume=True, evaluate=lambda o: {"effective_dimension": 2.9})


def test_descriptors_without_variance_have_collapsed(tmp_path):
    with pytest.raises(CollapseError, match=r"step 0: .* effective dimension is nan"):
        fit(tmp_path, evaluate=lambda o: {"effective_dimension": math.nan})


def test_batches_that_end_are_refused(tmp_path):
    with pytest.raises(ValueError, match="batches must be endless, but ended at step 7"):
        fit(tmp_path, batches=lambda start: map(points, range(start, 7)))


@pytest.mark.parametrize("weights", [{"fit": 1.0}, {"fit": 1.0, "bias": 0.1, "biass": 0.1}])
def test_losses_and_weights_must_agree(tmp_path, weights):
    with pytest.raises(ValueError, match=r"losses are \['bias', 'fit'\] but weights are given for"):
        fit(tmp_path, weights=weights)


def test_mixture_is_addressable():
    sets = [labelled([5] * 24), labelled([4] * 8)]
    mixture = Mixture(sets, [2, 1], [np.arange(24), np.arange(8)], atoms=20, seed=3)
    stream = mixture()
    whole = [next(stream) for _ in range(40)]
    for start, stride in ((0, 1), (7, 1), (3, 4)):
        part = mixture(start, stride)
        for batch, targets in whole[start::stride]:
            found, labels = next(part)
            assert torch.equal(found.positions, batch.positions)
            assert all(torch.equal(labels[k], v) for k, v in targets.items())
    for batch, targets in whole:
        (k,) = set(targets["set"].tolist())
        expected, _ = sets[k].batch(targets["row"].numpy())
        assert torch.equal(batch.positions, expected.positions)
    other = next(Mixture(sets, [2, 1], [np.arange(24), np.arange(8)], atoms=20, seed=4)())
    assert not torch.equal(other[1]["row"], whole[0][1]["row"])


def test_mixture_leaves_out_small_batches():
    sizes = [5] * 9
    everything = Mixture([labelled(sizes)], [1], [np.arange(9)], atoms=20, seed=0)
    larger = Mixture([labelled(sizes)], [1], [np.arange(9)], atoms=20, seed=0, smallest=2)
    counts = [len(b) for b, _ in (next(s) for s in [everything()] for _ in range(30))]
    assert set(counts) == {1, 4}
    stream = larger()
    assert {len(next(stream)[0]) for _ in range(30)} == {4}


def test_one_by_one():
    batch = AtomBatch.from_arrays(
        [
            ([8, 1, 1], np.eye(3), 0, [[0, 1], [0, 2]]),
            ([1, 1], np.eye(3)[:2], 1, [[0, 1]]),
            ([6], np.zeros((1, 3)), -1, np.zeros((0, 2))),
        ]
    )
    targets = {"atom": torch.arange(6), "molecule": torch.tensor([[1.0], [2.0], [3.0]])}
    parts = list(one_by_one((batch, targets)))
    assert [p.numbers.tolist() for p, _ in parts] == [[8, 1, 1], [1, 1], [6]]
    assert [p.charge.item() for p, _ in parts] == [0, 1, -1]
    assert [p.bonds.T.tolist() for p, _ in parts] == [[[0, 1], [0, 2]], [[0, 1]], []]
    assert torch.equal(torch.cat([p.positions for p, _ in parts]), batch.positions)
    assert [t["atom"].tolist() for _, t in parts] == [[0, 1, 2], [3, 4], [5]]
    assert [t["molecule"].tolist() for _, t in parts] == [[[1.0]], [[2.0]], [[3.0]]]


def test_variance_and_covariance_are_measured_in_full_precision():
    rows = 30 + torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = variance_covariance(rows)
    for one, other in zip(found, variance_covariance(rows.double()), strict=True):
        assert one.dtype == torch.float32
        assert one.item() == pytest.approx(other.item(), rel=1e-3)


def test_joint_statistics_of_one_process_are_its_own():
    rows = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    for one, other in zip(variance_covariance(rows), variance_covariance(rows, joint=True), strict=True):
        assert torch.equal(one, other)


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
