"""Assay labels: kept beside their molecules, and what is known of each task."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from set_examples import random_set

from skmol3d.trainer.data import pack
from skmol3d.trainer.data.assays import AssayStatistics, Labels, joined, read_assays
from skmol3d.trainer.data.shards import read_shards

SMILES = ["CCCO", "no molecule", "CCCN", "CO", "c1ccccc1C", "CCCCF", "CC(C)Cl", "CCCS"]
LABELS = [(0, 0, 5.5), (0, 2, 1), (1, 0, 7.0), (2, 1, 6.25), (4, 2, 0), (5, 0, 8.0), (6, 1, 4.0), (3, 2, 1)]


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "assays"
    made.mkdir()
    pd.DataFrame({"smiles": SMILES}).to_csv(made / "molecules.csv.gz", index=False)
    (made / "columns.json").write_text(json.dumps([{"name": name} for name in "abcd"]))
    row, column, value = zip(*LABELS, strict=True)
    np.savez(made / "labels.npz", row=row, column=column, value=np.array(value, np.float16))
    return made


def expected(smiles):
    row = np.full(4, np.nan)
    for molecule, column, value in LABELS:
        if SMILES[molecule] == smiles:
            row[column] = value
    return row


def composition(data, m):
    numbers = data.numbers[data.offsets[m] : data.offsets[m + 1]]
    return sorted(numbers[numbers > 1].tolist())


def test_labels_stay_with_their_molecules_when_others_fail(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "SHARD", 3)
    pack.pack_assays(folder, tmp_path / "out", seed=1)
    data = read_shards(tmp_path / "out")
    failed = [pd.read_csv(f)["input"].tolist() for f in (tmp_path / "out").glob("*.failures.csv")]
    assert sorted(text for texts in failed for text in texts) == ["'CO'", "'no molecule'"]
    elements = {"CCCO": [6, 6, 6, 8], "CCCN": [6, 6, 6, 7], "c1ccccc1C": [6] * 7, "CCCCF": [6, 6, 6, 6, 9]}
    elements |= {"CC(C)Cl": [6, 6, 6, 17], "CCCS": [6, 6, 6, 16]}
    labels = data.molecule_targets["assays"]
    assert labels.dtype == np.float16
    named = {tuple(numbers): smiles for smiles, numbers in elements.items()}
    found = [named[tuple(composition(data, m))] for m in range(len(data))]
    assert sorted(found) == sorted(elements)
    for m, smiles in enumerate(found):
        np.testing.assert_array_equal(labels[m], expected(smiles))


def test_a_killed_run_of_assays_continues_with_the_same_molecules(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "SHARD", 3)
    pack.pack_assays(folder, tmp_path / "out", count=6)
    before = read_shards(tmp_path / "out")
    (tmp_path / "out" / "shard_0001.npz").unlink()
    pack.pack_assays(folder, tmp_path / "out", count=6)
    after = read_shards(tmp_path / "out")
    np.testing.assert_array_equal(after.positions, before.positions)
    np.testing.assert_array_equal(after.molecule_targets["assays"], before.molecule_targets["assays"])


def test_shards_with_and_without_labels_do_not_mix(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pack, "SHARD", 4)
    pack.pack_assays(folder, tmp_path / "out")
    with np.load(tmp_path / "out" / "shard_0001.npz") as data:
        plain = {name: data[name] for name in data.files if not name.startswith("assay_")}
    np.savez(tmp_path / "out" / "shard_0001.npz", **plain)
    with pytest.raises(ValueError, match="1 of 2 shards have assay labels"):
        read_shards(tmp_path / "out")


@pytest.mark.parametrize(("name", "place"), [("row", 8), ("column", 4), ("row", -1)])
def test_a_label_of_nothing_is_named(folder, name, place):
    with np.load(folder / "labels.npz") as data:
        arrays = dict(data)
    arrays[name][3] = place
    np.savez(folder / "labels.npz", **arrays)
    with pytest.raises(ValueError, match=f"label 3 is of {name} {place}"):
        read_assays(folder)


def test_triplets_and_tables_are_the_same():
    rng = np.random.default_rng(0)
    table = np.where(rng.random((9, 5)) < 0.3, rng.normal(size=(9, 5)), np.nan).astype(np.float16)
    table[2, 1] = 0  # a known zero is not an unknown value
    labels = Labels.of(table)
    np.testing.assert_array_equal(labels.dense(), table)
    rows = np.array([7, 2, 5])
    np.testing.assert_array_equal(labels.take(rows).dense(), table[rows])
    np.testing.assert_array_equal(
        joined([labels, labels.take(rows)]).dense(), np.vstack([table, table[rows]])
    )
    with pytest.raises(ValueError, match=r"\[4, 5\] columns"):
        joined([labels, Labels.of(table[:, :4])])


def test_statistics_are_of_training_labels_and_recognise_classes():
    rng = np.random.default_rng(0)
    data = random_set([3] * 200)
    table = np.full((200, 5), np.nan, np.float16)
    table[:150, 0] = rng.normal(6, 1, 150)
    table[:, 1] = rng.random(200) < 0.2
    table[:, 2] = 1  # never anything else
    table[:29, 3] = rng.normal(6, 1, 29)  # too few
    table[100:, 4] = rng.random(100) < 0.5
    table[199, 4] = 0.5  # held out
    train = np.arange(199)
    data = replace(data, molecule_targets=data.molecule_targets | {"assays": table})
    found = AssayStatistics.measure([random_set([3] * 9), data], [np.arange(9), train])
    assert found.labels.tolist() == [150, 199, 199, 29, 99]
    assert found.classes.tolist() == [False, True, True, False, True]
    assert found.counted.tolist() == [True, True, False, False, True]
    np.testing.assert_allclose(found.mean, np.nanmean(table[train].astype(float), 0))
    np.testing.assert_allclose(found.std, np.nanstd(table[train].astype(float), 0), atol=1e-9)


def test_sets_without_labels_have_no_tasks():
    found = AssayStatistics.measure([random_set([3, 4])], [np.arange(2)])
    assert found.counted.tolist() == []
