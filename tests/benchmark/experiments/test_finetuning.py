"""Fine-tuning next to heads on the frozen row."""

import numpy as np
import pandas as pd
import pytest

from skmol3d import ECFPFeaturizer
from skmol3d.benchmark.experiments import finetuning
from skmol3d.benchmark.heads import fit_head
from skmol3d.datasets import read_panel


@pytest.fixture
def panel(tmp_path):
    folder = tmp_path / "panel"
    folder.mkdir()
    smiles = ["C" * n + end for n in range(1, 9) for end in ("O", "N", "F", "C(=O)O")]
    table = pd.DataFrame({"smiles": smiles, "split": ["train"] * 24 + ["test"] * 8})
    table.assign(y=[len(s) + 0.5 for s in smiles]).to_csv(folder / "length.csv", index=False)
    table.assign(y=[int("O" in s) for s in smiles]).to_csv(folder / "oxygen.csv", index=False)
    return folder


def test_a_run_is_kept_and_goes_on(panel, tiny_checkpoint, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out" / "results.csv"
    arguments = ["--tasks", panel, "--out", out, "--model", tiny_checkpoint, "--ecfp"]
    arguments += ["--set", "train=head", "n_estimators=1", "epochs=2", "width=4"]
    finetuning.main([str(argument) for argument in arguments])
    printed = capsys.readouterr().out
    assert "| length |" in printed
    assert "ahead of frozen: " in printed
    table = pd.read_csv(out)
    assert table["task"].tolist() == ["length", "oxygen"]
    assert table["n_test"].tolist() == [8, 8]
    assert np.isfinite(table[["frozen", "fine_tuned", "ecfp_forest", "validation"]]).all(axis=None)
    monkeypatch.setattr(finetuning, "compare", None)  # nothing is left to compute
    finetuning.main([str(argument) for argument in arguments])
    assert capsys.readouterr().out.splitlines()[-1] == printed.splitlines()[-1]


def test_fingerprints_take_the_place_of_the_rows(panel, tiny_checkpoint, tmp_path, capsys):
    out = tmp_path / "results.csv"
    arguments = ["--tasks", panel, "--out", out, "--model", tiny_checkpoint, "--fingerprints", "ecfp-count"]
    arguments += ["--heads", "kernel", "--set", "train=head", "n_estimators=1", "epochs=2", "width=4"]
    finetuning.main([str(argument) for argument in arguments])
    assert "| length | ecfp-count | MAE |" in capsys.readouterr().out
    table = pd.read_csv(out).set_index("task")
    length = next(task for task in read_panel(panel) if task.name == "length")
    (train, test), smiles = finetuning.parts(length, None, 0)[0], np.array(length.smiles)
    rows = ECFPFeaturizer(count=True)
    kernel = fit_head(
        "kernel", "reg", rows.transform(smiles[train]), length.y[train], rows.transform(smiles[test])
    )
    assert table.loc["length", "frozen"] == pytest.approx(np.abs(kernel.prediction - length.y[test]).mean())


def test_folds_do_not_touch_the_test_part(panel):
    for task in read_panel(panel):
        test = set(np.flatnonzero(np.asarray(task.split) == "test"))
        checked = []
        for train, check in finetuning.parts(task, 3, 0):
            assert not test & {*train, *check}
            checked += list(check)
        assert sorted(checked) == sorted(set(range(len(task.smiles))) - test)
