"""Checkpoint folders that must not load."""

import json
import math
import pickle
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hub_helpers import Bomb, edit_config, replace_weights, same
from torch import nn

from skmol3d.hub import CheckpointError, from_pretrained
from skmol3d.hub.folder import fingerprint


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
            "unknown encoder 'bert'; this skmol3d knows crystal-energy, mo3enet, mo3enet-pooled, potential, "
            "rem3di",
        ),
        ({"version": 99}, "version 99 of rem3di, but this skmol3d reads 1 to \\d+; install a newer skmol3d"),
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
        ({"config": {"chiral": 10**15}}, "no rem3di .* can be built .*more than the 7648 weights"),
        ({"config": {"width": 64_000}}, "more than the 7648 weights that the file holds"),
        ({"config": {"layers": 10**9}}, "more than the 7648 weights that the file holds"),
        ({"config": {"radial": 10**10}}, "more than the 7648 weights that the file holds"),
        ({"encoder": "../../x"}, "unknown encoder '../../x'"),
    ],
)
def test_invalid_config(folder: Path, changes: dict, message: str) -> None:
    edit_config(folder, **changes)
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{message}"):
        from_pretrained(folder)


@pytest.mark.parametrize("depth", [200, 900, 10_000])
@pytest.mark.parametrize("brackets", [("[", "]"), ('{"a": ', "}")])
def test_deeply_nested_config(folder: Path, depth: int, brackets: tuple[str, str]) -> None:
    path = folder / "config.json"
    nested = brackets[0] * depth + "1" + brackets[1] * depth
    path.write_text(path.read_text().replace('"config": {', f'"config": {{"x": {nested}, '))
    with pytest.raises(CheckpointError, match=r"config\.json: "):
        fingerprint(folder), from_pretrained(folder)  # the first may read what the second refuses


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


@pytest.mark.parametrize(
    ("dtype", "shape", "end"),
    [
        ("F32", [2**62, 8], 4),
        ("F32", [2**40], 2**42),
        ("F32", [2**62, 0], 0),
        ("F4", [8], 4),
        ("C64", [1], 8),
    ],
)
def test_header_that_promises_what_is_not_there(folder: Path, dtype: str, shape: list[int], end: int) -> None:
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).encode()
    replace_weights(folder, len(header).to_bytes(8, "little") + header + bytes(min(end, 8)))
    with pytest.raises(CheckpointError, match=r"model\.safetensors: "):
        from_pretrained(folder)


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_weights_that_are_not_finite(encoder: nn.Module, folder: Path, value: float) -> None:
    state = encoder.state_dict()
    state["project.weight"] = state["project.weight"].clone()
    state["project.weight"][0, 0] = value
    replace_weights(folder, safetensors.torch.save(state))
    with pytest.raises(CheckpointError, match=r"NaN or infinite weights in project\.weight"):
        from_pretrained(folder)


@pytest.mark.parametrize("name", ["../../x", "a/../b", "x" * 5000, "a/" + "x" * 300, "~nobody-here/x", "\0"])
def test_names_that_lead_nowhere(no_network: None, name: str) -> None:
    with pytest.raises(CheckpointError, match="is neither a bundled checkpoint"):
        from_pretrained(name)


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
