"""From a table to a model to predictions, on the command line."""

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skmol3d import ECFPFeaturizer, KernelRidgeCV, REM3DIFeaturizer
from skmol3d.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smiles = [f"{'C' * n}{end}" for n in range(1, 8) for end in ("O", "N", "C(=O)O")]
    table = pd.DataFrame({"Structure_SMILES": smiles, "pKi": np.arange(21.0), "active": [0, 1, 1] * 7})
    table.loc[len(table)] = ["c1ccccc", 3.0, 0]
    table.to_csv("assay.csv", index=False)
    new = pd.DataFrame({"name": ["a", "b", "c"], "smiles": ["CCCO", "C(", "OCCC"], "price": [1, 2, 3]})
    new.to_csv("new.csv", index=False)
    return tmp_path


def test_the_model_is_that_of_the_library(folder, tiny_checkpoint, capsys):
    command = ["fit", "assay.csv", "model.joblib", "--target", "pKi", "--featurizer", tiny_checkpoint]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert "assay.csv: 21 molecules, 1 rows left out" in said
    assert "[21] 'c1ccccc': not a valid SMILES: unclosed ring" in said
    assert "fitted to 21 molecules: model.joblib" in said
    assert main(["predict", "model.joblib", "new.csv", "out.csv"]) == 0
    assert "2 of 3 molecules: out.csv\n  [1] b: 'C(': not a valid SMILES" in capsys.readouterr().err
    found = pd.read_csv("out.csv")
    assert found.columns.tolist() == ["id", "smiles", "name", "price", "prediction"]
    assert found["prediction"].isna().tolist() == [False, True, False]
    table = pd.read_csv("assay.csv").iloc[:21]
    by_hand = make_pipeline(REM3DIFeaturizer(tiny_checkpoint), KernelRidgeCV())
    by_hand.fit(table["Structure_SMILES"], table["pKi"])
    np.testing.assert_allclose(found["prediction"][[0, 2]], by_hand.predict(["CCCO", "CCCO"]), rtol=1e-5)


@pytest.mark.parametrize("head", ["kernel", "ridge", "forest"])
def test_every_head_takes_numbers_and_classes(folder, head):
    for target in ("pKi", "active"):
        command = [
            "fit",
            "assay.csv",
            "model.joblib",
            "--target",
            target,
            "--featurizer",
            "ecfp",
            "--head",
            head,
        ]
        assert main(command) == 0
        assert main(["predict", "model.joblib", "new.csv", "out.csv.gz", "--keep", "price"]) == 0
        found = pd.read_csv("out.csv.gz")
        assert found.columns.tolist()[:4] == ["id", "smiles", "price", "prediction"]
        assert found["prediction"].notna().tolist() == [True, False, True]
        if target == "active":
            assert found["prediction"][[0, 2]].isin([0, 1]).all()
            told = found["score" if head == "kernel" else "probability_1"]
            assert ((told > (0 if head == "kernel" else 0.5)) == (found["prediction"] == 1))[[0, 2]].all()


def test_a_forest_gets_the_columns_for_forests(folder, tiny_checkpoint):
    command = ["fit", "assay.csv", "model.joblib", "--target", "pKi", "--head"]
    for head, blocks in (("forest", "trees"), ("ridge", None)):
        assert main([*command, head]) == 0
        assert joblib.load("model.joblib").featurizer_[0].blocks == blocks
    assert main([*command, "forest", "--featurizer", tiny_checkpoint]) == 0  # without counts it has none
    assert joblib.load("model.joblib").featurizer_[0].blocks is None


@pytest.mark.slow
def test_fine_tuned_networks_predict_from_the_file(folder, tiny_checkpoint, capsys):
    for target, column in (("pKi", "prediction"), ("active", "probability_1")):
        command = ["fit", "assay.csv", "model.joblib", "--target", target, "--head", "fine-tuned"]
        assert main([*command, "--featurizer", "ecfp"]) == 2
        assert "ECFP has nothing to tune" in capsys.readouterr().err
        assert main([*command, "--featurizer", tiny_checkpoint]) == 0
        assert main(["predict", "model.joblib", "new.csv", "out.csv"]) == 0
        assert pd.read_csv("out.csv")[column].isna().tolist() == [False, True, False]


def test_mistakes_are_said_before_anything_is_computed(folder, capsys):
    cases = {
        ("fit", "assay.csv", "no/model.joblib", "--target", "pKi"): "no/model.joblib",
        ("fit", "assay.csv", "model.joblib", "--target", "ki"): "has no column 'ki'",
        ("predict", "model.joblib", "new.csv", "out.csv", "--top", "3"): "--top: not for a CSV file",
        ("predict", "model.joblib", "new.csv", "no/out.csv"): "no folder",
        ("predict", "model.joblib", "new.csv", "out.csv", "--keep", "x"): "no column 'x'; it has name, price",
        ("predict", "model.joblib", "new.csv", "new.csv"): "new.csv: the same file as the library",
        ("fit", "assay.csv", "assay.csv", "--target", "pKi"): "assay.csv: the same file as the table",
        ("predict", "new.csv", "new.csv", "out.csv"): "new.csv: no model that joblib.dump wrote",
        ("predict", "dict.joblib", "new.csv", "out.csv"): "dict.joblib: holds a dict, not a fitted model",
        ("predict", "model.joblib", "again.csv", "out.csv"): "has a column 'prediction' already",
        ("benchmark", "--target", "pKi"): "--target: only with --table",
        (
            "benchmark",
            "--table",
            "assay.csv",
            "--target",
            "pKi",
            "--only",
            "x",
        ): "--only: only without --table",
    }
    joblib.dump({}, "dict.joblib")
    model = make_pipeline(ECFPFeaturizer(n_bits=64), Ridge()).fit(["C", "CO"], [0.0, 1.0])
    joblib.dump(model, "model.joblib")
    (folder / "again.csv").write_text("smiles,prediction\nCO,1\n")
    before = (folder / "assay.csv").read_bytes()
    for command, message in cases.items():
        assert main(list(command)) == 2
        assert message in capsys.readouterr().err
    assert (folder / "assay.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--head", "fine-tuned", "--featurizer", "ecfp"], "ECFP has nothing to tune"),
        (["--featurizer", "nope"], "nope"),
        (["--featurizer", "ecfp", "--n-jobs", "0"], "n_jobs"),
        (["--head", "fine-tuned", "--featurizer", "nope"], "nope"),
    ],
)
def test_options_are_checked_before_the_table_is_read(folder, options, message, capsys):
    assert main(["fit", "missing.csv", "model.joblib", "--target", "pKi", *options]) == 2
    assert message in capsys.readouterr().err


def test_what_the_numbers_are_taken_for_is_said(folder, capsys):
    command = ["fit", "assay.csv", "model.joblib", "--featurizer", "ecfp", "--target"]
    assert main([*command, "active"]) == 0
    assert "active: two classes (0: 7, 1: 14)\n" in capsys.readouterr().err
    assert main([*command, "pKi"]) == 0
    assert "pKi: numbers from 0 to 20\n" in capsys.readouterr().err


def test_a_table_is_compared_with_ecfp_by_scaffold(folder, tiny_checkpoint, capsys):
    command = ["benchmark", "--table", "assay.csv", "--methods", f"rem3di:{tiny_checkpoint}", "ecfp"]
    assert main(command) == 2
    assert "name the column to predict with --target" in capsys.readouterr().err
    command += ["--target", "pKi", "--heads", "default", "--folds", "scaffold", "--cv", "3x1"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "21 molecules, 1 rows left out" in said.err
    assert "| pKi | MAE | 14/7 |" in said.out
