"""Errors on the molecules that MoleculeACE marks."""

import numpy as np
import pandas as pd
import pytest

from skmol3d.benchmark import evaluate
from skmol3d.benchmark.experiments import cliffs
from skmol3d.datasets import Task

SMILES = ["C" * (i + 1) + "O" for i in range(20)]


@pytest.fixture
def run(tmp_path):
    """Results of three methods on one task whose last two molecules are cliffs."""
    y = np.arange(20.0) % 7
    split = np.array(["train"] * 15 + ["test"] * 5, object)
    task = Task("ace_chembl1_ki", "reg", SMILES, y, split)
    rng = np.random.default_rng(0)
    methods = {"knows": y[:, None], "ecfp": rng.normal(size=(20, 3)), "ecfp-count": rng.normal(size=(20, 3))}
    other = Task("esol", "reg", SMILES, y, split)
    results = evaluate(methods, [task, other], ["linear", "kernel"], out=tmp_path)
    results.to_csv(tmp_path / "results.csv", index=False)
    folder = tmp_path / "originals" / "deep"
    folder.mkdir(parents=True)
    spelled = ["O" + "C" * (i + 1) for i in range(20)]
    marks = [1] + [0] * 17 + [1, 1]
    table = pd.DataFrame({"smiles": spelled, "cliff_mol": marks, "split": split})
    table.to_csv(folder / "CHEMBL1_Ki.csv", index=False)
    return tmp_path


def test_marked_molecules_of_the_test_part_are_found_in_any_spelling(run, capsys):
    errors = cliffs.cliff_errors(run, run / "originals").set_index("method")
    assert errors["n"].tolist() == [2, 2, 2]  # the marked training molecule does not count
    results = pd.read_csv(run / "results.csv")
    for method, found in errors.iterrows():
        chosen = (results["method"] == method) & (results["head"] == found["head"])
        chosen &= results["task"] == "ace_chembl1_ki"
        table = pd.read_csv(run / "predictions" / results.loc[chosen, "predictions"].item())
        table = table.set_index("smiles").loc[SMILES[-2:]]
        assert found["mae"] == pytest.approx((table["prediction"] - table["y"]).abs().mean())
        assert found["mae_all"] == pytest.approx(results.loc[chosen, "score"].item())
    cliffs.main([str(run), "--originals", str(run / "originals")])
    printed = capsys.readouterr().out
    assert "| ace_chembl1_ki | 2 | **0.0" in printed
    assert "| knows | 1 of 1 |" in printed
    assert "esol" not in printed


def test_without_a_file_for_any_task_it_says_so(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no file for any task"):
        cliffs.cliff_errors(run, tmp_path / "empty")
