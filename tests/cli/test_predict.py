"""A library is screened on the command line."""

from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from skmol3d import ECFPFeaturizer, SkipFailures
from skmol3d.cli import main


def test_the_best_of_a_library_are_found(tmp_path, monkeypatch, in_process, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.smi").write_text("CCO one\nC( two\nCCN three\nCCCC four\n")
    model = make_pipeline(ECFPFeaturizer(n_bits=64), Ridge()).fit(["CO", "CC", "CN"], [3.0, 1.0, 2.0])
    joblib.dump(model, "model.joblib")
    assert main(["predict", "model.joblib", "in.smi", "hits", "--top", "1"]) == 0
    assert pd.read_parquet("hits")["id"].tolist() == ["one"]
    assert "3 of 4 molecules: hits\n1 failed" in capsys.readouterr().err
    assert main(["predict", "model.joblib", "in.smi", "hits.parquet"]) == 2
    told = capsys.readouterr().err
    assert (
        "hits.parquet: is the name of a file (a folder: hits.parquet/); OUTPUT of a library is a folder"
        in told
    )
    assert "a single file .csv or .csv.gz" in told
    assert main(["predict", "model.joblib", "in.smi", "hits", "--top", "1", "--by", "pki"]) == 2
    assert "the model gives no column 'pki'; there are: prediction" in capsys.readouterr().err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make_pipeline(ECFPFeaturizer(n_bits=64), Ridge()).fit(["CO", "CC", "CN"], [3.0, 1.0, 2.0])
    joblib.dump(model, "model.joblib")


def test_columns_of_a_table_stay_as_they_came(folder):
    plates = pd.Series([1234567890123456789, None, 3], dtype="Int64")
    pd.DataFrame({"smiles": ["CCO", "CCN", "CO"], "plate": plates}).to_parquet("in.parquet")
    assert main(["predict", "model.joblib", "in.parquet", "out.csv"]) == 0
    found = pd.read_csv("out.csv", dtype=str, keep_default_na=False)
    assert found["plate"].tolist() == ["1234567890123456789", "", "3"]


@pytest.mark.parametrize(
    ("header", "options", "lost"),
    [
        ("parent,smiles", ["--smiles-column", "parent"], "smiles"),
        ("smiles,id", ["--id-column", "note"], "id"),
    ],
)
def test_no_column_is_lost_to_one_of_the_same_name(folder, header, options, lost, capsys):
    Path("in.csv").write_text(f"{header},note\nCC,CCO,a\n")
    command = ["predict", "model.joblib", "in.csv", "out.csv", *options]
    assert main(command) == 2
    assert f"'{lost}' is not the column that OUTPUT calls so" in capsys.readouterr().err
    assert main([*command, "--keep", "note"]) == 0
    assert pd.read_csv("out.csv")["note"].tolist() == ["a"]


def test_ids_are_what_the_cells_hold_and_never_the_number_of_a_row(folder):
    Path("in.csv").write_text("id,smiles,act\n0,CCO,1\n,CCC,2\n 1 ,CCN,3\n")
    assert main(["predict", "model.joblib", "in.csv", "out.csv"]) == 0
    assert pd.read_csv("out.csv", dtype=str, keep_default_na=False)["id"].tolist() == ["0", "", " 1 "]
    assert main(["featurize", "in.csv", "rows.csv", "--model", "ecfp", "--n-bits", "8"]) == 0
    assert pd.read_csv("rows.csv", dtype=str, keep_default_na=False)["id"].tolist() == ["0", "", " 1 "]


def test_the_column_of_the_molecules_is_not_that_of_their_names(folder, capsys):
    Path("in.csv").write_text("smiles,act\nCCO,1\n")
    assert main(["predict", "model.joblib", "in.csv", "out.csv", "--id-column", "smiles"]) == 2
    assert "the column of the names, 'smiles', is that of the structures" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["predictions.xlsx", "o.txt"])
def test_no_folder_is_called_like_a_file(folder, output, capsys):
    Path("in.smi").write_text("CCO\n")
    assert main(["predict", "model.joblib", "in.smi", output]) == 2
    assert f"{output}: is the name of a file" in capsys.readouterr().err
    Path(output).write_text("")
    assert main(["predict", "model.joblib", "in.smi", output]) == 2
    assert f"{output}: is a file; OUTPUT of a library is a folder" in capsys.readouterr().err


def test_a_model_of_something_else_than_molecules_is_named(folder, capsys):
    Path("in.smi").write_text("CCO\n")
    joblib.dump(Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), "numbers.joblib")
    for output in ("out.csv", "out"):
        assert main(["predict", "numbers.joblib", "in.smi", output]) == 2
        error = capsys.readouterr().err
        assert "numbers.joblib: the model does not take a list of SMILES: Expected 2D array" in error
        assert error.count("\n") == 1
        assert not Path(output).exists()


def test_classes_are_written_alike_with_and_without_failures(folder):
    model = SkipFailures(make_pipeline(ECFPFeaturizer(n_bits=64, errors="nan"), LogisticRegression()))
    joblib.dump(model.fit(["CO", "CC", "CN", "CCO"], [1, 0, 0, 1]), "classes.joblib")
    for last, cell in (("CCCO", "1"), ("C(", "")):
        Path("in.csv").write_text(f"smiles\nCCO\nCC\n{last}\n")
        assert main(["predict", "classes.joblib", "in.csv", "out.csv"]) == 0
        found = pd.read_csv("out.csv", dtype=str, keep_default_na=False)
        assert found["prediction"].tolist() == ["1", "0", cell]
