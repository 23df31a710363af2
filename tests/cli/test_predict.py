"""A library is screened on the command line."""

import joblib
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skmol3d import ECFPFeaturizer
from skmol3d.cli import main


def test_the_best_of_a_library_are_found(tmp_path, monkeypatch, in_process, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.smi").write_text("CCO one\nC( two\nCCN three\nCCCC four\n")
    model = make_pipeline(ECFPFeaturizer(n_bits=64), Ridge()).fit(["CO", "CC", "CN"], [3.0, 1.0, 2.0])
    joblib.dump(model, "model.joblib")
    assert main(["predict", "model.joblib", "in.smi", "hits", "--top", "1"]) == 0
    assert pd.read_parquet("hits")["id"].tolist() == ["one"]
    assert "3 of 4 molecules: hits\n1 failed" in capsys.readouterr().err
    assert main(["predict", "model.joblib", "in.smi", "hits", "--top", "1", "--by", "pki"]) == 2
    assert "the model gives no column 'pki'; there are: prediction" in capsys.readouterr().err
