"""Pinned files against mirrors made here: a folder over file:// and a server on 127.0.0.1."""

import hashlib
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from mirror_examples import COMMIT, CONTENTS, entry

from skmol3d import datasets
from skmol3d.datasets import download

pytestmark = pytest.mark.usefixtures("small_manifest")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture
def serve():
    """Start servers; give their addresses."""
    servers = []

    def start(handler):
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def files_in(folder):
    return [path.name for path in folder.rglob("*") if path.is_file()]


def served(mirror, name):
    return mirror / "owner/name" / COMMIT / "data" / name


def test_over_http(mirror, home, serve):
    address = serve(partial(_Quiet, directory=str(mirror)))
    assert datasets.fetch_esol(data_home=home, base_url=address + "/").target.tolist() == [-0.5, 2.0, -0.25]
    with pytest.raises(OSError, match=r"cannot download http://127.*404.*SKMOL3D_DATA_MIRROR"):
        datasets.fetch_esol(data_home=home / "other", base_url=address + "/nowhere")
    assert files_in(home / "other") == []


def test_cache_is_used_without_network(mirror, home, monkeypatch):
    datasets.fetch_esol(data_home=home, base_url=mirror.as_uri())

    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(download, "urlopen", refuse)
    assert len(datasets.fetch_esol(data_home=home).data) == 3
    assert len(datasets.fetch_esol(data_home=home, download_if_missing=False).data) == 3


def test_cache_is_itself_a_mirror(mirror, home, tmp_path):
    datasets.fetch_esol(data_home=home, base_url=mirror.as_uri())
    assert len(datasets.fetch_esol(data_home=tmp_path / "second", base_url=home.as_uri()).data) == 3


def test_environment_says_where(mirror, home, tmp_path, monkeypatch):
    monkeypatch.setenv("SKMOL3D_DATA_MIRROR", mirror.as_uri())
    monkeypatch.setenv("SKMOL3D_DATA", str(home))
    datasets.fetch_esol()
    assert files_in(home) == ["plain.csv"]
    with pytest.raises(OSError, match="nowhere"):  # the argument goes before the environment
        datasets.fetch_esol(data_home=tmp_path / "other", base_url=(tmp_path / "nowhere").as_uri())


def test_data_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert datasets.get_data_home() == tmp_path / ".cache/skmol3d"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert datasets.get_data_home() == tmp_path / "xdg/skmol3d"
    monkeypatch.setenv("SKMOL3D_DATA", str(tmp_path / "own"))
    assert datasets.get_data_home() == tmp_path / "own"
    assert datasets.get_data_home("~/mine") == tmp_path / "mine"


def test_missing_and_not_to_be_downloaded(mirror, home):
    with pytest.raises(OSError, match=r"plain\.csv is not in the cache, and download_if_missing is False"):
        datasets.fetch_esol(data_home=home, base_url=mirror.as_uri(), download_if_missing=False)
    assert not home.exists()


@pytest.mark.parametrize(
    "damaged",
    [
        CONTENTS["plain.csv"].replace(b"-0.5", b"-0.6"),
        CONTENTS["plain.csv"][:-5],
        CONTENTS["plain.csv"] + b"C,0\n" * 1000,
        b"",
    ],
    ids=["corrupted", "truncated", "too long", "empty"],
)
def test_wrong_content_is_refused_and_not_kept(mirror, home, damaged):
    served(mirror, "plain.csv").write_bytes(damaged)
    with pytest.raises(OSError, match=r"data/plain\.csv should have SHA-256") as caught:
        datasets.fetch_esol(data_home=home, base_url=mirror.as_uri())
    assert entry("plain.csv")["sha256"] in str(caught.value)  # what was expected
    kept = damaged[: len(CONTENTS["plain.csv"]) + 1]  # what was got: never more than one byte too many
    assert hashlib.sha256(kept).hexdigest() in str(caught.value)
    assert files_in(home) == []


def test_connection_lost_halfway(home, serve):
    class HangsUp(_Quiet):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENTS["plain.csv"])))
            self.end_headers()
            self.wfile.write(CONTENTS["plain.csv"][:10])

    with pytest.raises(OSError, match=r"plain\.csv"):
        datasets.fetch_esol(data_home=home, base_url=serve(HangsUp))
    assert files_in(home) == []


def test_damaged_cache_is_seen(mirror, home):
    datasets.fetch_esol(data_home=home, base_url=mirror.as_uri())
    cached = home / "owner/name" / COMMIT / "data/plain.csv"
    cached.write_bytes(b"smiles,value\nC,1\n")
    with pytest.raises(OSError, match=r"in the cache is damaged: .* should have SHA-256"):
        datasets.fetch_esol(data_home=home, base_url=mirror.as_uri(), download_if_missing=False)
    with pytest.warns(UserWarning, match="is damaged and will be downloaded again"):
        bunch = datasets.fetch_esol(data_home=home, base_url=mirror.as_uri())
    assert len(bunch.data) == 3
    assert cached.read_bytes() == CONTENTS["plain.csv"]


def test_damaged_cache_survives_a_failed_download(mirror, home, tmp_path):
    datasets.fetch_esol(data_home=home, base_url=mirror.as_uri())
    cached = home / "owner/name" / COMMIT / "data/plain.csv"
    cached.write_bytes(b"smiles,value\nC,1\n")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(OSError, match="cannot download"):
        datasets.fetch_esol(data_home=home, base_url=(tmp_path / "nowhere").as_uri())
    assert files_in(home) == ["plain.csv"]


def test_base_address_must_be_one(home):
    with pytest.raises(ValueError, match=r"must begin with https://, http:// or file://, got '/work'"):
        datasets.fetch_esol(data_home=home, base_url="/work")
