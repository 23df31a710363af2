"""The memory script on a handful of molecules."""

import re

from rdkit import Chem

from skmol3d.benchmark.experiments import (
    memory,
)


def test_memory_prints_steps(tiny_checkpoint, capsys, monkeypatch):
    monkeypatch.setattr(memory, "STEP", 5)
    memory.main(["--n", "12", "--model", tiny_checkpoint])
    steps = re.findall(r"^\| (\d+) \| \d+ \| (\d+) \| \d+ \|$", capsys.readouterr().out, re.M)
    assert [int(count) for count, _ in steps] == [5, 10, 12]
    assert all(10 < int(mb) < 1e5 for _, mb in steps)


def test_memory_of_small_calls(tiny_checkpoint, capsys, monkeypatch):
    monkeypatch.setattr(memory.cache, "set_cache_bytes", lambda **_: None)  # other tests want the caches
    memory.main(["--calls", "10", "--model", tiny_checkpoint])
    out = capsys.readouterr().out
    assert len(re.findall(r"^\| \d+ \| [\d.]+ \|$", out, re.M)) == 10
    assert re.search(r"second half: [+-][\d.]+ MB", out)


def test_memory_has_enough_molecules():
    from itertools import islice

    smiles = list(memory.enumerated())
    assert len(set(smiles)) >= 100_000
    assert all(Chem.MolFromSmiles(text) is not None for text in islice(smiles, 0, None, 4001))
