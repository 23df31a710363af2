"""Runs of ``skmol3d featurize`` that are stopped, and continued by the same command."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from skmol3d import ECFPFeaturizer, files
from skmol3d.cli import featurize, main

COMMAND = ["featurize", "in.smi", "--model", "ecfp", "--n-bits", "32"]

STOPPED = """
import os, sys
from skmol3d import files
from skmol3d.cli import featurize, main

featurize.CHUNK = 20
append = files.Unfinished.append

def append_then_stop(self, *chunk):
    append(self, *chunk)
    if self.done == 40:
        os.kill(os.getpid(), int(sys.argv[1]))

files.Unfinished.append = append_then_stop
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{'C' * (i % 9 + 1)}O name{i}" if i % 7 else f"broken( name{i}" for i in range(90)]
    (tmp_path / "in.smi").write_text("\n".join(lines))
    return tmp_path


def run(output, *options):
    return main([*COMMAND, output, *options])


def stop_after(rows, monkeypatch, number=signal.SIGINT):
    """Let the run end by a signal when so many rows are kept; give what makes an end of that."""
    monkeypatch.setattr(featurize, "CHUNK", 20)
    append = files.Unfinished.append

    def append_then_stop(self, *chunk):
        append(self, *chunk)
        if self.done == rows:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(files.Unfinished, "append", append_then_stop)
    return lambda: monkeypatch.setattr(files.Unfinished, "append", append)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".npy", ".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_continues_and_gives_what_an_uninterrupted_one_gives(
    number, suffix, folder, monkeypatch, capsys
):
    go_on = stop_after(40, monkeypatch, number)
    assert run(f"out{suffix}") == 128 + number
    assert capsys.readouterr().err.endswith("40 molecules are done; the same command goes on from there\n")
    assert not (folder / f"out{suffix}").exists()
    go_on()
    taken = []
    transform = ECFPFeaturizer.transform
    monkeypatch.setattr(ECFPFeaturizer, "transform", lambda self, X: taken.extend(X) or transform(self, X))
    assert run(f"out{suffix}", "--failures", "failed.csv") == 0
    assert len(taken) == 50
    assert run(f"whole{suffix}", "--failures", "all.csv") == 0
    assert (folder / f"out{suffix}").read_bytes() == (folder / f"whole{suffix}").read_bytes()
    assert (folder / "failed.csv").read_bytes() == (folder / "all.csv").read_bytes()
    assert not list(folder.glob("*.unfinished"))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_leaves_no_workers_and_its_run_continues(
    number, folder, tiny_checkpoint, monkeypatch
):
    monkeypatch.setattr(featurize, "CHUNK", 20)  # batches of other molecules round otherwise
    command = ["featurize", "in.smi", "out.npy", "--model", tiny_checkpoint, "--n-jobs", "2"]
    stopping = [sys.executable, "-c", STOPPED, str(int(number)), *command]
    stopped = subprocess.Popen(stopping, start_new_session=True, stderr=subprocess.PIPE, text=True)
    _, error = stopped.communicate()
    if number == signal.SIGKILL:
        assert stopped.returncode == -number
    else:
        assert stopped.returncode == 128 + number
        assert error.count("\n") == 1
    while of_session(stopped.pid):  # they look for their parent once a second
        time.sleep(0.1)
    assert main(command) == 0
    assert main([*command[:2], "whole.npy", *command[3:5]]) == 0
    assert (folder / "out.npy").read_bytes() == (folder / "whole.npy").read_bytes()


def of_session(number):
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == number and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except (ProcessLookupError, psutil.NoSuchProcess):
            pass
    return found


def test_what_a_kill_cut_off_is_not_taken_for_done(folder, monkeypatch):
    go_on = stop_after(40, monkeypatch)
    run("out.npy")
    go_on()
    unfinished = folder / "out.npy.unfinished"
    with (unfinished / "rows.npy").open("ab") as rows, (unfinished / "journal.jsonl").open("ab") as journal:
        rows.write(b"half a chunk of rows")
        journal.write(b'{"rows": 20, "labels": [["nam')
    assert run("out.npy") == 0
    assert run("whole.npy") == 0
    assert (folder / "out.npy").read_bytes() == (folder / "whole.npy").read_bytes()


def test_rows_that_were_lost_are_made_again(folder, monkeypatch):
    go_on = stop_after(40, monkeypatch)
    run("out.npy")
    go_on()
    os.truncate(folder / "out.npy.unfinished" / "rows.npy", 2000)
    assert run("out.npy") == 0
    assert run("whole.npy") == 0
    assert (folder / "out.npy").read_bytes() == (folder / "whole.npy").read_bytes()


def test_a_disk_that_is_full_at_the_end_costs_no_rows(folder, monkeypatch, capsys):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files.CsvTable, "append", full)
        assert run("out.csv") == 2
    message = "skmol3d featurize: out.csv: cannot be written: No space left on device\n"
    assert capsys.readouterr().err == message
    monkeypatch.setattr(ECFPFeaturizer, "transform", None)
    assert run("out.csv") == 0
    assert len(pd.read_csv("out.csv")) == 90


def test_another_task_is_refused_unless_told_to_restart(folder, monkeypatch, capsys):
    go_on = stop_after(40, monkeypatch)
    run("out.npy")
    go_on()
    capsys.readouterr()
    assert run("out.npy", "--radius", "3") == 2
    error = capsys.readouterr().err
    assert "out.npy: an earlier run with another radius was not finished" in error
    assert "--restart" in error
    assert ".unfinished" not in error
    (folder / "in.smi").write_text("CCO\n")
    assert run("out.npy") == 2
    assert "with another input was not finished" in capsys.readouterr().err
    assert run("out.npy", "--restart") == 0
    assert "1 of 1 molecules" in capsys.readouterr().err


def test_processes_and_devices_may_change(folder, monkeypatch):
    go_on = stop_after(40, monkeypatch)
    run("out.npy")
    go_on()
    assert run("out.npy", "--n-jobs", "1") == 0


def test_two_processes_do_not_write_one_output(folder, capsys):
    task = {"input": "x"}
    with files.Unfinished(folder / "out.npy", task, 2) as work:
        work.append(np.ones((1, 2), "f4"), [["a"]], [])
        assert run("out.npy") == 2
        assert "out.npy: another process is writing it" in capsys.readouterr().err
        assert work.done == 1


def test_nothing_is_left_of_a_run_without_a_finished_chunk(folder, monkeypatch):
    monkeypatch.setattr(featurize, "_chunks", lambda *_: os.kill(os.getpid(), signal.SIGINT) or [])
    assert run("out.npy") == 130
    assert not list(folder.glob("out*"))


def test_a_task_file_that_was_cut_off_counts_as_none(folder, monkeypatch):
    go_on = stop_after(40, monkeypatch)
    run("out.npy")
    go_on()
    task = folder / "out.npy.unfinished" / "task.json"
    assert json.loads(task.read_text())["n_bits"] == 32
    task.write_text('{"input": ')
    assert run("out.npy") == 0
    assert run("whole.npy") == 0
    assert (folder / "out.npy").read_bytes() == (folder / "whole.npy").read_bytes()
