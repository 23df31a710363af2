"""Worker processes: one thread, and an end to unwanted work."""

import os
import time

import pytest

from skmol3d.trainer.data.workers import Stopped, Workers, check


def threads(ticket):
    return os.environ["OMP_NUM_THREADS"], os.getpid()


def endless(ticket):
    while True:
        check(ticket)
        time.sleep(0.01)


def test_workers_are_processes_of_one_thread():
    pool = Workers(1)
    count, pid = pool.submit(threads).result()
    pool.close()
    assert (count, pid == os.getpid()) == ("1", False)


@pytest.mark.slow
def test_closing_ends_tasks_under_way():
    pool = Workers(2)
    tasks = [pool.submit(endless) for _ in range(9)]
    while not tasks[0].running():
        time.sleep(0.01)
    pool.close()
    for task in tasks:
        with pytest.raises(Stopped, match="the pool was closed"):
            task.result()


def test_a_worker_leaves_when_its_parent_is_another(monkeypatch):
    def leave(status):
        raise SystemExit(status)

    monkeypatch.setattr(os, "_exit", leave)
    check((__file__, os.getppid()))
    with pytest.raises(SystemExit, match="1"):
        check((__file__, os.getppid() + 1))
