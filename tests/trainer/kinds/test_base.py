"""What every recipe checks and tells."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from skmol3d.trainer.data.sources import Source
from skmol3d.trainer.kinds.base import LoopRecipe, Place, Recipe, packed
from skmol3d.trainer.schedule import Schedule

DATA = (Source("b.npz", share=2.0), Source("a.npz"), Source("b.npz", share=0.5))


@dataclass(frozen=True, kw_only=True)
class Plain(Recipe):
    kind: str = "plain"


def recipe(**changes):
    return Plain(**({"name": "tiny", "data": DATA, "held_out": 0.1} | changes))


def test_paths_are_read_once_and_entries_keep_their_shares():
    made = recipe()
    assert made.paths == ["b.npz", "a.npz"]
    assert made.shares == [2.0, 1.0, 0.5]


@pytest.mark.parametrize("name", ["../tiny", "a/b", "", ".", "..", "/tiny"])
def test_a_name_is_that_of_a_folder_below_out(name):
    with pytest.raises(ValueError, match="is not the name of a folder"):
        recipe(name=name)


def test_there_are_data():
    with pytest.raises(ValueError, match="data: there is no entry"):
        recipe(data=())


def test_what_was_trained_here_goes_before_what_is_bundled(tmp_path):
    place = Place(tmp_path, tmp_path / "out", tmp_path / "logs")
    assert place.checkpoint("rem3di-small") == "rem3di-small"
    (tmp_path / "out" / "rem3di-small").mkdir(parents=True)
    assert place.checkpoint("rem3di-small") == str(tmp_path / "out" / "rem3di-small")


@pytest.mark.parametrize("processes", [{"devices": 2}, {"nodes": 2}])
def test_several_processes_do_not_embed_the_same_file(processes, tmp_path):
    place = Place(tmp_path, tmp_path, tmp_path, **processes)
    with pytest.raises(ValueError, match=r"smiles\.csv: embed it first"):
        packed(tmp_path / "smiles.csv", place)


def test_what_a_kill_made_to_be_done_twice_counts_once(tmp_path):
    weights = {"forces": 2.0, "energy": 0.0}
    made = LoopRecipe(
        kind="potential", name="tiny", data=DATA, held_out=0.1, atoms=10, weights=weights,
        schedule=Schedule(steps=25),
    )  # fmt: skip
    log = {"step": [10, 20, 15, 25], "molecules": [4.0] * 4, "seconds": [60, 120, 90, 180.0]}
    pd.DataFrame(log).to_csv(tmp_path / "log.csv", index=False)
    objectives, steps = made.history(tmp_path)
    assert "`forces` (2)" in objectives
    assert "energy" not in objectives.split("`forces`")[0]
    assert "`energy`" not in objectives
    assert steps == "25 steps, about 100 molecules seen, 3 min of training"


def test_both_halves_of_a_split_are_all_and_seldom_change(tmp_path):
    class Set:
        def split(self, held_out, seed):
            order = np.random.default_rng(seed).permutation(20)
            return order[int(20 * held_out) :], order[: int(20 * held_out)]

    found = recipe(seed=3).split({"a.npz": Set(), "b.npz": Set()})
    for train, held in found.values():
        assert len(held) == 2
        assert sorted([*train, *held]) == list(range(20))
    np.testing.assert_array_equal(found["a.npz"][0], recipe(seed=3).split({"a.npz": Set()})["a.npz"][0])
