"""Whatever is killed, the same call goes on, and gives what an uninterrupted one gives."""

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dask
import joblib
import pandas as pd
import psutil
import pytest
from dask.distributed import Client, Future
from deadly import Deadly
from distributed.client import ClosedClientError
from distributed.comm import CommClosedError
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skmol3d import ECFPFeaturizer
from skmol3d.cli import main
from skmol3d.distributed import LibraryError, cluster, featurize_library
from skmol3d.distributed.cluster import connected
from skmol3d.distributed.partition import work

SCRIPT = """
import sys
from deadly import Deadly
from skmol3d.distributed import featurize_library

if __name__ == "__main__":
    featurize_library("library", "out", Deadly(n_bits=32), partition_size=5, scheduler=sys.argv[1])
"""


@pytest.fixture
def whole(client, folder):
    """Files of an uninterrupted run."""
    run("whole", client)
    return contents("whole")


def run(output, scheduler, **settings):
    return featurize_library(
        "library", output, Deadly(n_bits=32), scheduler=scheduler, **{"partition_size": 5, **settings}
    )


def contents(output):
    parts = {path.name: path.read_bytes() for path in Path(output).glob("part-*")}
    return {**parts, "failures": Path(output, "_failures.csv").read_bytes()}


def start(folder, scheduler):
    (folder / "script.py").write_text(SCRIPT)
    return spawn([sys.executable, "script.py", scheduler], folder)


def spawn(command, folder):
    here = [str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(here)}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def wait_for_parts(process, folder, count):
    while len(list((folder / "out" / "_parts").glob("*.json"))) < count:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)


@pytest.mark.slow
def test_a_client_that_is_killed_leaves_no_workers_and_the_same_call_goes_on(
    folder, client, whole, monkeypatch
):
    monkeypatch.setenv("SLOW", "0.5")
    process = start(folder, "local:1")
    wait_for_parts(process, folder, 2)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    process.kill()
    process.communicate()
    psutil.wait_procs(workers, timeout=60)
    assert not any(worker.is_running() and worker.status() != "zombie" for worker in workers)
    kept = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("part-*")}
    assert 2 <= len(kept) < 8
    monkeypatch.delenv("SLOW")
    run("out", client)
    assert contents("out") == whole
    noted = [path for path in kept if path.stat().st_mtime_ns == kept[path]]
    assert len(noted) >= len(kept) - 1  # one may have been there before its note was


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_nothing(folder, client, table, monkeypatch):
    phosphine(table)
    run("whole", client)
    (folder / "lives").write_text("x")
    monkeypatch.setenv("LIVES", str(folder / "lives"))
    run("out", "local:1")
    assert not (folder / "lives").exists()
    assert contents("out") == contents("whole")


@pytest.mark.slow
def test_a_partition_that_kills_every_worker_is_named_and_costs_no_other(
    folder, client, table, monkeypatch, capsys
):
    phosphine(table)
    (folder / "lives").write_text("x" * 100)
    monkeypatch.setenv("LIVES", str(folder / "lives"))
    named = (
        r"1 of 8 partitions could not be made: partition 4 \(part.1.parquet, records 5 to 9\): its workers"
    )
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        pytest.raises(LibraryError, match=named),
    ):
        run("out", "local:1", verbose=1)
    assert "partition 4" in capsys.readouterr().err
    assert len(list((folder / "out").glob("part-*"))) == 7
    monkeypatch.delenv("LIVES")
    assert run("out", client).molecules == 30


def phosphine(table):
    table.loc[17:19, "smiles"] = "CP"
    table[12:24].to_parquet("library/part.1.parquet", index=False)


@pytest.mark.slow
def test_a_scheduler_that_is_killed_is_said_and_the_same_call_goes_on(folder, client, whole, monkeypatch):
    monkeypatch.setenv("SLOW", "0.5")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    dask_cli = [sys.executable, "-m", "dask"]
    local = ["--no-dashboard", "--host", "127.0.0.1"]
    scheduler = spawn([*dask_cli, "scheduler", "--port", str(port), *local], folder)
    worker = spawn([*dask_cli, "worker", address, "--nthreads", "1", "--death-timeout", "60", *local], folder)
    try:
        process = start(folder, address)
        wait_for_parts(process, folder, 2)
        scheduler.kill()
        _, error = process.communicate()
    finally:
        for other in (scheduler, worker):
            other.kill()
            other.communicate()
    assert process.returncode == 1
    assert "LibraryError: the scheduler was lost; " in error
    assert "molecules are done; the same command goes on from there" in error
    monkeypatch.delenv("SLOW")
    run("out", client)
    assert contents("out") == whole


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_says_what_is_done(number, folder, monkeypatch):
    model = make_pipeline(Deadly(n_bits=32), Ridge()).fit(["CO", "CC"], [1.0, 2.0])
    joblib.dump(model, "model.joblib")
    monkeypatch.setenv("SLOW", "0.5")  # 30 partitions: the signal comes long before the last of them
    command = ["predict", "model.joblib", "library", "out", "--dask", "local:1", "--partition-size", "1"]
    process = spawn([sys.executable, "-m", "skmol3d", *command], folder)
    wait_for_parts(process, folder, 1)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == 128 + number
    assert "are done; the same command goes on from there" in error
    assert "Traceback" not in error
    monkeypatch.delenv("SLOW")
    assert main(command) == 0


class Noisy:
    """A cluster or its client, at whose end something is logged."""

    def __init__(self, *_, **__):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        logging.getLogger("asyncio").error("a callback was never answered")


def test_a_cluster_that_is_stopped_ends_without_a_word_and_others_do_not(monkeypatch, caplog):
    for name in ("LocalCluster", "Client"):
        monkeypatch.setattr(cluster, name, Noisy)
    with pytest.raises(KeyboardInterrupt), connected("local:1"):
        raise KeyboardInterrupt
    assert caplog.messages == []
    with connected("local:1"):
        pass
    assert caplog.messages == ["a callback was never answered"] * 2


def test_an_error_of_a_partition_ends_the_run(folder, client, monkeypatch):
    def full(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ECFPFeaturizer, "_compute", full)
    with pytest.raises(LibraryError, match=r"partition \d \(part.*\): .*No space left on device"):
        run("out", client)


@pytest.mark.parametrize("error", [CommClosedError, ClosedClientError])
@pytest.mark.parametrize("call", ["submit", "gather"])
def test_a_scheduler_is_lost_whichever_call_notices_it(call, error, folder, client, monkeypatch):
    def lost(*_, **__):
        raise error("in <TCP>: Connection reset by peer")

    monkeypatch.setattr(*{"submit": (Client, "submit"), "gather": (Future, "result")}[call], lost)
    with pytest.raises(LibraryError, match="the scheduler was lost; 0 molecules are done"):
        run("out", client)


def test_a_folder_that_a_worker_does_not_see_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"missing: not seen by the worker on "):
        work(0, None, None, None, tmp_path / "missing")


def test_where_the_work_is_done_must_make_sense(folder):
    for scheduler in ("locally", "local:none", "local:0", "head"):
        with pytest.raises(ValueError, match="scheduler must be 'local', 'local:4', an address"):
            run("out", scheduler)


def test_progress_is_a_line_where_there_is_no_terminal(folder, client, capsys):
    run("out", client, verbose=1)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("100%")
    assert "30/30" in line
    assert line.endswith("2 failed, 1 workers]")
    run("other", client)
    assert capsys.readouterr().err == ""
    assert len(pd.read_parquet("other")) == 30
