"""Fetchers against mirrors made here: a folder over file:// and a server on 127.0.0.1."""

import hashlib
import json
import re
import socket
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from skmol3d import datasets
from skmol3d.datasets import download, fetchers

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONTENTS = {
    "plain.csv": b"smiles,value\nCCO,-0.5\nnot a molecule,2\nCCO,-0.25\n",
    "labelled.csv": b"index,mol,value,scaffold\n7,C,1,test\n8,CC,0,train\n",
    "ENDPOINT_train.csv": b"smiles,activity\nC,1.5\nCC,2.5\n",
    "ENDPOINT_test.csv": b"smiles,activity\nCCC,3.5\n",
}


def entry(name):
    content = CONTENTS[name]
    return {"path": f"data/{name}", "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


@pytest.fixture(autouse=True)
def _small_manifest(monkeypatch):
    """The real fetchers with tables small enough to write down, and an environment that says nothing."""
    common = {"source": "somewhere", "title": "a property", "unit": "kcal/mol"}
    manifest = {
        "sources": {
            "somewhere": {
                "title": "Somewhere", "repository": "owner/name", "commit": COMMIT,
                "licence": "MIT", "citation": "Nobody 2026", "doi": "10.1000/1",
            }
        },
        "tables": {
            "esol": {
                **common, "smiles": "smiles", "target": "value", "split": None, "files": [entry("plain.csv")],
            },
            "pharma_ames": {
                **common, "smiles": "mol", "target": "value", "split": "scaffold",
                "files": [entry("labelled.csv")],
            },
            "biogen_hlm": {
                **common, "smiles": "smiles", "target": "activity", "split": "file",
                "files": [entry("ENDPOINT_train.csv"), entry("ENDPOINT_test.csv")],
            },
            "ace_chembl1_ki": {
                **common, "smiles": "smiles", "target": "value", "split": None, "files": [entry("plain.csv")],
            },
        },
    }  # fmt: skip
    monkeypatch.setattr(fetchers, "_manifest", lambda: manifest)
    for name in ("SKMOL3D_DATA", "SKMOL3D_DATA_MIRROR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def mirror(tmp_path):
    folder = tmp_path / "mirror"
    for name, content in CONTENTS.items():
        path = folder / "owner/name" / COMMIT / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


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


def test_values_are_those_of_the_source(mirror, home):
    bunch = datasets.fetch_esol(data_home=home, base_url=mirror.as_uri())
    assert bunch.data.tolist() == ["CCO", "not a molecule", "CCO"]
    np.testing.assert_array_equal(bunch.target, [-0.5, 2.0, -0.25])
    assert bunch.target.dtype == np.float64
    assert bunch.split is None
    assert bunch.frame.columns.tolist() == ["smiles", "value"]
    assert (bunch.target_name, bunch.unit) == ("value", "kcal/mol")
    for fact in (
        "do not parse",
        "kcal/mol",
        "owner/name",
        COMMIT,
        "MIT",
        "Nobody 2026",
        "https://doi.org/10.1000/1",
    ):
        assert fact in bunch.DESCR


def test_split_from_a_column(mirror, home):
    bunch = datasets.fetch_pharmabench("AMES", data_home=home, base_url=mirror.as_uri())
    assert bunch.data.tolist() == ["C", "CC"]
    assert bunch.data.name == "smiles"
    assert bunch.split.tolist() == ["test", "train"]
    assert bunch.frame["index"].tolist() == [7, 8]


def test_split_from_two_files(mirror, home):
    bunch = datasets.fetch_biogen_adme("hlm", data_home=home, base_url=mirror.as_uri())
    assert bunch.data.tolist() == ["C", "CC", "CCC"]
    assert bunch.data.index.tolist() == [0, 1, 2]
    assert bunch.target.tolist() == [1.5, 2.5, 3.5]
    assert bunch.split.tolist() == ["train", "train", "test"]


def test_return_X_y_and_as_frame(mirror, home):
    where = {"data_home": home, "base_url": mirror.as_uri()}
    X, y = datasets.fetch_esol(return_X_y=True, **where)
    assert isinstance(X, pd.Series)
    assert isinstance(y, np.ndarray)
    X, y = datasets.fetch_esol(return_X_y=True, as_frame=True, **where)
    assert isinstance(y, pd.Series)
    assert y.index.equals(X.index)
    assert isinstance(datasets.fetch_esol(as_frame=True, **where).target, pd.Series)


@pytest.mark.parametrize("name", ["chembl1", "CHEMBL1", "CHEMBL1_Ki"])
def test_target_in_any_case(mirror, home, name):
    bunch = datasets.fetch_moleculeace(name, data_home=home, base_url=mirror.as_uri())
    assert len(bunch.data) == 3


def test_unknown_endpoint_lists_the_known_ones():
    with pytest.raises(ValueError, match="unknown endpoint 'pka', choose from hlm"):
        datasets.fetch_biogen_adme("pka")


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


def test_shipped_manifest_pins_every_file():
    path = Path(fetchers.__file__).with_name("manifest.json")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    assert len(manifest["tables"]) == 24
    seen = set()
    for name, table in manifest["tables"].items():
        source = manifest["sources"][table["source"]]
        assert len(source["commit"]) == 40
        assert set(source["commit"]) <= set("0123456789abcdef")
        for file in table["files"]:
            assert len(file["sha256"]) == 64
            assert file["bytes"] > 0
            seen.add((source["repository"], file["path"]))
        assert (len(table["files"]) == 2) == (table["split"] == "file") == name.startswith("biogen_")
    assert len(seen) == 30


def test_every_shipped_table_has_a_fetcher_that_documents_it(monkeypatch):
    manifest = json.loads(Path(fetchers.__file__).with_name("manifest.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(fetchers, "_manifest", lambda: manifest)
    fetched = []
    monkeypatch.setattr(fetchers, "_fetch", lambda table, *options: fetched.append(table))
    for name in datasets.__all__:
        if name.startswith("fetch_"):
            fetch = getattr(datasets, name)
            assert fetch.__name__ == name
            endpoints = re.findall(r"^    - (\w+): \S", fetch.__doc__, re.MULTILINE)
            for endpoint in endpoints:
                fetch(endpoint)
            if not endpoints:
                fetch()
    assert sorted(fetched) == sorted(manifest["tables"])
