"""The commands on libraries say what they did, and what does not go with --dask."""

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skmol3d import ECFPFeaturizer
from skmol3d.cli import library, main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four molecules in a file, a model, and a cluster of this process for every address."""
    from dask.distributed import Client

    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.smi").write_text("CCO one\nC( two\nCCN three\nCCCC four\n")
    model = make_pipeline(ECFPFeaturizer(n_bits=64), Ridge()).fit(["CO", "CC", "CN"], [3.0, 1.0, 2.0])
    joblib.dump(model, "model.joblib")
    with Client(
        processes=False, n_workers=1, threads_per_worker=1, dashboard_address=":0", silence_logs="ERROR"
    ) as client:
        settings = library.settings
        monkeypatch.setattr(library, "settings", lambda args: settings(args) | {"scheduler": client})
        yield tmp_path


def test_a_library_is_featurized_and_screened(folder, capsys):
    command = ["featurize", "in.smi", "rows", "--dask", "local:1", "--model", "ecfp", "--n-bits", "64"]
    assert main(command) == 0
    error = capsys.readouterr().err
    assert "3 of 4 molecules: rows\n1 failed (rows/_failures.csv lists all):\n  [1] two: 'C(': not a" in error
    assert pd.read_parquet("rows").shape == (4, 66)
    assert main([*command, "--dtype", "float16"]) == 2
    assert "rows: what is there was made with another dtype" in capsys.readouterr().err
    assert main(["predict", "model.joblib", "in.smi", "hits", "--top", "1"]) == 0
    assert pd.read_parquet("hits")["id"].tolist() == ["one"]
    assert "3 of 4 molecules: hits" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [["--format", "smi"], ["--crystals"], ["--failures", "x.csv"], ["--errors", "raise"]]
)
def test_what_does_not_go_with_dask_is_said(options, folder, capsys):
    assert main(["featurize", "in.smi", "rows", "--dask", "local", *options]) == 2
    assert f"{' '.join(options[:1])}" in capsys.readouterr().err


def test_where_the_help_of_a_library_is(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["featurize", "--dask", "local", "--help"])
    shown = capsys.readouterr().out
    assert "--partition-size" in shown
    assert "--crystals " not in shown.split("More:")[0]
    assert len(shown.splitlines()) <= 40
