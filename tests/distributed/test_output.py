"""Only the same run goes on in a folder, and what another one is about is named."""

import json

import pandas as pd
import pytest

from skmol3d import ECFPFeaturizer
from skmol3d.distributed import featurize_library
from skmol3d.distributed.output import Output


@pytest.fixture
def run(client, folder):
    def run(library="library", featurizer=None, **settings):
        given = {"partition_size": 5, "scheduler": client, **settings}
        return featurize_library(library, "out", featurizer or ECFPFeaturizer(n_bits=32), **given)

    return run


def test_a_finished_run_computes_nothing_again(run, folder, monkeypatch):
    first = run()
    before = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("part-*")}
    monkeypatch.setattr("skmol3d.distributed.run.connected", None)
    assert run() == first
    assert {path: path.stat().st_mtime_ns for path in (folder / "out").glob("part-*")} == before


def test_only_what_is_missing_is_made_and_equals_what_was_there(run, folder):
    run()
    part = folder / "out" / "part-0000003.parquet"
    whole, others = part.read_bytes(), {p: p.stat().st_mtime_ns for p in (folder / "out").glob("part-*")}
    # A worker that was killed between a partition and its note, and one that was killed in the midst.
    (folder / "out" / "_parts" / "0000003.json").unlink()
    (folder / "out" / ".part-0000003.parquet.abc.tmp").write_bytes(whole[:100])
    part.unlink()
    assert run().molecules == 30
    assert part.read_bytes() == whole
    now = {path: path.stat().st_mtime_ns for path in (folder / "out").glob("part-*")}
    assert {path for path in now if now[path] != others[path]} == {part}
    assert not list((folder / "out").rglob("*.tmp"))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"featurizer": ECFPFeaturizer(n_bits=32, radius=3)}, "radius"),
        ({"featurizer": ECFPFeaturizer(n_bits=64)}, "n_bits"),
        ({"partition_size": 6}, "partition_size"),
        ({"dtype": "float16"}, "dtype"),
        ({"keep": ["pki"]}, "columns"),
        ({"library": "library/part.0.parquet"}, r"input \(part.1.parquet, part.2.parquet\)"),
    ],
)
def test_another_run_is_refused_by_name_unless_told_to_restart(settings, named, run, folder):
    run()
    with pytest.raises(ValueError, match=f"out: what is there was made with another {named};"):
        run(**settings)
    done = run(**settings, restart=True)
    assert len(pd.read_parquet("out")) == done.molecules
    assert run(**settings) == done


def test_a_file_that_changed_is_named(run, folder, table):
    run()
    table[:5].to_parquet("library/part.1.parquet", index=False)
    with pytest.raises(ValueError, match=r"another input \(part.1.parquet\);"):
        run()


def test_another_checkpoint_is_another_run(client, folder, tiny_checkpoint, tiny_potential):
    from skmol3d import PotentialFeaturizer, REM3DIFeaturizer

    settings = {"scheduler": client, "partition_size": 20}
    featurize_library("library/part.0.parquet", "out", REM3DIFeaturizer(tiny_checkpoint), **settings)
    with pytest.raises(ValueError, match="another featurizer, weights, model"):
        featurize_library("library/part.0.parquet", "out", PotentialFeaturizer(tiny_potential), **settings)


def test_a_folder_with_something_else_in_it_is_left_alone(run, folder):
    (folder / "out").mkdir()
    (folder / "out" / "thesis.tex").write_text("ten years")
    with pytest.raises(ValueError, match=r"something else in it \(thesis.tex\)"):
        run(restart=True)


@pytest.mark.parametrize("name", ["part-00000-abc.snappy.parquet", "part-0000000.parquet"])
@pytest.mark.parametrize("restart", [False, True])
def test_parquet_of_others_is_left_alone(run, folder, name, restart):
    (folder / "out").mkdir()
    (folder / "out" / name).write_bytes(b"ten years")
    with pytest.raises(ValueError, match=r"something else in it|Parquet of another origin"):
        run(restart=restart)
    assert (folder / "out" / name).read_bytes() == b"ten years"


@pytest.mark.parametrize("restart", [False, True])
def test_results_are_not_replaced_by_results_of_themselves(run, folder, restart):
    run()
    before = (folder / "out" / "part-0000000.parquet").read_bytes()
    with pytest.raises(
        ValueError, match=r"part-0000000.parquet of the library is in it; name another folder"
    ):
        run("out", ECFPFeaturizer(n_bits=64, radius=1), restart=restart, keep=[])
    assert (folder / "out" / "part-0000000.parquet").read_bytes() == before


def test_a_restart_goes_on_from_one_that_was_killed(run, folder):
    run()
    (folder / "out" / "_manifest.json").unlink()  # the first that a restart discards
    with pytest.raises(ValueError, match="Parquet without a manifest"):
        run()
    assert run(restart=True).molecules == 30


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_partition_that_is_gone_or_damaged_is_made_again(run, folder, damage):
    run()
    part = folder / "out" / "part-0000002.parquet"
    whole = part.read_bytes()
    if damage == "gone":
        part.unlink()
    else:
        part.write_bytes(whole[:50])
    run()
    assert part.read_bytes() == whole


def test_two_processes_do_not_fill_one_folder(run, folder):
    with Output(folder / "out", {"task": "x"}), pytest.raises(ValueError, match="another process is writing"):
        run()


def test_the_manifest_says_what_was_done(run, folder):
    run()
    manifest = json.loads((folder / "out" / "_manifest.json").read_text())
    assert (manifest["molecules"], manifest["failed"], manifest["partitions"]) == (30, 2, 8)
    assert manifest["task"]["featurizer"] == "ECFPFeaturizer"
    assert [name for name, _ in manifest["task"]["input"]] == [f"part.{i}.parquet" for i in range(3)]
