"""Checkpoint folders that must not load."""

import json
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hub_helpers import Bomb, edit_config, replace_weights, same
from torch import nn

from skmol3d.hub import CheckpointError, from_pretrained


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"{folder / name}: no such file"):
        from_pretrained(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe{}", b'{"format": NaN}', b"[" * 100_000, b"[]", b'{"model_type": "bert"}'],
)
def test_config_that_is_not_ours(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)
    with pytest.raises(
        CheckpointError, match=r"config\.json: (cannot be read as JSON|not the config of a skmol3d)"
    ):
        from_pretrained(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"encoder": "bert"},
            "unknown encoder 'bert'; this skmol3d knows crystal-energy, mo3enet, potential, rem3di",
        ),
        ({"version": 99}, "version 99 of rem3di, but this skmol3d reads 1 to 1; install a newer skmol3d"),
        ({"version": 0}, "version 0 of rem3di"),
        ({"version": "1"}, "version: expected int"),
        ({"version": True}, "version: expected int"),
        ({"weights_sha256": None}, "weights_sha256: expected str"),
        ({"auto_map": "code.py"}, "unknown field.* 'auto_map'"),
        ({"config": []}, "config: expected dict"),
        ({"config": {"depth": 3}}, "unknown field.* 'depth'"),
        ({"config": {"radial_length": float("nan")}}, "cannot be read as JSON: NaN is not JSON"),
        ({"config": {"width": "8"}}, "width: expected int"),
        ({"config": {"width": 7, "heads": 2}}, "must be multiples of heads"),
        ({"config": {"heads": 0}}, "heads must be positive, got 0"),
        ({"config": {"chiral": 10**15}}, "no rem3di .* can be built .*RuntimeError"),
    ],
)
def test_invalid_config(folder: Path, changes: dict, message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{message}"):
        from_pretrained(folder)


def test_config_without_a_field(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["weights_sha256"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"config\.json: .*missing field.* 'weights_sha256'"):
        from_pretrained(folder)


@pytest.mark.parametrize("damage", ["truncated", "one bit", "longer"])
def test_damaged_weights(folder: Path, damage: str) -> None:
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "one bit":
        content[-1] ^= 1
    path.write_bytes({"truncated": content[:-1], "one bit": content, "longer": content + b"0"}[damage])
    with pytest.raises(CheckpointError, match=rf"{path}: truncated or altered: its SHA-256 is"):
        from_pretrained(folder)


@pytest.mark.parametrize("content", [b"", b"\0" * 20, b"\xff" * 64, b'\x02\0\0\0\0\0\0\0{"'])
def test_weights_that_are_not_safetensors(folder: Path, content: bytes) -> None:
    replace_weights(folder, content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not a safetensors file"):
        from_pretrained(folder)


def test_weights_of_another_shape_are_listed(encoder: nn.Module, folder: Path) -> None:
    state = encoder.state_dict()
    del state["norm.bias"]
    state["extra"] = torch.zeros(1)
    state["norm.weight"] = torch.zeros(3)
    state["project.weight"] = state["project.weight"].int()
    replace_weights(folder, safetensors.torch.save(state))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: does not fit the encoder") as caught:
        from_pretrained(folder)
    for part in (
        "extra is unknown",
        "norm.bias is missing",
        "norm.weight has shape [3] instead of [8]",
        "project.weight has type torch.int32 instead of torch.float32",
    ):
        assert part in str(caught.value)


def test_long_lists_of_mismatches_are_cut(encoder: nn.Module, folder: Path) -> None:
    replace_weights(folder, safetensors.torch.save({}))
    with pytest.raises(CheckpointError, match=f"; and {len(encoder.state_dict()) - 5} more$"):
        from_pretrained(folder)


def test_nothing_is_unpickled(encoder: nn.Module, folder: Path, tmp_path: Path) -> None:
    exploded = tmp_path / "exploded"
    bomb = pickle.dumps(Bomb(exploded))
    (folder / "pytorch_model.bin").write_bytes(bomb)
    assert same(from_pretrained(folder), encoder)
    replace_weights(folder, bomb)
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        from_pretrained(folder)
    assert not exploded.exists()
    pickle.loads(bomb)
    assert exploded.exists()  # the bomb was live
