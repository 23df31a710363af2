"""Runs that go on, and runs that begin where another one was: what they keep and what they refuse."""

import json
import shutil

import numpy as np
import pytest
from recipe_examples import ENCODER, POTENTIAL, run, write

from skmol3d.cli import main
from skmol3d.trainer.data.packed import write_packed
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.xtb import read_xtb
from skmol3d.trainer.kinds.potential import PotentialRecipe
from skmol3d.trainer.kinds.rem3di import REM3DIRecipe


def test_resume(trained, data_root, tmp_path):
    recipe = write(
        ENCODER | {"name": "again", "potential": str(trained / "tiny-potential"), "probe": None},
        tmp_path / "again.yaml",
    )
    run(recipe, data_root, tmp_path, "--set", "schedule.steps=2")
    run(recipe, data_root, tmp_path, "--resume", "--set", "schedule.steps=4")
    lines = (tmp_path / "again.run" / "evaluation.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "0", "2", "4"]
    card = (tmp_path / "again" / "README.md").read_text()
    more = ("--resume", "--set", "schedule.steps=6")
    for change in ("seed=7", "held_out=0.5", "weights={environments: 2.0}"):
        with pytest.raises(ValueError, match=f"began with another {change.partition('=')[0]};"):
            run(recipe, data_root, tmp_path, *more, "--set", change)
    other = tmp_path / "other"
    shutil.copytree(data_root, other)
    with np.load(other / "labels.npz") as labels:
        np.savez_compressed(other / "labels.npz", **labels)
    with pytest.raises(ValueError, match=r"labels\.npz is not the file that the run in .* began with"):
        run(recipe, other, tmp_path, *more)
    assert (tmp_path / "again" / "README.md").read_text() == card


def killed(*_):
    raise KeyboardInterrupt


def test_a_run_that_cannot_begin_leaves_the_older_one_as_it_was(data_root, tmp_path, capsys):
    run(POTENTIAL, data_root, tmp_path)
    logs = tmp_path / "tiny-potential.run"
    before = {file.name: file.read_bytes() for file in logs.iterdir() if file.is_file()}
    with pytest.raises(FileNotFoundError, match=r"labels.npz: no such file or folder"):
        run(POTENTIAL | {"seed": 7}, tmp_path / "nowhere", tmp_path)
    assert before == {file.name: file.read_bytes() for file in logs.iterdir() if file.is_file()}
    run(POTENTIAL, data_root, tmp_path, "--resume", "--set", "schedule.steps=8")
    assert "has no state" not in capsys.readouterr().err
    steps = [line.split(",")[0] for line in (logs / "evaluation.csv").read_text().splitlines()]
    assert steps == ["step", "0", "6", "8"]


@pytest.mark.parametrize("recipe", [POTENTIAL, ENCODER], ids=["potential", "rem3di"])
def test_a_new_run_leaves_nothing_of_an_older_one(recipe, trained, data_root, tmp_path, monkeypatch, capsys):
    """A run that was killed before its first state must not go on with the statistics of another."""
    if recipe is ENCODER:
        recipe = recipe | {"potential": str(trained / "tiny-potential"), "probe": None}
    run(recipe, data_root, tmp_path)
    logs = tmp_path / f"{recipe['name']}.run"
    changed = recipe | {"seed": 7}
    if recipe["kind"] == "rem3di":
        changed |= {"targets": {"classes": [8, 8], "bits": 32}}
    with monkeypatch.context() as patch:
        for kind in (PotentialRecipe, REM3DIRecipe):
            patch.setattr(kind, "train_rows", killed)  # the data have been read
        with pytest.raises(KeyboardInterrupt):
            run(changed, data_root, tmp_path)
    assert not (logs / "state.pt").exists()
    assert not (logs / "statistics.npz").exists()
    assert json.loads((logs / "recipe.json").read_text())["seed"] == 7
    capsys.readouterr()
    run(changed, data_root, tmp_path, "--resume")
    assert f"--resume: {logs} has no state to go on from; the run begins" in capsys.readouterr().err
    if recipe["kind"] == "rem3di":
        with np.load(logs / "statistics.npz") as statistics:
            assert statistics["bits"] == 32


def test_statistics_without_a_state_are_not_gone_on_from(trained, data_root, tmp_path):
    recipe = ENCODER | {"potential": str(trained / "tiny-potential"), "probe": None}
    run(recipe, data_root, tmp_path)
    logs = tmp_path / "tiny-rem3di.run"
    (logs / "state.pt").unlink()
    run(recipe | {"targets": {"classes": [8, 8], "bits": 32}}, data_root, tmp_path, "--resume")
    with np.load(logs / "statistics.npz") as statistics:
        assert statistics["bits"] == 32


def test_a_packed_folder_that_has_changed_is_refused(data_root, tmp_path):
    data: PackedSet = read_xtb(data_root / "labels.npz")
    write_packed(tmp_path / "mine", data)
    recipe = POTENTIAL | {"data": {"mine": 1.0}}
    run(recipe, tmp_path, tmp_path)
    more = ("--resume", "--set", "schedule.steps=8")
    forces = next((tmp_path / "mine").glob("*forces*"))
    np.save(forces, -7 * np.load(forces))
    with pytest.raises(ValueError, match=r"mine is not the file that the run in .* began with"):
        run(recipe, tmp_path, tmp_path, *more)


def test_targets_that_have_changed_are_refused(trained, data_root, tmp_path):
    recipe = ENCODER | {"potential": str(trained / "tiny-potential"), "probe": None}
    other = tmp_path / "data"
    shutil.copytree(data_root, other)
    run(recipe, other, tmp_path)
    with np.load(other / "targets.npz") as targets:
        np.savez_compressed(other / "targets.npz", **targets)
    with pytest.raises(ValueError, match=r"targets\.npz is not the file that the run in .* began with"):
        run(recipe, other, tmp_path, "--resume", "--set", "schedule.steps=8")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--set schedule.learning_rate=1e30 --set schedule.steps=50", "step "),  # diverges
        ("--device cuda:77", "--device cuda:77 is not available on this machine"),
        ("--devices 0", "--devices and --nodes must be at least 1, got 0 and 1"),
    ],
)
def test_mistakes_give_messages_not_tracebacks(flags, message, data_root, tmp_path, capsys):
    recipe = write(POTENTIAL, tmp_path / "tiny.yaml")
    arguments = ["pretrain", str(recipe), "--data", str(data_root), "--out", str(tmp_path), "--device", "cpu"]
    assert main([*arguments, *flags.split()]) == 2
    assert f"skmol3d pretrain: {message}" in capsys.readouterr().err
