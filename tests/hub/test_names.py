"""Bundled names, folders, and what is neither."""

import shutil
from pathlib import Path

import pytest
import torch
from hub_helpers import CARD, WATER, make_encoder, same
from torch import nn

from skmol3d import hub
from skmol3d.hub import CheckpointError, from_pretrained, names, resolve, save_pretrained


def test_names_resolve_in_order_without_the_network(
    encoder: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    monkeypatch.setattr(names, "CHECKPOINTS", tmp_path / "shipped")
    monkeypatch.chdir(tmp_path)
    shipped = save_pretrained(encoder, tmp_path / "shipped" / "tiny", CARD)
    assert hub.bundled() == ["tiny"]
    save_pretrained(make_encoder(1), "tiny", CARD)
    save_pretrained(make_encoder(2), "owner/name", CARD)
    assert resolve("tiny") == shipped
    assert same(from_pretrained("tiny"), encoder)
    assert same(from_pretrained("./tiny"), make_encoder(1))
    assert same(from_pretrained("owner/name"), make_encoder(2))
    assert same(from_pretrained(Path("owner/name")), make_encoder(2))


@pytest.mark.parametrize(
    "name",
    [
        "rem3di-smal",
        "",
        "./foo",
        "../foo/bar",
        "/no/such/folder",
        "C:\\models\\foo",
        "a/b/c",
        "~/no-such",
        "a b/c",
        "a/..",
    ],
)
def test_unknown_names_list_the_bundled_ones(
    name: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    monkeypatch.setattr(names, "CHECKPOINTS", tmp_path / "shipped")
    shutil.copytree(folder, tmp_path / "shipped" / "tiny")
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    with pytest.raises(CheckpointError, match=r"neither a bundled checkpoint \(tiny\)"):
        from_pretrained(name)


def test_folders_have_no_revisions(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="revision='main' needs a Hub repository"):
        resolve(folder, revision="main")


def test_what_is_bundled_loads(no_network: None) -> None:
    for name in hub.bundled():
        loaded = from_pretrained(name)
        given = torch.zeros(1, loaded.config.columns) if name == "crystal-energy-small" else WATER
        assert loaded(given).shape == (1, sum(loaded.output_blocks().values()))
