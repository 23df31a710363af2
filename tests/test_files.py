"""Rows on their way into a file: what a kill leaves, what is continued, and what is written."""

import json

import numpy as np
import pandas as pd
import pytest

from skmol3d import files
from skmol3d.files import Unfinished, check_output

TASK = {"input": "digest", "keep": ["y"]}
NAMES = ["a", "b", "c"]


def chunk(start, rows=4):
    values = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3) + np.float32(start + 1 / 3)
    return values, [[f"m{start + i}"] for i in range(rows)], [[start, "m", "C(", "no"]]


def write(output, *starts, task=TASK, restart=False):
    with Unfinished(output, task, 3, restart) as work:
        for start in starts:
            work.append(*chunk(start))
        return work.done


def rows_of(*starts):
    return np.concatenate([chunk(start)[0] for start in starts])


def publish(output):
    with Unfinished(output, TASK, 3) as work:
        assert [f[0] for f in work.failures()] == [0, 4]
        work.publish(["id"], NAMES)


@pytest.mark.parametrize("name", ["out.npy", "out.csv", "out.csv.gz", "out.parquet", "OUT.NPY"])
def test_chunks_of_several_runs_become_one_file_and_nothing_else_is_left(name, tmp_path):
    output = tmp_path / name
    assert write(output, 0) == 4
    assert not output.exists()
    assert write(output, 4) == 8
    publish(output)
    if name.lower().endswith("npy"):
        found = np.load(output)
    else:
        table = pd.read_parquet(output) if name.endswith("parquet") else pd.read_csv(output)
        assert table.columns.tolist() == ["id", *NAMES]
        assert table["id"].tolist() == [f"m{i}" for i in range(8)]
        found = table[NAMES].to_numpy(np.float32)
    np.testing.assert_array_equal(found, rows_of(0, 4))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("cut", [1, 40])
def test_a_line_that_was_cut_off_takes_its_rows_along(cut, tmp_path):
    output = tmp_path / "out.npy"
    write(output, 0, 99)
    journal = tmp_path / "out.npy.unfinished" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])
    assert write(output, 4) == 8
    publish(output)
    np.testing.assert_array_equal(np.load(output), rows_of(0, 4))


def test_rows_that_were_cut_off_take_their_line_along(tmp_path):
    output = tmp_path / "out.npy"
    write(output, 0, 99)
    rows = tmp_path / "out.npy.unfinished" / "rows.npy"
    with rows.open("r+b") as file:
        file.truncate(rows.stat().st_size - 1)
    assert write(output, 4) == 8
    publish(output)
    np.testing.assert_array_equal(np.load(output), rows_of(0, 4))


def test_another_task_is_named_and_discarded_only_if_asked_for(tmp_path):
    output = tmp_path / "out.npy"
    write(output, 0)
    other = TASK | {"keep": [], "new": 1}
    with pytest.raises(ValueError, match="another keep, new was not finished"):
        write(output, task=other)
    assert write(output) == 4
    assert write(output, 8, task=other, restart=True) == 4


def test_one_process_at_a_time(tmp_path):
    output = tmp_path / "out.npy"
    with Unfinished(output, TASK, 3), pytest.raises(ValueError, match="another process is writing it"):
        Unfinished(output, TASK, 3)
    assert not list(tmp_path.iterdir())  # without a chunk nothing stays


def test_equal_tables_are_equal_files(tmp_path):
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "out.csv.gz", 0, 4)
        publish(tmp_path / folder / "out.csv.gz")
    one, other = (tmp_path / folder / "out.csv.gz" for folder in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_labels_of_several_types_are_text_in_parquet_and_of_one_type_are_not(tmp_path):
    output = tmp_path / "out.parquet"
    with Unfinished(output, TASK, 1) as work:
        values = [[1, 1], [2, "two"], [None, None]]
        work.append(np.zeros((3, 1), np.float32), values, [])
        work.publish(["number", "mixed"], ["a"])
    table = pd.read_parquet(output)
    assert table["mixed"].dropna().tolist() == ["1", "two"]
    assert table["number"].dropna().tolist() == [1, 2]
    assert table["number"].dtype == float


def test_values_that_json_does_not_know_are_kept(tmp_path):
    output = tmp_path / "out.csv"
    with Unfinished(output, TASK, 1) as work:
        work.append(np.zeros((2, 1), np.float32), [[np.int64(3)], [pd.Timestamp("2026-01-02")]], [])
        work.publish(["label"], ["a"])
    assert pd.read_csv(output)["label"].tolist() == ["3", "2026-01-02 00:00:00"]


def test_places_where_nothing_can_be_written_are_named(tmp_path):
    for name, message in (
        ("out.xlsx", "unknown output type; expected .npy"),
        ("no/out.npy", "there is no folder"),
        ("folder.npy", "it is a folder"),
    ):
        (tmp_path / "folder.npy").mkdir(exist_ok=True)
        with pytest.raises((ValueError, OSError), match=f"{name}: .*{message}"):
            check_output(tmp_path / name)


def test_the_task_is_compared_as_json_keeps_it(tmp_path):
    output = tmp_path / "out.npy"
    write(output, 0, task={"blocks": ("a", "b")})
    assert json.loads((tmp_path / "out.npy.unfinished" / "task.json").read_text()) == {"blocks": ["a", "b"]}
    assert write(output, task={"blocks": ["a", "b"]}) == 4


def test_parquet_without_pyarrow_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'skmol3d\[parquet\]'"):
        files.check_output(tmp_path / "rows.parquet")
    files.check_output(tmp_path / "rows.csv")
