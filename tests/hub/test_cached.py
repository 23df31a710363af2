"""Downloaded checkpoints among those of other programs."""

import hashlib
import json

import pytest
from huggingface_hub import constants

from skmol3d.hub.cached import downloaded, forget

OURS = {
    "format": "skmol3d-encoder",
    "encoder": "rem3di",
    "version": 3,
    "config": {},
    "weights_sha256": "0" * 64,
}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def repository(cache, name, config, commit=None):
    commit = commit or hashlib.sha1(name.encode()).hexdigest()
    folder = cache / f"models--{name.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    if config is not None:
        (snapshot / "config.json").write_text(config)
    (snapshot / "model.safetensors").write_bytes(b"weights")


def test_without_a_folder_nothing_was_downloaded(cache):
    assert downloaded() == {}


def test_only_ours_are_found_and_forgotten(cache):
    repository(cache, "somebody/second", json.dumps(OURS))
    repository(cache, "else/bert", json.dumps({"model_type": "bert"}))
    repository(cache, "else/no-config", None)
    repository(cache, "else/broken", "{")
    repository(cache, "a/first", json.dumps(OURS))
    found = downloaded()
    assert list(found) == ["a/first", "somebody/second"]
    forget({"a/first": found["a/first"]})
    assert list(downloaded()) == ["somebody/second"]
    forget({})
    left = sorted(path.name for path in cache.glob("models--*"))
    assert left == [
        "models--else--bert",
        "models--else--broken",
        "models--else--no-config",
        "models--somebody--second",
    ]


def test_of_repositories_with_one_commit_only_those_named_are_forgotten(cache):
    for name in ("a/copy", "b/ours", "c/copy"):
        repository(cache, name, json.dumps(OURS), commit="0" * 40)
    forget({"b/ours": downloaded()["b/ours"]})
    assert list(downloaded()) == ["a/copy", "c/copy"]
    forget(downloaded())
    assert downloaded() == {}
