"""Fetchers against a mirror of small tables."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mirror_examples import COMMIT

from skmol3d import datasets
from skmol3d.datasets import fetchers

pytestmark = pytest.mark.usefixtures("small_manifest")


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
    with pytest.raises(ValueError, match="unknown endpoint 3, choose from hlm"):
        datasets.fetch_biogen_adme(3)
    with pytest.raises(ValueError, match="unknown endpoint 'pka', choose from hlm"):
        datasets.fetch_biogen_adme("pka")


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
