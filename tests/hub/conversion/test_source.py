"""Nothing is unpickled without consent, and consent says what it risks."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from hub_helpers import Bomb
from mace_examples import mace_model

from skmol3d import PotentialFeaturizer
from skmol3d.hub import CheckpointError, convert


def test_a_pickle_is_not_loaded_without_consent_and_the_message_says_what_it_risks(tmp_path):
    file, mark = tmp_path / "evil.model", tmp_path / "it_ran"
    torch.save({"model": Bomb(mark)}, file)
    with pytest.raises(CheckpointError, match=r"not loaded: .*run whatever code .*trust_pickle=True"):
        convert(file, tmp_path / "made")
    assert not mark.exists()
    assert not (tmp_path / "made").exists()
    with pytest.raises(CheckpointError, match="a dict; only models of mace-torch's ScaleShiftMACE"):
        convert(file, tmp_path / "made", trust_pickle=True)
    assert mark.exists()  # what consent means


def test_using_mace_does_not_switch_off_torchs_guard_against_pickles(tmp_path):
    mace_model()
    assert "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD" not in os.environ
    torch.save(Bomb(tmp_path / "it_ran"), tmp_path / "evil.pt")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "evil.pt")


def test_a_file_in_place_of_a_folder_is_pointed_to_the_converter(tmp_path):
    Path(tmp_path / "x.model").write_bytes(b"")
    with pytest.raises(CheckpointError, match="a file, but a checkpoint is a folder: `skmol3d convert`"):
        PotentialFeaturizer(str(tmp_path / "x.model")).fit(["C"])
    with pytest.raises(CheckpointError, match="cannot be read as a file of torch"):
        convert(tmp_path / "x.model", tmp_path / "made")


def test_options_of_another_kind_of_model_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "encoder.pth").touch()
    torch.save({"weight": torch.zeros(3)}, tmp_path / "tensors.pt")
    torch.save(Bomb(tmp_path / "it_ran"), tmp_path / "x.model")
    for name, options, message in (
        ("folder", {"layers": [0], "head": "mine"}, "a REM3DI has no layers=, head="),
        ("tensors.pt", {"head": "mine"}, "an AIMNet2 has no head="),
        ("x.model", {"backbone": "mace-off", "trust_pickle": True}, "a MACE has no backbone="),
    ):
        with pytest.raises(CheckpointError, match=message):
            convert(tmp_path / name, tmp_path / "made", **options)


@pytest.mark.parametrize(
    "content", [b"hello", b"<!DOCTYPE html>", b"version https://git-lfs.github.com/spec/v1"]
)
def test_what_is_no_pickle_is_not_called_one(content, tmp_path):
    (tmp_path / "x.model").write_bytes(content)
    with pytest.raises(
        CheckpointError, match="cannot be read as a file of torch: it begins with b'"
    ) as error:
        convert(tmp_path / "x.model", tmp_path / "made")
    assert "trust_pickle" not in str(error.value)
