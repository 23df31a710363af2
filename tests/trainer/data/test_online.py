"""Online conformers: fresh ones while training draws, bounded reuse, and no way to hang."""

import os
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import psutil
import pytest
import torch
from trainer_examples import SMILES

from skmol3d.structures import StructureError
from skmol3d.trainer.data.examples import build_example
from skmol3d.trainer.data.online import OnlineConformers, WorkerError
from skmol3d.trainer.data.sets import Row

WORDS = [f"molecule {k}" for k in range(40)]


def fake(text, random_state):
    """A row at once: one atom for each character's code, its target tells the attempt."""
    k = int(text.split()[1])
    return Row(
        numbers=np.full(1 + k % 3, 6, np.uint8),
        positions=np.zeros((1 + k % 3, 3), np.int16),
        charge=0,
        group=-1,
        molecule_targets={"attempt": 1000 * random_state + k},
    )


def picky(text, random_state):
    if int(text.split()[1]) % 2:
        raise StructureError("odd")
    return fake(text, random_state)


def hopeless(text, random_state):
    raise StructureError("never")


def deadly(text, random_state):
    if random_state > 0:
        os._exit(7)
    return fake(text, random_state)


def careless(text, random_state):
    raise KeyError("a mistake in the code")


def slow(text, random_state):
    time.sleep(0.05)
    return fake(text, random_state)


def draw_on(online, count):
    for _ in range(1000):
        online.draw(count)


def workers_of(process):
    return [c for c in psutil.Process(process).children(recursive=True) if "popen_loky" in str(c.cmdline())]


@pytest.mark.slow
def test_conformers_are_fresh_and_reuse_is_bounded():
    with OnlineConformers(WORDS, capacity=30, first_fill=20, reuse=3, pack=fake) as online:
        drawn = Counter()
        groups = set()
        for _ in range(100):
            data = online.draw(10)
            assert 1 <= len(data) <= 10
            attempts = data.molecule_targets["attempt"].tolist()
            assert len(set(attempts)) == len(attempts)  # a batch has no conformer twice
            drawn.update(attempts)
            groups |= set(data.group.tolist())
            assert data.group.tolist() == [k % 1000 for k in attempts]
        assert max(drawn.values()) <= 3
        assert len(drawn) > 150
        assert groups == set(range(40))
        assert len({k // 1000 for k in drawn}) > 3  # passes
        assert online.embedded >= len(drawn)
        assert online.failed == 0


@pytest.mark.slow
def test_the_first_draw_waits_for_the_first_fill():
    with OnlineConformers(WORDS, capacity=64, first_fill=33, reuse=2, pack=slow) as online:
        assert len(online.draw(64)) >= 33


@pytest.mark.slow
def test_workers_pause_when_nobody_draws():
    with OnlineConformers(WORDS, workers=2, capacity=16, first_fill=16, pack=fake) as online:
        online.draw(16)
        deadline = time.monotonic() + 300
        seen = -1
        while seen != online.embedded:  # until nothing comes any more
            assert time.monotonic() < deadline, "workers go on for ever"
            seen = online.embedded
            time.sleep(1.0)
        online.draw(1)
        while online.embedded == seen:
            assert time.monotonic() < deadline, "workers do not come back"
            time.sleep(0.01)


@pytest.mark.slow
def test_failures_are_counted_and_passed_over():
    with OnlineConformers(WORDS, capacity=20, first_fill=20, pack=picky) as online:
        data = online.draw(20)
        assert not (data.group % 2).any()
        assert online.failed > 0


@pytest.mark.slow
def test_a_corpus_that_cannot_be_embedded_is_told():
    with (
        OnlineConformers(WORDS, pack=hopeless) as online,
        pytest.raises(
            ValueError, match=r"none of \d+ molecules could be embedded; the last: molecule \d+: never"
        ),
    ):
        online.draw(1)


@pytest.mark.slow
def test_a_dead_worker_is_told():
    with OnlineConformers(WORDS, capacity=32, first_fill=8, reuse=2, pack=deadly) as online:
        with pytest.raises(WorkerError, match="online conformers: TerminatedWorkerError: A worker process"):
            draw_on(online, 8)
        with pytest.raises(WorkerError):  # and again, rather than a hang
            online.draw(8)


@pytest.mark.slow
def test_a_killed_worker_is_told():
    with OnlineConformers(WORDS, capacity=40, first_fill=4, reuse=1, pack=slow) as online:
        online.draw(1)
        for worker in workers_of(os.getpid()):
            worker.kill()
        with pytest.raises(WorkerError, match="TerminatedWorkerError"):
            draw_on(online, 40)


@pytest.mark.slow
def test_mistakes_in_packing_are_told():
    with (
        OnlineConformers(WORDS, pack=careless) as online,
        pytest.raises(WorkerError, match="KeyError: 'a mistake in the code'"),
    ):
        online.draw(1)


@pytest.mark.slow
def test_closing_stops_the_workers():
    before = {c.pid for c in workers_of(os.getpid())}
    online = OnlineConformers(WORDS, workers=2, capacity=8, first_fill=8, pack=slow)
    online.draw(4)
    assert {c.pid for c in workers_of(os.getpid())} - before
    online.close()
    online.close()
    assert not {c.pid for c in workers_of(os.getpid())} - before
    with pytest.raises(RuntimeError, match="online conformers are closed"):
        online.draw(1)


FORGETFUL = """
import sys
from skmol3d.trainer.data.online import OnlineConformers
online = OnlineConformers(["CCO", "CCN", "CCC"] * 10, first_fill=2, capacity=1000)
for batch, targets in online.batches(64, window=4):
    print(len(batch))
    break
if sys.argv[1] == "error":
    raise SystemExit("the consumer failed")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("end", "status"), [("quiet", 0), ("error", 1)])
def test_a_consumer_that_forgets_to_close_does_not_hang(end, status):
    done = subprocess.run([sys.executable, "-c", FORGETFUL, end], capture_output=True, text=True, timeout=500)
    assert done.returncode == status
    assert int(done.stdout) >= 1
    assert done.stderr.strip() == ("the consumer failed" if status else "")


@pytest.mark.slow
def test_real_conformers_in_batches():
    with OnlineConformers(SMILES, capacity=64, first_fill=16, reuse=4, seed=5) as online:
        stream = online.batches(atoms=100, window=16)
        seen = {}
        for _ in range(12):
            batch, targets = next(stream)
            assert len(batch) * int(batch.counts.max()) <= 100
            assert targets["environments"].shape[0] == targets["handedness"].shape[0] == len(batch.numbers)
            assert targets["descriptors"].shape[0] == len(batch)
            ends = batch.bonds
            lengths = (batch.positions[ends[0]] - batch.positions[ends[1]]).norm(dim=1)
            assert lengths.min() > 0.9
            assert lengths.max() < 2.0
            for part in batch.positions.split(batch.counts.tolist()):
                seen.setdefault(len(part), []).append(torch.pdist(part).sort()[0])
    # Passes bring new geometries of the same molecule: of these ethanol alone has nine atoms.
    ethanol = seen[9]
    assert any(not torch.allclose(ethanol[0], other, atol=0.05) for other in ethanol)


def test_build_example():
    rows = [build_example("C[C@H](N)CCO", state) for state in (0, 0, 1)]
    np.testing.assert_array_equal(rows[0].positions, rows[1].positions)
    assert not np.array_equal(rows[0].positions, rows[2].positions)
    assert rows[0].charge == 0
    assert len(rows[0].bonds) == len(rows[0].numbers) - 1
    assert np.count_nonzero(rows[0].atom_targets["handedness"]) == 1
    with pytest.raises(StructureError, match="not a valid SMILES"):
        build_example("broken(", 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"smiles": []}, "the corpus is empty"),
        ({"reuse": 0}, "must be positive"),
        ({"first_fill": 20, "capacity": 10}, "first_fill at most capacity, got 1, 20, 8 and 10"),
    ],
)
def test_settings_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        OnlineConformers(**{"smiles": WORDS, "pack": fake, **changes})
