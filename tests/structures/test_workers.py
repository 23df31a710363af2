"""Worker processes give the same conformers in the same places, whatever happens to them."""

import os
import signal
import subprocess
import sys
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
from structure_examples import DIVERSE

from skmol3d.structures import (
    ConformerSettings,
    StructureError,
    embed,
    generate,
    read_molecule,
    workers,
)

PLAIN = ConformerSettings(relax="mmff")


def conformers(value, **kwargs):
    return embed(read_molecule(value), ConformerSettings(**{"relax": "mmff"} | kwargs))


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [2, 3])
def test_workers_change_nothing(n_jobs):
    molecules = [read_molecule(smiles) for smiles in DIVERSE]
    alone = list(generate(molecules, PLAIN))
    together = list(generate(iter(molecules), PLAIN, n_jobs=n_jobs))
    assert len(together) == len(DIVERSE)
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)
        np.testing.assert_array_equal(one.energies, other.energies)


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_generate_is_lazy_and_can_be_left(n_jobs):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield read_molecule("C" * (1 + taken % 5))

    stream = generate(endless(), PLAIN, n_jobs)
    sizes = [len(next(stream).numbers) for _ in range(20)]
    stream.close()
    assert sizes == [3 * (1 + i % 5) + 2 for i in range(1, 21)]
    assert taken < 200


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_failures_are_values_in_their_places(n_jobs):
    molecules = [read_molecule("C1C[C@@H]2C[C@@H]1[C@H]1C[C@@H]21" if i == 17 else "CO") for i in range(40)]
    results = list(generate(molecules, ConformerSettings(max_attempts=3), n_jobs))
    assert [isinstance(result, StructureError) for result in results] == [i == 17 for i in range(40)]


@pytest.mark.slow
def test_dead_workers_lose_nothing():
    molecules = [read_molecule("C" * (1 + i % 7)) for i in range(150)]
    stream = generate(molecules, PLAIN, n_jobs=2)
    found = [next(stream)]
    for pid in list(workers._pool(2)._processes):
        os.kill(pid, signal.SIGKILL)
    found += stream
    for one, other in zip(found, generate(molecules, PLAIN), strict=True):
        np.testing.assert_array_equal(one.positions, other.positions)


def test_a_molecule_that_kills_workers_is_found_out(monkeypatch):
    class Deadly(Future):
        def result(self, timeout=None):
            raise BrokenProcessPool

    def submit(chunk, settings, n_workers):
        return Deadly()

    monkeypatch.setattr(workers, "_submit", submit)
    monkeypatch.setattr(workers, "CHUNK", 2)
    results = list(generate([read_molecule("CO"), read_molecule("CS")], PLAIN, n_jobs=2))
    for result, smiles in zip(results, ["CO", "CS"], strict=True):
        np.testing.assert_array_equal(result.positions, conformers(smiles).positions)


def test_errors_of_the_caller_s_stream_come_through():
    def broken():
        yield from [read_molecule("C")] * 40
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(generate(broken(), PLAIN, n_jobs=2))


def test_workers_never_see_torch():
    code = (
        "import sys, skmol3d.structures as s, skmol3d.structures.workers\n"
        "list(s.generate([s.read_molecule('C')], s.ConformerSettings()))\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
