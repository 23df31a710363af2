"""Checkpoints: folders, bundled names and a Hub served locally."""

import hashlib
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
import safetensors.torch
import torch
from hub_server import TOKEN, HubServer, Repository
from torch import nn

from skmol3d import hub
from skmol3d.encoders import (
    REM3DI,
    AtomBatch,
    EquivariantTransformerConfig,
    Potential,
    PotentialConfig,
    REM3DIConfig,
)
from skmol3d.hub import CheckpointError, fingerprint, from_pretrained, push_to_hub, resolve, save_pretrained

# huggingface_hub 2.4 uploads LFS files with an argument that its own HTTP client deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw bytes:DeprecationWarning")

CARD = "# A tiny encoder\n\nTrained on nothing.\n"
BACKBONE = EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=4)
TINY = REM3DIConfig(backbone=BACKBONE, width=8, layers=1, heads=2, pair_width=4, radial=4, chiral=2)
WATER = AtomBatch.from_arrays(
    [([8, 1, 1], np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]]), 0.0, None)]
)


def make_encoder(seed: int = 0) -> nn.Module:
    """A tiny REM3DI with random weights and random buffers."""
    torch.manual_seed(seed)
    encoder = REM3DI(TINY)
    encoder.scalar_mean.normal_()
    return encoder.eval()


@pytest.fixture
def encoder() -> nn.Module:
    return make_encoder()


@pytest.fixture
def folder(encoder: nn.Module, tmp_path: Path) -> Path:
    return save_pretrained(encoder, tmp_path / "checkpoint", CARD)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test at any attempt to look up or reach another machine."""

    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail(f"network access: {args}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    for name in ("getaddrinfo", "create_connection", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse)


def use_hub(monkeypatch: pytest.MonkeyPatch, url: str, cache: Path) -> None:
    # huggingface_hub reads the environment once, at import; xet needs servers of its own, LFS does not.
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(cache / "no-stored-login"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)

    def refuse(seconds: float) -> None:
        pytest.fail(f"waited {seconds} s to try again")

    monkeypatch.setattr(time, "sleep", refuse)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    with HubServer() as server:
        use_hub(monkeypatch, server.url, tmp_path / "cache")
        yield server


def same(a: nn.Module, b: nn.Module) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def replace_weights(folder: Path, content: bytes) -> None:
    """Other weights under a matching hash, as only their author could make them."""
    (folder / "model.safetensors").write_bytes(content)
    edit_config(folder, weights_sha256=hashlib.sha256(content).hexdigest())


# Folders


def test_round_trip(encoder: nn.Module, folder: Path) -> None:
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    loaded = from_pretrained(folder)
    assert type(loaded) is REM3DI
    assert loaded.config == TINY
    assert not any(module.training for module in loaded.modules())
    assert same(loaded, encoder)
    torch.testing.assert_close(loaded(WATER), encoder(WATER), rtol=0, atol=0)


def test_round_trip_of_a_potential(tmp_path: Path) -> None:
    potential = Potential(PotentialConfig(BACKBONE))
    potential.element_energy[8] = -2041.3
    loaded = from_pretrained(str(save_pretrained(potential, tmp_path, CARD)))
    assert same(loaded, potential)


def test_callers_share_nothing(folder: Path) -> None:
    first, second = from_pretrained(folder), from_pretrained(folder)
    with torch.no_grad():
        for value in first.state_dict().values():
            value.zero_()
    assert not same(first, second)
    assert same(second, from_pretrained(folder))


def test_loading_leaves_random_numbers_and_defaults_alone(folder: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    torch.set_default_dtype(torch.float64)
    try:
        loaded = from_pretrained(folder)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.rand(3), expected)
    assert {v.dtype for v in loaded.state_dict().values() if v.is_floating_point()} == {torch.float32}


def test_half_precision_storage(encoder: nn.Module, folder: Path, tmp_path: Path) -> None:
    half = save_pretrained(encoder, tmp_path / "half", CARD, half=True)
    assert (half / "model.safetensors").stat().st_size < 0.7 * (folder / "model.safetensors").stat().st_size
    loaded = from_pretrained(half)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    for name, value in encoder.named_parameters():
        assert torch.equal(loaded.state_dict()[name], value.half().float()), name
    for name in encoder.state_dict().keys() - dict(encoder.named_parameters()).keys():
        assert torch.equal(loaded.state_dict()[name], encoder.state_dict()[name]), name


@pytest.mark.parametrize(("value", "half"), [(1e5, True), (float("nan"), False), (float("inf"), False)])
def test_weights_that_are_not_finite_are_not_saved(
    encoder: nn.Module, folder: Path, value: float, half: bool
) -> None:
    before = fingerprint(folder)
    with torch.no_grad():
        encoder.norm.weight[0] = value
    with pytest.raises(CheckpointError, match=r"model\.safetensors: not written: norm\.weight is not finite"):
        save_pretrained(encoder, folder, CARD, half=half)
    assert fingerprint(folder) == before


def test_interrupted_save_leaves_the_old_checkpoint(
    encoder: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def fail_on_config(self: Path, content: bytes) -> int:
        if self.name == "config.json":
            raise OSError("no space left on device")
        return write(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", fail_on_config)
        with pytest.raises(OSError, match="no space"):
            save_pretrained(make_encoder(1), folder, "other")
    assert same(from_pretrained(folder), encoder)
    assert len(list(folder.iterdir())) == 3


def test_only_registered_encoders_are_saved(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"Linear is none of the registered encoders: potential, rem3di"):
        save_pretrained(nn.Linear(1, 1), tmp_path, CARD)


def test_model_card_metadata(encoder: nn.Module, folder: Path, tmp_path: Path) -> None:
    card = huggingface_hub.ModelCard.load(folder / "README.md")
    assert card.data.library_name == "skmol3d"
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "feature-extraction"
    assert "rem3di" in card.data.tags
    assert card.text.strip() == CARD.strip()
    own = "---\nlicense: apache-2.0\n---\n# Mine\n"
    assert (save_pretrained(encoder, tmp_path, own) / "README.md").read_text() == own


def test_fingerprint_follows_what_the_encoder_computes(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    (copy / "README.md").write_text("another card")
    assert fingerprint(copy) == fingerprint(folder)
    config = json.loads((folder / "config.json").read_text())
    edit_config(copy, config=config["config"] | {"radial_length": 16.0})
    other = save_pretrained(make_encoder(1), tmp_path / "other", CARD)
    assert len({fingerprint(folder), fingerprint(copy), fingerprint(other)}) == 3


# What is wrong with a folder


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
        ({"encoder": "bert"}, "unknown encoder 'bert'; this skmol3d knows potential, rem3di"),
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
        ({"config": {"width": 7, "heads": 2}}, "must be a multiple of heads"),
        ({"config": {"heads": 0}}, "no rem3di .* can be built .*ZeroDivisionError"),
        ({"config": {"width": -8}}, "no rem3di .* can be built .*RuntimeError"),
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


def test_older_versions_are_upgraded(
    encoder: nn.Module, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((folder / "config.json").read_text())["config"]
    config["channels"] = config.pop("width")
    edit_config(folder, config=config)
    state = encoder.state_dict()
    state["final.weight"] = state.pop("norm.weight")
    replace_weights(folder, safetensors.torch.save(state))

    def upgrade(cls: type, config: dict, state: dict, version: int) -> tuple[dict, dict]:
        assert version == 1
        config["width"] = config.pop("channels")
        state["norm.weight"] = state.pop("final.weight")
        return config, state

    monkeypatch.setattr(REM3DI, "version", 2)
    monkeypatch.setattr(REM3DI, "upgrade", classmethod(upgrade))
    assert same(from_pretrained(folder), encoder)
    # The upgrade meets a config that no version ever had.
    edit_config(folder, config={})
    with pytest.raises(CheckpointError, match=r"config\.json: no rem3di \(version 1\) .*KeyError"):
        from_pretrained(folder)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


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


# Names


def test_names_resolve_in_order_without_the_network(
    encoder: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    monkeypatch.setattr(hub, "CHECKPOINTS", tmp_path / "shipped")
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
    monkeypatch.setattr(hub, "CHECKPOINTS", tmp_path / "shipped")
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
        assert loaded(WATER).shape == (1, sum(loaded.output_blocks().values()))


# The Hub


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
