"""`skmol3d convert`: a file that somebody else trained becomes a name that featurizers take."""

import json

import numpy as np
from mace_examples import mace_file

from skmol3d import PotentialFeaturizer
from skmol3d.cli import main


def test_the_command_converts_and_featurizers_take_the_folder(tmp_path, capsys):
    file = mace_file(tmp_path / "mine.model")
    assert main(["convert", str(file), str(tmp_path / "made")]) == 2
    assert "--trust-pickle" in capsys.readouterr().err
    assert main(["convert", str(file), str(tmp_path / "made"), "--trust-pickle"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'made'}: potential (energy 1) of 3 elements\n"
    rows = PotentialFeaturizer(str(tmp_path / "made"), pooling=("mean", "sum"), errors="nan", device="cpu")
    found = rows.fit_transform(["CCO", "CN"])
    assert found.shape == (2, 32)
    assert np.isfinite(found[0]).all()
    assert "N: not among the elements the model knows (H, C, O)" in rows.failures_["reason"][0]
    card = (tmp_path / "made/README.md").read_text()
    assert "license: other" in card
    assert "**Elements.** H, C, O. Transition metals: none." in card
    assert json.loads((tmp_path / "made/config.json").read_text())["config"]["backbone"]["kind"] == "mace"
