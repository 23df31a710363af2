"""A mirror of small tables, and an empty cache folder."""

import pytest
from mirror_examples import COMMIT, CONTENTS, entry

from skmol3d.datasets import fetchers


@pytest.fixture
def small_manifest(monkeypatch):
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
