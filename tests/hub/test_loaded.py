"""Which commit a name stood for, as the Hub says it."""

import shutil
from pathlib import Path

import pytest
from hub_helpers import CARD, make_encoder
from hub_server import TOKEN, HubServer
from torch import nn

from skmol3d.hub import CheckpointError, find_checkpoint, fingerprint, loaded, push_to_hub

# huggingface_hub 2.4 uploads LFS files with an argument that its own HTTP client deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loaded, "_commits", {})


@pytest.mark.slow
def test_a_branch_is_asked_for_once_and_its_commit_is_kept(encoder: nn.Module, server: HubServer) -> None:
    first = push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    checkpoint, folder = find_checkpoint("me/tiny", None)
    assert (checkpoint.commit, checkpoint.fingerprint) == (first, fingerprint(folder))
    push_to_hub(make_encoder(1), "me/tiny", CARD, token=TOKEN)
    server.requests.clear()
    assert find_checkpoint("me/tiny", None) == (checkpoint, folder)
    assert server.requests == []


def test_the_cache_knows_the_commit_when_the_hub_is_gone(
    encoder: nn.Module, server: HubServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    first = push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    found = find_checkpoint("me/tiny", None)
    loaded._commits.clear()
    request.getfixturevalue("no_network")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert find_checkpoint("me/tiny", None) == found
    # A pipeline fitted at a commit asks for this commit, whatever the branch is now.
    assert find_checkpoint("me/tiny", None, commit=first) == found


def test_a_folder_has_no_commit_whatever_its_name(folder: Path, tmp_path: Path, no_network: None) -> None:
    looks_like_one = tmp_path / ("a" * 40)
    shutil.copytree(folder, looks_like_one)
    checkpoint, found = find_checkpoint(str(looks_like_one), None)
    assert (checkpoint.commit, found) == (None, looks_like_one)
    with pytest.raises(CheckpointError, match="needs a Hub repository"):
        find_checkpoint(str(folder), "main")
