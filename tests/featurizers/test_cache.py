"""Rows computed once: within a process, across processes, and never wrongly."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skmol3d import Mo3ENetFeaturizer, REM3DIFeaturizer, set_cache_bytes
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.featurizers import CacheError, FeaturizationError, cache
from skmol3d.structures import conformer_cache
from skmol3d.structures.storage import FILE_NAME, Memory

SMILES = ["C" * i + end for i in range(1, 6) for end in "CNOF"]


@pytest.fixture
def counts(monkeypatch):
    """Conformers made and encoded, from empty caches on."""
    counts = {"made": 0, "encoded": 0}
    generate, forward = conformer_cache.generate, REM3DI.forward

    def counting_generate(molecules, *args):
        molecules = list(molecules)
        counts["made"] += len(molecules)
        return generate(molecules, *args)

    def counting_forward(self, batch):
        counts["encoded"] += len(batch)
        return forward(self, batch)

    monkeypatch.setattr(conformer_cache, "generate", counting_generate)
    monkeypatch.setattr(REM3DI, "forward", counting_forward)
    cache.clear()
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
    featurizer.set_params(conformer_pooling="all").transform(["CCCCO"])
    assert counts["made"] == 4
    featurizer.set_params(
        random_state=0, relax=None, n_conformers=1, conformer_pooling="mean", batch_size=7, blocks=("chiral",)
    )
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
    cache.clear()
    np.testing.assert_array_equal(featurizer.transform(SMILES), rows)
    assert counts == {"made": len(SMILES), "encoded": len(SMILES)}


def test_rows_in_memory_reach_a_folder_named_later(featurizer, counts, tmp_path):
    rows = featurizer.transform(SMILES)
    featurizer.set_params(cache_dir=str(tmp_path)).transform(SMILES)
    cache.clear()
    np.testing.assert_array_equal(featurizer.transform(SMILES), rows)
    assert counts["made"] == len(SMILES)


def test_a_damaged_folder_is_named(featurizer, tmp_path):
    (tmp_path / FILE_NAME).write_text("this is no database, but it is long enough to be read as one" * 100)
    cache.clear()
    with pytest.raises(CacheError, match="choose another cache_dir") as caught:
        featurizer.set_params(cache_dir=str(tmp_path)).transform(["CCO"])
    assert str(tmp_path / FILE_NAME) in str(caught.value)


# --- what is kept besides rows ---------------------------------------------------------------------------


def test_another_checkpoint_embeds_nothing_anew(featurizer, tiny_mo3enet, counts):
    featurizer.transform(SMILES)
    Mo3ENetFeaturizer(tiny_mo3enet, device="cpu").transform(SMILES)
    Mo3ENetFeaturizer(tiny_mo3enet, device="cpu", output="norm").transform(SMILES)
    assert counts["made"] == len(SMILES)


def test_without_room_for_rows_conformers_are_still_made_once(featurizer, counts, monkeypatch):
    # REVIEW A1: beyond the rows that fit, each fold embedded anew.
    monkeypatch.setattr(cache.CACHE.memory, "max_bytes", 0)
    expected = featurizer.transform(SMILES)
    np.testing.assert_allclose(featurizer.transform(SMILES[::-1])[::-1], expected, rtol=1e-4, atol=1e-5)
    assert counts == {"made": len(SMILES), "encoded": 2 * len(SMILES)}


def test_bounds_are_set_in_one_place(featurizer):
    before = conformer_cache.CACHE.memory.max_bytes, cache.CACHE.memory.max_bytes
    try:
        cache.clear()
        featurizer.transform(SMILES)
        set_cache_bytes(conformers=2000, rows=3000)
        assert 0 < conformer_cache.CACHE.memory.size <= 2000
        assert 0 < cache.CACHE.memory.size <= 3000
        set_cache_bytes(rows=0)
        assert (conformer_cache.CACHE.memory.max_bytes, cache.CACHE.memory.max_bytes) == (2000, 0)
        assert cache.CACHE.memory.size == 0
        with pytest.raises(ValueError, match="rows must be at least 0"):
            set_cache_bytes(conformers=1, rows=-1)
        with pytest.raises(TypeError, match="conformers must be an integer"):
            set_cache_bytes(conformers=1e6)
        assert conformer_cache.CACHE.memory.max_bytes == 2000
    finally:
        set_cache_bytes(conformers=before[0], rows=before[1])


def test_failures_are_kept_with_the_conformers(featurizer, counts, tmp_path):
    # REVIEW A7: this molecule's marks contradict each other.
    featurizer.set_params(errors="nan", cache_dir=str(tmp_path))
    for _ in range(2):
        cache.clear()
        assert np.isnan(featurizer.transform(["C1C[C@@H]2C[C@@H]1[C@H]1C[C@@H]21"])).all()
        assert "impossible stereochemistry" in featurizer.failures_["reason"][0]
    assert counts["made"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("params", [{}, {"n_conformers": 2}, {"blocks": ("chiral",)}])
def test_threads_share_a_featurizer(featurizer, counts, tmp_path, params):
    featurizer.set_params(cache_dir=str(tmp_path), **params)
    expected = featurizer.transform(SMILES)
    for folder in (str(tmp_path / "other"), None):
        cache.clear()
        featurizer.set_params(cache_dir=folder)
        with ThreadPoolExecutor(4) as pool:
            for rows in pool.map(featurizer.transform, [SMILES, SMILES[::-1], SMILES[::-1], SMILES]):
                order = slice(None) if np.allclose(rows[0], expected[0], atol=1e-5) else slice(None, None, -1)
                np.testing.assert_allclose(rows[order], expected, rtol=1e-4, atol=1e-5)


# --- rows as bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("largest", "bytes_each"),
    [(255, 1), (256, 2), (65535, 2), (65536, 4), (0.5, 4), (-1, 1), (-128, 1), (-129, 2), (-40000, 4)],
)
def test_rows_survive_with_counts_as_the_smallest_whole_numbers(largest, bytes_each):
    rng = np.random.default_rng(0)
    row = rng.normal(size=300).astype(np.float32)
    counts = np.arange(300) % 3 > 0
    row[counts] = rng.integers(0, 2, 200)
    row[1] = largest
    value = cache.encode_row(row, counts)
    np.testing.assert_array_equal(cache.decode_row(value, counts), row)
    assert len(value) < 100 * 4 + 200 * bytes_each
    flat = np.zeros(300, np.float32)
    np.testing.assert_array_equal(cache.decode_row(cache.encode_row(flat, counts), counts), flat)


def test_rows_without_counts_and_of_nothing_else_survive():
    row = np.arange(7, dtype=np.float32)
    for counts in (np.zeros(7, bool), np.ones(7, bool)):
        np.testing.assert_array_equal(cache.decode_row(cache.encode_row(row, counts), counts), row)


def test_counts_take_next_to_no_room_in_rows_of_the_default_checkpoint():
    featurizer = REM3DIFeaturizer(device="cpu")
    cache.clear()
    first = featurizer.transform(["CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O"])
    names = featurizer.get_feature_names_out()
    dense = sum("_words_" not in name and "_signed_" not in name for name in names)
    assert cache.CACHE.memory.size < 2 * (4 * dense + 400)
    np.testing.assert_array_equal(featurizer.transform(["CC(=O)Oc1ccccc1C(=O)O", "C[C@H](N)C(=O)O"]), first)


def test_eviction_changes_no_row(featurizer, monkeypatch):
    expected = featurizer.transform(SMILES)
    monkeypatch.setattr(cache.CACHE, "memory", Memory(max_bytes=2000))
    monkeypatch.setattr(conformer_cache.CACHE, "memory", Memory(max_bytes=2000))
    np.testing.assert_allclose(
        featurizer.transform(SMILES + SMILES)[len(SMILES) :], expected, rtol=1e-4, atol=1e-5
    )
