"""Tables, TensorBoard and the terminal; runs that collapse."""

import math
import sys
import time

import pytest
from loop_runs import SHORT, Stop, fit, rows, steps
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from skmol3d.trainer.logs import CollapseError


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
    time.sleep(1)  # files are read by name, which has the second, then a number as text: 10 before 9
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
