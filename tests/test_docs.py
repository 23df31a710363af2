"""What the pages tell readers to run does run."""

import re
from pathlib import Path

import pandas as pd
import pytest

from skmol3d.datasets import load_small_organics

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:1 of . rows failed and are not in the score")
def test_the_page_on_data_of_your_own_leads_to_predictions(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    smiles = list(load_small_organics().data[:24])
    activity = [*map(str, map(len, smiles)), "1", "n.d."]
    table = pd.DataFrame({"smiles": [*smiles, "C(", "CCO"], "activity": activity, "weight": 1.5})
    table.to_csv("assay.csv", index=False)
    table[["smiles"]][-6:-1].to_csv("new.csv", index=False)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "own.md").read_text(encoding="utf-8"), re.DOTALL)
    names = {}
    for block in blocks:
        if "runs/" not in block:  # needs a training before
            exec(block, names)
    assert pd.read_csv("predictions.csv")["activity"].isna().tolist() == [False] * 4 + [True]
    assert "not a valid SMILES" in capsys.readouterr().out
    assert names["both"].fit_transform(table[["smiles", "weight"]][:3])[:, -1].tolist() == [1.5] * 3
