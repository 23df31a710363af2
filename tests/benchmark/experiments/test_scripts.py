"""Speed, memory and fuzz scripts on a handful of molecules."""

import re
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
from rdkit import Chem

from skmol3d.benchmark.experiments import (
    chirality,
    damaged_caches,
    fuzz,
    fuzz_cif,
    fuzz_files,
    kills,
    memory,
    sharing,
    speed,
)
from skmol3d.structures import StructureError, read_molecule


def test_speed_prints_each_stage_and_the_ratio(tiny_checkpoint, capsys):
    speed.main(["--n", "8", "--model", tiny_checkpoint])
    out = capsys.readouterr().out
    assert re.search(r"\| parse \| 8 \| 8 \|", out)
    assert re.search(r"\| conformers \(ETKDGv3\) \| 8 \| 8 \|", out)
    assert re.search(r"\| encode \| 8 \| 8 \|", out)
    assert float(re.search(r"encoding / conformer time: ([\d.]+)", out)[1]) > 0


def test_speed_of_decoding(capsys):
    speed.main(["--n", "8", "--model", "mo3enet-small"])
    found = re.search(r"\| decode \| (\d) \| \d \|", capsys.readouterr().out)
    assert int(found[1]) > 0


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


def test_parsing_and_damaged_cif_files(capsys):
    assert fuzz.main(["--parse", "150"]) == 0
    assert fuzz.main(["--cif", "150"]) == 0
    out = capsys.readouterr().out
    counts = re.findall(r"(\d+) read, (\d+) refused with a reason", out)
    # Both happen, or the fuzzer has become too tame or too wild to say anything.
    assert len(counts) == 2
    assert all(30 < int(number) < 270 for pair in counts for number in pair)
    assert list(fuzz_cif.damaged_cifs(5)) == list(fuzz_cif.damaged_cifs(5))


def test_whatever_escapes_a_reader_is_reported():
    def fails():
        raise KeyError("x")

    cases = [("good", lambda: ["molecule"]), ("bad", fails), ("mute", lambda: [""])]
    assert fuzz_files.judge("cases", cases) == ["1 (bad): KeyError: 'x'", "2 (mute): reason ''"]


def test_damaged_caches_give_nothing_wrong(capsys):
    assert damaged_caches.main(["--n", "60"]) == 0
    assert "refused" in capsys.readouterr().out


@pytest.mark.slow
def test_a_featurizer_is_shared():
    # In a process of its own: forks of one in which torch has computed on several threads would hang.
    command = [sys.executable, "-m", sharing.__name__, "--n", "8", "--workers", "2"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.count("largest difference") == 3


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["label", "pretrain"])
def test_kills(verb, capsys):
    assert kills.main([verb, "--kills", "1"]) == 0
    assert "nothing was wrong" in capsys.readouterr().out


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


def test_chirality_ranks_with_handedness_and_at_chance_without(tmp_path, capsys, monkeypatch):
    """Scores made of a pseudoscalar of the rows: odd models find it, mirror-blind rows cannot."""
    rng = np.random.default_rng(0)
    invariant, odd = rng.normal(size=(200, 4)), rng.normal(size=(200, 3))
    rows = np.concatenate([np.repeat(invariant, 2, 0), np.repeat(odd, 2, 0)], 1)
    rows[1::2, 4:] *= -1
    scores = rows[:, 0] + rows[:, 4]
    rows[7] = np.nan
    X, y = chirality.pair_differences(rows[:300].astype(np.float32), scores[:300])
    X_test, y_test = chirality.pair_differences(rows[300:].astype(np.float32), scores[300:])
    assert len(X) == 149
    for head in (chirality.ridge, chirality.forest):
        np.testing.assert_allclose(head(X, y, -X_test), -head(X, y, X_test), atol=1e-9)
        assert chirality.accuracy(y_test, head(X, y, X_test)) > 0.9
        blind = head(X[:, :4], y, X_test[:, :4])
        assert chirality.accuracy(y_test, blind) == 0.5


def test_chirality_prints_every_block(tiny_checkpoint, tmp_path, capsys):
    pairs = [
        "C[C@H](N)C(=O)O",
        "C[C@@H](N)C(=O)O",
        "CC[C@H](O)C",
        "CC[C@@H](O)C",
        "F[C@](Cl)(Br)C",
        "F[C@@](Cl)(Br)C",
    ]
    lines = [f"{s},{k % 2},{k // 2},{'test' if k > 7 else 'train'}" for k, s in enumerate(pairs * 2)]
    (tmp_path / "pairs.csv").write_text("smiles,top_score,pair,split\n" + "\n".join(lines))
    chirality.main([str(tmp_path / "pairs.csv"), "--model", tiny_checkpoint])
    out = capsys.readouterr().out
    for name in (
        "REM3DI, all blocks",
        "REM3DI, invariant",
        "REM3DI, chiral",
        "ECFP counts",
        "ECFP counts with chirality",
    ):
        assert re.search(rf"^\| {name} \| 4/2 \| [01].\d+ ± 0.354 \| [01].\d+ ± 0.354 \|$", out, re.M)
    assert re.search(r"^\| ECFP counts \| 4/2 \| 0.500 .* \| 0.500 ", out, re.M)


def test_damaged_files_pass_and_are_counted(capsys):
    assert fuzz.main(["--files", "16"]) == 0
    assert capsys.readouterr().out.startswith("16 damaged files in ")
