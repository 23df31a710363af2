"""Hostile inputs, and whether the fuzzer would notice wrong rows."""

import re
from contextlib import suppress

import numpy as np
import pytest

from skmol3d.benchmark.experiments import (
    fuzz,
)
from skmol3d.structures import StructureError, read_molecule


def test_fuzz_inputs_are_hostile_and_repeatable():
    seeds = ["CCO", "c1ccccc1", "CC(=O)N"]
    inputs, again = (list(fuzz.hostile_inputs(seeds, 400, seed=3)) for _ in range(2))
    assert [repr(x) for x in inputs if isinstance(x, str)] == [repr(x) for x in again if isinstance(x, str)]
    other = list(fuzz.hostile_inputs(seeds, 400, seed=4))
    assert [x for x in inputs if isinstance(x, str)] != [x for x in other if isinstance(x, str)]
    parsed = []
    for value in inputs:
        with suppress(StructureError):
            parsed.append(read_molecule(value))
    assert 0.1 < len(parsed) / 400 < 0.9
    assert any(molecule.coordinates is not None for molecule in parsed)


def test_parsing(capsys):
    assert fuzz.main(["--parse", "150"]) == 0
    read, refused = re.search(r"(\d+) read, (\d+) refused with a reason", capsys.readouterr().out).groups()
    # Both happen, or the fuzzer has become too tame or too wild to say anything.
    assert 30 < int(read) < 270
    assert 30 < int(refused) < 270


def test_other_spelling_is_the_same_molecule():
    smiles = "C[C@H](N)C(=O)NCc1ccco1"
    spellings = {fuzz.other_spelling(smiles, seed) for seed in range(10)}
    assert len(spellings) > 3
    assert len({read_molecule(text).key for text in spellings} | {read_molecule(smiles).key}) == 1
    assert fuzz.other_spelling("C(C", 0) is None
    assert fuzz.other_spelling(None, 0) is None


@pytest.fixture
def few_inputs(monkeypatch):
    monkeypatch.setattr(fuzz, "hostile_inputs", lambda *args: iter(["CCO", "C(C", None, "CCN", "[U]"]))


def test_fuzz_passes_and_counts(tiny_checkpoint, capsys, few_inputs):
    assert fuzz.main(["--n", "5", "--model", tiny_checkpoint]) == 0
    out = capsys.readouterr().out
    assert "5 inputs" in out
    assert "2 rows, 3 reported" in out
    assert "nothing was wrong" in out


def test_fuzz_notices_wrong_rows(tiny_checkpoint, capsys, few_inputs, monkeypatch):
    from skmol3d.featurizers import REM3DIFeaturizer

    honest = REM3DIFeaturizer.transform

    def lying(self, X):
        rows = honest(self, X)
        if len(X) == 5:
            rows[0] += 1.0  # a row that its other spelling does not give
            rows[1] = 0.0  # a failure hidden behind zeros
            rows[3] = np.nan  # a missing row without a reason
        return rows

    monkeypatch.setattr(REM3DIFeaturizer, "transform", lying)
    assert fuzz.main(["--n", "5", "--model", tiny_checkpoint]) == 1
    out = capsys.readouterr().out
    assert "[1] 'C(C': a reason, yet a row" in out
    assert "[3] 'CCN': no reason, row not finite" in out
    assert "[0] 'CCO' and its other spelling" in out
