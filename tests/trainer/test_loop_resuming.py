"""Stopped, killed, finished and lengthened runs end as if they had never stopped."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from loop_runs import SHORT, Stop, assert_same_run, fit, fit_line, points, rows, steps

from skmol3d.trainer import logs

SCRIPT = Path(__file__).parent / "loop_runs.py"


@pytest.mark.slow
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


@pytest.mark.slow
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
