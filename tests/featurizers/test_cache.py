"""Rows computed once: within a process, across processes, and never wrongly."""

import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmol3d import REM3DIFeaturizer
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.featurizers import CacheError, FeaturizationError, cache, encoder_base

SMILES = ["C" * i + end for i in range(1, 6) for end in "CNOF"]


@pytest.fixture
def counts(monkeypatch):
    """Conformers made and encoded since the last `clear`, with an empty memory cache."""
    counts = {"made": 0, "encoded": 0}
    generate, forward = encoder_base.generate, REM3DI.forward

    def counting_generate(molecules, *args):
        molecules = list(molecules)
        counts["made"] += len(molecules)
        return generate(molecules, *args)

    def counting_forward(self, batch):
        counts["encoded"] += len(batch)
        return forward(self, batch)

    monkeypatch.setattr(encoder_base, "generate", counting_generate)
    monkeypatch.setattr(REM3DI, "forward", counting_forward)
    cache.MEMORY.clear()
    return counts


@pytest.fixture
def featurizer(tiny_checkpoint):
    return REM3DIFeaturizer(tiny_checkpoint, device="cpu")


def test_grid_search_computes_each_molecule_once(featurizer, counts):
    pipeline = make_pipeline(featurizer, Ridge())
    grid = {"ridge__alpha": np.logspace(-3, 3, 10)}
    GridSearchCV(pipeline, grid, cv=5).fit(SMILES, np.arange(len(SMILES)))
    assert counts == {"made": len(SMILES), "encoded": len(SMILES)}


def test_duplicates_are_computed_once(featurizer, counts):
    featurizer.transform(["CCO", "OCC", "C(O)C", "CCN"])
    assert counts == {"made": 2, "encoded": 2}


def test_what_shapes_a_row_is_part_of_the_key(featurizer, counts):
    base = featurizer.transform(["CCCCO"])
    for params in ({"random_state": 1}, {"relax": "mmff"}, {"n_conformers": 2}):
        featurizer.set_params(**params)
        assert (featurizer.transform(["CCCCO"]) != base).any()
    assert counts["made"] == 4
    featurizer.set_params(random_state=0, relax=None, n_conformers=1, batch_size=7, blocks=("chiral",))
    assert (featurizer.transform(["CCCCO"]) == base[:, -4:]).all()
    assert counts["made"] == 4


def test_success_survives_failures_of_others(featurizer, counts):
    with pytest.raises(FeaturizationError):
        featurizer.transform(["CCO", "C(", "CCN", "[Fe]"])
    assert counts == {"made": 2, "encoded": 2}
    featurizer.transform(["CCO", "CCN"])
    assert counts == {"made": 2, "encoded": 2}


def test_failed_conformers_are_not_tried_again(featurizer, counts):
    featurizer.set_params(errors="nan", time_limit=1e-9)
    featurizer.transform(["CCO"])
    first = featurizer.failures_["reason"].tolist()
    featurizer.transform(["CCO"])
    assert featurizer.failures_["reason"].tolist() == first
    assert "time limit" in first[0]
    assert counts["made"] == 1


def test_disk_outlives_the_process(featurizer, counts, tmp_path):
    featurizer.set_params(cache_dir=str(tmp_path / "new" / "folder"))
    rows = featurizer.transform(SMILES)
    cache.MEMORY.clear()
    np.testing.assert_array_equal(featurizer.transform(SMILES), rows)
    assert counts == {"made": len(SMILES), "encoded": len(SMILES)}


def test_rows_in_memory_reach_a_folder_named_later(featurizer, counts, tmp_path):
    rows = featurizer.transform(SMILES)
    featurizer.set_params(cache_dir=str(tmp_path)).transform(SMILES)
    cache.MEMORY.clear()
    np.testing.assert_array_equal(featurizer.transform(SMILES), rows)
    assert counts["made"] == len(SMILES)


SHARER = """
import sys
import numpy as np
from skmol3d.featurizers.cache import DiskCache

disk = DiskCache(sys.argv[1])
for i in range(100):
    key = i.to_bytes(32, "big")
    for row in disk.get([key], 5).values():
        assert (row == i).all()
    disk.put({key: np.full(5, i, np.float32)})
"""


def test_several_processes_share_a_folder(tmp_path):
    command = [sys.executable, "-c", SHARER, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [(process.communicate()[1], process.returncode) for process in processes] == [("", 0)] * 4
    rows = cache.DiskCache(tmp_path).get([i.to_bytes(32, "big") for i in range(100)], 5)
    assert len(rows) == 100
    assert all((row == int.from_bytes(key, "big")).all() for key, row in rows.items())


@pytest.mark.parametrize("damage", ["text", "value", "folder is a file"])
def test_damaged_folder_is_named(featurizer, tmp_path, damage):
    file = tmp_path / cache.FILE_NAME
    featurizer.set_params(cache_dir=str(tmp_path))
    if damage == "text":
        file.write_text("this is no database, but it is long enough to be read as one" * 100)
    elif damage == "value":
        featurizer.transform(["CCO"])
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE rows SET value = zeroblob(length(value))")
        connection.close()
    else:
        file = tmp_path / "file" / cache.FILE_NAME
        file.parent.write_text("in the way")
        featurizer.set_params(cache_dir=str(file.parent))
    cache.MEMORY.clear()
    with pytest.raises(CacheError, match="choose another cache_dir") as caught:
        featurizer.transform(["CCO"])
    assert str(file) in str(caught.value)


def test_memory_is_bounded_and_forgets_the_oldest():
    row = np.zeros(250, np.float32)
    memory = cache.MemoryCache(max_bytes=3 * (row.nbytes + cache.MemoryCache.OVERHEAD))
    memory.put({b"a": row, b"b": row, b"c": row})
    memory.get([b"a"])  # used: now b is the oldest
    memory.put({b"d": row})
    assert set(memory.get([b"a", b"b", b"c", b"d"])) == {b"a", b"c", b"d"}
    assert memory.size == memory.max_bytes
    memory.put({b"e": "a reason" * 1000})
    assert memory.size <= memory.max_bytes


def test_memory_does_not_keep_the_batch_alive():
    batch = np.zeros((100, 3), np.float32)
    memory = cache.MemoryCache(max_bytes=10**6)
    memory.put({b"a": batch[0]})
    assert memory.get([b"a"])[b"a"].base is None


def test_eviction_changes_no_row(featurizer, monkeypatch):
    expected = featurizer.transform(SMILES)
    monkeypatch.setattr(cache, "MEMORY", cache.MemoryCache(max_bytes=2000))
    np.testing.assert_allclose(
        featurizer.transform(SMILES + SMILES)[len(SMILES) :], expected, rtol=1e-4, atol=1e-5
    )
