"""Publishing to and loading from a Hub served locally."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest
from hub_helpers import CARD, Bomb, make_encoder, same
from hub_server import TOKEN, HubServer, Repository
from torch import nn

from skmol3d.hub import CheckpointError, from_pretrained, push_to_hub, resolve, save_pretrained

# huggingface_hub 2.4 uploads LFS files with an argument that its own HTTP client deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")


def test_push_and_load_back(
    encoder: nn.Module, server: HubServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    published = server.repositories["me/tiny"]
    assert not published.private
    assert published.branches["main"] == commit
    assert set(published.files()) == {
        ".gitattributes",
        "README.md",
        "config.json",
        "model.safetensors",
    }
    assert len(published.commits) == 2  # its creation, and everything else at once
    assert ("PUT", f"Bearer {TOKEN}") not in {(method, token) for method, _, token in server.requests}

    loaded = from_pretrained("me/tiny", revision=commit)
    assert same(loaded, encoder)
    folder = resolve("me/tiny")
    assert folder.name == commit
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    # A full hash in the cache: not a single request, even with no network at all.
    server.requests.clear()
    request.getfixturevalue("no_network")
    assert same(from_pretrained("me/tiny", revision=commit), encoder)
    assert same(from_pretrained("me/tiny", local_files_only=True), encoder)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert same(from_pretrained("me/tiny"), encoder)
    assert server.requests == []


def test_names_of_words_travel(encoder: nn.Module, server: HubServer) -> None:
    push_to_hub(encoder, "me/tiny", CARD, token=TOKEN, words="column,smarts\n")
    assert (resolve("me/tiny") / "words.csv").read_text() == "column,smarts\n"
    # Those of an encoder that was replaced are not the new one's.
    push_to_hub(make_encoder(1), "me/tiny", CARD, token=TOKEN)
    assert "words.csv" not in server.repositories["me/tiny"].files()
    assert "model.safetensors" in server.repositories["me/tiny"].files()


def test_a_branch_is_followed_and_a_commit_is_not(encoder: nn.Module, server: HubServer) -> None:
    first = push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    assert same(from_pretrained("me/tiny"), encoder)
    second = push_to_hub(make_encoder(1), "me/tiny", CARD, token=TOKEN)
    assert first != second
    assert same(from_pretrained("me/tiny"), make_encoder(1))
    assert same(from_pretrained("me/tiny", revision="main"), make_encoder(1))
    assert same(from_pretrained("me/tiny", revision=first), encoder)
    # Pushing what is there already makes no commit.
    assert push_to_hub(make_encoder(1), "me/tiny", CARD, token=TOKEN) == second


def test_cache_dir(encoder: nn.Module, server: HubServer, tmp_path: Path) -> None:
    push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    mine = tmp_path / "mine"
    assert mine in resolve("me/tiny", cache_dir=mine).parents
    assert same(from_pretrained("me/tiny", cache_dir=str(mine), local_files_only=True), encoder)
    with pytest.raises(CheckpointError, match="me/tiny: not in the cache"):
        from_pretrained("me/tiny", local_files_only=True)


def test_private_repositories_need_the_token(
    encoder: nn.Module, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_to_hub(encoder, "me/secret", CARD, token=TOKEN, private=True)
    with pytest.raises(CheckpointError, match=r"me/secret: .*a private one needs token or HF_TOKEN"):
        from_pretrained("me/secret")
    with pytest.raises(CheckpointError, match=r"me/secret: .* refused the access token \(401\)"):
        from_pretrained("me/secret", token="hf_wrong")
    server.requests.clear()
    assert same(from_pretrained("me/secret", token=TOKEN), encoder)
    # The Hub sees the token, the store of large files (whose paths are hashes) must not.
    tokens = {token for _, path, token in server.requests if path.count("/") > 1}
    assert tokens == {f"Bearer {TOKEN}"}
    assert [token for _, path, token in server.requests if path.count("/") == 1] == [None]


def test_a_refused_token_is_not_hidden_by_the_cache(encoder: nn.Module, server: HubServer) -> None:
    push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    from_pretrained("me/tiny")
    with pytest.raises(CheckpointError, match=r"me/tiny: .* refused the access token \(401\)"):
        from_pretrained("me/tiny", token="hf_wrong")


def test_token_from_the_environment(
    encoder: nn.Module, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    push_to_hub(encoder, "me/secret", CARD, private=True)
    assert same(from_pretrained("me/secret"), encoder)


@pytest.mark.parametrize("token", ["hf_wrong", None])
def test_pushing_needs_a_valid_token(encoder: nn.Module, server: HubServer, token: str | None) -> None:
    with pytest.raises(CheckpointError, match=r"me/tiny: not uploaded: .*token"):
        push_to_hub(encoder, "me/tiny", CARD, token=token)
    assert server.repositories == {}


def test_failed_transfer_of_the_weights(encoder: nn.Module, server: HubServer) -> None:
    server.read_only_store = True
    with pytest.raises(CheckpointError, match=r"me/tiny: not uploaded: .*model\.safetensors.*\(403\)"):
        push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    assert set(server.repositories["me/tiny"].files()) == {".gitattributes"}


def test_pushing_to_a_bad_name(encoder: nn.Module, server: HubServer) -> None:
    with pytest.raises(CheckpointError, match=r"a/b/c: not uploaded: HFValidationError"):
        push_to_hub(encoder, "a/b/c", CARD, token=TOKEN)


def test_unknown_repository_and_revision(encoder: nn.Module, server: HubServer) -> None:
    commit = push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    for token in (None, TOKEN):
        with pytest.raises(CheckpointError, match=r"me/typo: no such folder, and no such repository on http"):
            from_pretrained("me/typo", token=token)
    for revision in ("v2", "0" * 40, commit[:7]):
        with pytest.raises(CheckpointError, match=rf"me/tiny \(revision {revision}\): .*no such revision"):
            from_pretrained("me/tiny", revision=revision)


def test_repository_of_something_else(server: HubServer, tmp_path: Path, encoder: nn.Module) -> None:
    push_to_hub(encoder, "me/other", CARD, token=TOKEN)
    repository = server.repositories["me/other"]
    bomb = pickle.dumps(Bomb(tmp_path / "exploded"))
    del repository.files()["model.safetensors"]
    repository.commit({"pytorch_model.bin": bomb})
    with pytest.raises(CheckpointError, match=r"me/other: the repository has no model\.safetensors"):
        from_pretrained("me/other")
    repository.commit({"model.safetensors": bomb})
    with pytest.raises(CheckpointError, match=r"model\.safetensors: truncated or altered"):
        from_pretrained("me/other")
    assert not any("pytorch_model.bin" in path for _, path, _ in server.requests)
    assert not (tmp_path / "exploded").exists()


def test_offline_with_nothing_cached(
    server: HubServer, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    advice = r"me/tiny.*: not in the cache \(.*\), and the network is off\. Load it once"
    with pytest.raises(CheckpointError, match=advice):
        from_pretrained("me/tiny", local_files_only=True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=advice):
        from_pretrained("me/tiny", revision="0" * 40)


@pytest.mark.parametrize(("how", "reason"), [("down", "answered 503"), ("gone", "cannot be reached")])
def test_unreachable_hub_fails_at_once_or_uses_the_cache(
    encoder: nn.Module, server: HubServer, how: str, reason: str
) -> None:
    commit = push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    from_pretrained("me/tiny")
    server.requests.clear()
    if how == "down":
        server.down = True
    else:
        server.close()
    with pytest.warns(UserWarning, match=rf"me/tiny: .* {reason}.*; using commit {commit} from the cache"):
        loaded = from_pretrained("me/tiny")
    assert same(loaded, encoder)
    for revision in (None, "0" * 40):
        with pytest.raises(CheckpointError, match=rf"me/uncached.*: .* {reason}"):
            from_pretrained("me/uncached", revision=revision)
    with pytest.raises(CheckpointError, match=rf"me/tiny: not uploaded: .* {reason}"):
        push_to_hub(encoder, "me/tiny", CARD, token=TOKEN)
    assert len(server.requests) == (4 if how == "down" else 0)  # one question each, no second tries


@pytest.mark.slow
def test_environment_variables(encoder: nn.Module, tmp_path: Path) -> None:
    code = "from skmol3d.hub import resolve; print(resolve('me/secret'))"
    with HubServer() as server:
        home = tmp_path / "home"
        environment = os.environ | {
            "HF_ENDPOINT": server.url,
            "HF_HOME": str(home),
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
        }
        environment.pop("HF_HUB_CACHE", None)
        folder = save_pretrained(encoder, tmp_path / "checkpoint", CARD)
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        server.repositories["me/secret"] = Repository(private=True)
        server.repositories["me/secret"].commit(files)
        outputs = []
        for offline in ("0", "1"):
            server.requests.clear()
            run = subprocess.run(
                [sys.executable, "-c", code],
                env=environment | {"HF_HUB_OFFLINE": offline},
                capture_output=True,
                text=True,
                check=True,
            )
            outputs.append(Path(run.stdout.strip()))
        assert server.requests == []
    assert outputs[0] == outputs[1]
    assert home in outputs[0].parents
    assert same(from_pretrained(outputs[0]), encoder)
