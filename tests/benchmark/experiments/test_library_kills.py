"""A library whose featurization is killed at random moments."""

import pandas as pd
import pytest

from skmol3d.benchmark.experiments import library_kills
from skmol3d.datasets import load_small_organics


@pytest.mark.slow
@pytest.mark.parametrize("model", ["ecfp", "an encoder"])
def test_library_kills(model, tiny_checkpoint, tmp_path, capsys):
    smiles = list(load_small_organics().data)
    smiles = smiles[:200] * 10 if model == "ecfp" else smiles[:200]
    pd.DataFrame({"smiles": [*smiles, "no SMILES"]}).to_csv(tmp_path / "molecules.csv", index=False)
    size = 50 if model == "ecfp" else 10
    settings = ["--workers", "1", "--partition", str(size), "--kills", "1"]
    settings += ["--model", model if model == "ecfp" else tiny_checkpoint]
    assert library_kills.main([str(tmp_path / "molecules.csv"), *settings]) == 0
    said = capsys.readouterr().out
    assert f"{len(smiles) + 1} molecules, {len(smiles) // size + 1} files" in said
    assert "killed 1 times" in said
    assert "the same, byte for byte" in said


def test_a_file_that_differs_is_told(tmp_path, capsys, monkeypatch):
    (tmp_path / "molecules.smi").write_text("CCO\nCCN\n")
    monkeypatch.setattr(library_kills.subprocess, "run", lambda *_, **__: None)
    monkeypatch.setattr(library_kills, "disturbed", lambda *_: False)
    different = iter([{"part-0": b"one", "failures": b""}, {"part-0": b"other", "failures": b""}])
    monkeypatch.setattr(library_kills, "contents", lambda _: next(different))
    assert library_kills.main([str(tmp_path / "molecules.smi"), "--kills", "1"]) == 1
    assert "DIFFERENT" in capsys.readouterr().out
