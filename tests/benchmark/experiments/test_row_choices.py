"""The choices in a row that were made for its heads."""

import numpy as np
import pandas as pd
import pytest
from rdkit import Chem
from rdkit.Chem.Descriptors import MolWt
from sklearn.linear_model import Ridge

from skmol3d.benchmark.experiments import row_choices
from skmol3d.datasets import load_small_organics


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    smiles = list(load_small_organics().frame["smiles"].sample(70, random_state=0))
    y = [MolWt(Chem.MolFromSmiles(text)) for text in smiles]
    made = pd.DataFrame({"smiles": smiles, "y": y, "split": "train"})
    made.loc[len(made)] = ["no molecule", np.nan, "test"]
    made.loc[len(made)] = ["[U]", 1.0, "train"]  # has no row
    path = tmp_path_factory.mktemp("tasks") / "weight.csv"
    made.to_csv(path, index=False)
    return path


def test_errors_are_relative_and_test_rows_are_not_read(table, capsys):
    row_choices.main([str(table), "--molecules", "71", "--trees", "10"])
    first, second = capsys.readouterr().out.strip().split("\n\n")
    for part, columns in ((first, 3), (second, len(row_choices.SCALES))):
        task, mean = (line.strip("| ").split(" | ") for line in part.splitlines()[2:])
        assert task[:2] == ["weight", "70"]  # one has no row
        assert len(task) == 3 + columns
        assert task[3:] == mean[-columns:]  # of one task
    # A weight is a sum over atoms: counts of REM3DI, and RDKit's weight as it is estimated, know it.
    fingerprints, counts, trees, _ = map(float, first.splitlines()[2].strip("| ").split(" | ")[2:])
    assert fingerprints > 1
    assert trees < counts < 1.1


def test_a_scale_is_a_penalty(table):
    frame = pd.read_csv(table).query("split == 'train'")
    _, rows, kept = row_choices.rows_of(frame, "rem3di-small")
    assert len(kept) == len(rows) == len(frame) - 1
    y = kept["y"].to_numpy(float)
    base, *relative = row_choices.ridges(rows, y)
    penalties = [(float(row_choices.SCALE) / scale) ** 2 for scale in row_choices.SCALES]
    wanted = [row_choices.error(Ridge(penalty), rows.astype(float), y) / base for penalty in penalties]
    np.testing.assert_allclose(relative, wanted, rtol=1e-3)
