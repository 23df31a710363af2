"""The verb benchmark, run in this process."""

import sys

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem

from skmol3d.cli import main


def test_folds_are_checked(capsys):
    for text in ("5", "1x3", "5x0", "axb"):
        with pytest.raises(SystemExit, match="2"):
            main(["benchmark", "--cv", text])
    assert "expected KxR such as 5x3" in capsys.readouterr().err


def test_benchmark_on_a_panel_writes_its_files_and_resumes(tmp_path, tiny_checkpoint, capsys):
    rng = np.random.default_rng(0)
    folder = tmp_path / "panel"
    folder.mkdir()
    smiles = [f"C{'C' * (i % 7)}{'O' * (i % 2)}{'N' * (i % 3 == 0)}" for i in range(42)]
    split = np.where(rng.random(42) < 0.7, "train", "test")
    y = [len(text) + rng.normal() for text in smiles]
    pd.DataFrame({"smiles": smiles, "y": y, "split": split}).to_csv(folder / "size.csv", index=False)
    out = tmp_path / "out"
    ours = f"rem3di:{tiny_checkpoint}"
    command = ["benchmark", "--tasks", str(folder), "--methods", ours, "ecfp", "ecfp-count"]
    command += ["--heads", "linear", "--out", str(out)]
    assert main(command) == 0
    first = capsys.readouterr().out
    assert "| size | MAE |" in first
    assert f"| {ours} – better of ecfp, ecfp-count | MAE |" in first
    assert (out / "tables.md").read_text() == first
    assert (out / "win_rates.png").read_bytes().startswith(b"\x89PNG")
    results = pd.read_csv(out / "results.csv")
    assert results["method"].tolist() == [ours, "ecfp", "ecfp-count"]
    assert results["n_test"].unique() == [(split == "test").sum()]
    stamps = {path: path.stat().st_mtime_ns for path in (out / "results").iterdir()}
    assert len(stamps) == 3
    assert main(command) == 0
    assert capsys.readouterr().out == first
    assert {path: path.stat().st_mtime_ns for path in (out / "results").iterdir()} == stamps
    # More conformers, other conformers and another head are stored beside them.
    command[command.index(ours)] = f"{ours}@n_conformers=2@random_state=1"
    command[command.index("linear")] = "kernel"
    assert main(command) == 0
    assert "@n_conformers=2@random_state=1 – better of ecfp" in capsys.readouterr().out
    assert len(list((out / "results").iterdir())) == 6


def test_a_table_of_ones_own_without_splits_has_folds(tmp_path, capsys):
    smiles = [f"C{'C' * (i % 7)}{'O' * (i % 2)}{'N' * (i % 3 == 0)}" for i in range(21)]
    pd.DataFrame({"smiles": [*smiles, "C("], "y": [*map(float, map(len, smiles)), 1.0]}).to_csv(
        tmp_path / "mine.csv", index=False
    )
    command = ["benchmark", "--tasks", str(tmp_path), "--methods", "ecfp", "--heads", "linear"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert "| mine | MAE" in capsys.readouterr().out
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    assert sorted(results["fold"]) == list(range(5))
    assert set(results["n_dropped"]) == {1}


def test_tasks_with_and_without_a_split_go_together(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"smiles": ["C" * n + "O" for n in range(1, 21)], "y": range(20)})
    (tmp_path / "tasks").mkdir()
    table.to_csv("tasks/folds.csv", index=False)
    table.assign(split=["train"] * 15 + ["test"] * 5).to_csv("tasks/given.csv", index=False)
    command = ["benchmark", "--tasks", "tasks", "--methods", "ecfp", "--heads", "default"]
    assert main(command) == 0
    shown = capsys.readouterr().out
    assert "| folds | MAE | 16/4 |" in shown
    assert "| given | MAE | 15/5 |" in shown
    assert main([*command, "--folds", "scaffold"]) == 2
    assert (
        "these tasks have splits of their own; give cv=(n_splits, n_repeats), --cv" in capsys.readouterr().err
    )


def test_options_are_checked_before_the_table_is_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ring.csv").write_text("")
    cases = {
        ("--methods", "nope"): "unknown method 'nope'",
        ("--methods", "ecfp", "--heads", "svm"): "unknown heads ['svm']",
        ("--methods", "ecfp", "--out", "ring.csv"): "--out ring.csv: is a file; expected a folder",
    }
    for options, message in cases.items():
        assert main(["benchmark", "--table", "missing.csv", "--target", "y", *options]) == 2
        assert message in capsys.readouterr().err


@pytest.mark.slow
def test_benchmark_of_the_shipped_table_by_folds(capsys):
    command = ["benchmark", "--only", "gap", "--methods", "ecfp", "--heads", "linear", "--cv", "2x1"]
    assert main(command) == 0
    assert "| gap | MAE (eV) |" in capsys.readouterr().out


def test_mirror_images_are_not_told_apart_by_folds():
    from skmol3d.cli.benchmark import shipped_tasks
    from skmol3d.datasets import load_small_organics

    (gap,) = [task for task in shipped_tasks() if task.name == "gap"]
    whole = load_small_organics().data
    assert (pairs(whole), pairs(gap.smiles)) == (50, 0)
    assert len(gap.smiles) == len(whole) - 50


def pairs(smiles):
    """Number of mirror-image pairs among SMILES."""
    names = {Chem.CanonSmiles(text) for text in smiles}
    mirrored = {Chem.CanonSmiles(n.replace("@@", "!").replace("@", "@@").replace("!", "@")): n for n in names}
    return len([image for image, name in mirrored.items() if image in names and image != name]) // 2


def test_without_matplotlib_all_but_the_chart_is_there(tmp_path, monkeypatch, capsys):
    for name in ("matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    smiles = [f"C{'C' * (i % 7)}{'O' * (i % 2)}{'N' * (i % 3 == 0)}" for i in range(21)]
    pd.DataFrame({"smiles": smiles, "y": list(map(len, smiles))}).to_csv(tmp_path / "mine.csv", index=False)
    command = ["benchmark", "--tasks", str(tmp_path), "--methods", "ecfp", "ecfp-count", "--heads", "linear"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert "no chart of win rates: charts need matplotlib: pip install" in capsys.readouterr().err
    assert (tmp_path / "out" / "tables.md").exists()
