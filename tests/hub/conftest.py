"""Checkpoint folders, a local Hub, and a network that is off."""

import socket
import time
from pathlib import Path

import huggingface_hub.constants
import pytest
from hub_helpers import CARD, make_encoder
from hub_server import HubServer
from torch import nn

from skmol3d.hub import save_pretrained


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
