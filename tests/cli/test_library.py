"""Libraries on the command line: what was done, and what does not go with --dask."""

import pandas as pd
import pytest

from skmol3d.cli import main


@pytest.fixture
def folder(tmp_path, monkeypatch, in_process):
    """Four molecules in a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.smi").write_text("CCO one\nC( two\nCCN three\nCCCC four\n")
    return tmp_path


def test_a_library_is_featurized(folder, capsys):
    command = ["featurize", "in.smi", "rows", "--dask", "local:1", "--model", "ecfp", "--n-bits", "64"]
    assert main(command) == 0
    error = capsys.readouterr().err
    assert "3 of 4 molecules: rows\n1 failed (rows/_failures.csv lists all):\n  [1] two: 'C(': not a" in error
    assert pd.read_parquet("rows").shape == (4, 66)
    assert main([*command, "--dtype", "float16"]) == 2
    assert "rows: what is there was made with another dtype" in capsys.readouterr().err


def test_a_library_of_failures_alone_is_one(folder, capsys):
    (folder / "in.smi").write_text("C(\n")
    assert main(["featurize", "in.smi", "rows", "--dask", "local:1", "--model", "ecfp"]) == 1
    assert "0 of 1 molecules: rows" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--format", "smi"], ["--crystals"], ["--failures", "x.csv"], ["--errors", "raise"]]
)
def test_what_does_not_go_with_dask_is_said(options, folder, capsys):
    assert main(["featurize", "in.smi", "rows", "--dask", "local", *options]) == 2
    assert f"{' '.join(options[:1])}" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--dtype", "float32"], ["--partition-size", "10"]])
def test_what_goes_with_dask_alone_is_said(options, folder, capsys):
    assert main(["featurize", "in.smi", "rows.npy", *options]) == 2
    assert f"skmol3d featurize: {options[0]}: only with --dask\n" in capsys.readouterr().err


def test_where_the_help_of_a_library_is(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["featurize", "--dask", "local", "--help"])
    shown = capsys.readouterr().out
    assert "--partition-size" in shown
    assert "--crystals " not in shown.split("More:")[0]
    assert len(shown.splitlines()) <= 40


def test_a_folder_is_not_called_like_a_file_by_mistake(folder, capsys):
    command = ["featurize", "in.smi", "rows.xlsx", "--dask", "local:1", "--model", "ecfp", "--n-bits", "8"]
    assert main(command) == 2
    assert "rows.xlsx: is the name of a file (a folder: rows.xlsx/); OUTPUT" in capsys.readouterr().err
    command[2] = "rows.v2/"
    assert main(command) == 0
    command[2] = "rows.v2"  # which is there now
    assert main(command) == 0
