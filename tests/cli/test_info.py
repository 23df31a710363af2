"""What an installation is, and caches that are measured and cleared."""

import shutil
from pathlib import Path

import huggingface_hub.constants
import pytest

import skmol3d
from skmol3d.cli import main
from skmol3d.datasets import fetchers
from skmol3d.hub import bundled
from skmol3d.structures.storage import FILE_NAME, Disk


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without caches."""
    monkeypatch.setenv("SKMOL3D_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def printed(capsys, *arguments: str) -> str:
    assert main(["info", *arguments]) == 0
    return capsys.readouterr().out


def put_repository(hub: Path, name: str, source: Path) -> Path:
    """A repository as the Hub's client keeps it."""
    folder, commit = hub / f"models--{name.replace('/', '--')}", "0" * 39 + str(len(name) % 10)
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (folder / part).mkdir(parents=True)
    (folder / "refs/main").write_text(commit)
    for file in source.iterdir():
        shutil.copy(file, folder / "blobs" / file.name)
        (folder / "snapshots" / commit / file.name).symlink_to(folder / "blobs" / file.name)
    return folder


def test_versions_devices_checkpoints_and_empty_caches_are_told(capsys):
    text = printed(capsys)
    assert text.startswith(f"skmol3d {skmol3d.__version__} in ")
    assert "\n  auto is    " in text
    assert all(f"\n  {name} " in text for name in bundled())
    assert "  datasets           0 B  " in text
    assert "  checkpoints        0 B  " in text
    assert "rows" not in text


def test_secrets_are_not_told(capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("SKMOL3D_ONE_THREAD", "0")
    text = printed(capsys)
    assert "hf_secret" not in text
    assert "SKMOL3D_ONE_THREAD=0" in text


def test_clearing_data_sets_leaves_other_files_of_the_folder(home, capsys, monkeypatch):
    entry = {"path": "x.csv", "sha256": "", "bytes": 3}
    manifest = {
        "sources": {"s": {"repository": "owner/name", "commit": "abc"}},
        "tables": {"x": {"source": "s", "files": [entry]}},
    }
    monkeypatch.setattr(fetchers, "_manifest", lambda: manifest)
    known, foreign = (home / "data/owner/name/abc" / name for name in ("x.csv", "mine.csv"))
    known.parent.mkdir(parents=True)
    known.write_text("abc")
    foreign.write_text("abc")
    assert f"datasets           3 B  {home / 'data'} (1 file)" in printed(capsys)
    assert printed(capsys, "--clear-cache", "datasets") == f"datasets: 3 B freed in {home / 'data'}\n"
    assert not known.exists()
    assert foreign.exists()


def test_clearing_checkpoints_leaves_those_of_other_programs(home, capsys, tiny_potential):
    other = home / "other"
    other.mkdir()
    (other / "config.json").write_text('{"architectures": ["Bert"]}')
    ours = put_repository(home / "hub", "me/tiny", Path(tiny_potential))
    foreign = put_repository(home / "hub", "them/bert", other)
    text = printed(capsys)
    assert "(me/tiny)" in text
    assert "bert" not in text
    assert " kB freed in " in printed(capsys, "--clear-cache", "checkpoints")
    assert not ours.exists()
    assert foreign.exists()
    assert printed(capsys, "--clear-cache", "checkpoints").startswith("checkpoints: 0 B freed")


def test_clearing_rows_removes_the_file_of_that_folder_alone(home, capsys):
    folder = home / "cache"
    Disk(folder, "rows").put({b"key": b"value"})
    (folder / "notes.txt").write_text("mine")
    size = (folder / FILE_NAME).stat().st_size
    assert f"{size / 1e3:.1f} kB  {folder}\n" in printed(capsys, "--cache-dir", str(folder))
    assert "kB freed" in printed(capsys, "--cache-dir", str(folder), "--clear-cache", "rows", "datasets")
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_rows_are_not_cleared_without_a_folder(capsys):
    assert main(["info", "--clear-cache", "rows"]) == 2
    assert "--clear-cache rows needs --cache-dir DIR" in capsys.readouterr().err


def test_a_package_that_is_too_old_is_marked(capsys, monkeypatch):
    from importlib import metadata

    monkeypatch.setattr(
        metadata, "requires", lambda name: ["numpy>=99", 'nothing-here>=1; extra == "more"', "skmol3d[x]"]
    )
    text = printed(capsys)
    assert "(needs >=99)" in text
    assert "  more       no nothing-here\n" in text


def test_of_a_package_that_is_on_the_path_but_not_installed_all_else_is_told(capsys, monkeypatch):
    from importlib import metadata

    def requires(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", requires)
    text = printed(capsys)
    assert "packages:\n  unknown: skmol3d is on the path, but not installed\n" in text
    assert "  auto is " in text


def test_a_folder_that_is_not_there_has_no_rows_to_clear(tmp_path, capsys):
    assert main(["info", "--cache-dir", str(tmp_path / "nodir"), "--clear-cache", "rows"]) == 2
    assert "nodir: no such folder" in capsys.readouterr().err
