"""What a checkpoint met in training is counted in the test parts and told under the tables."""

import numpy as np
import pytest

from skmol3d import PotentialFeaturizer
from skmol3d.benchmark import evaluate, render
from skmol3d.benchmark.seen import seen
from skmol3d.hub import bundled


def test_molecules_are_found_in_any_spelling_and_stereo_is_ignored():
    smiles = ["OCC", "C(C)O", "C[C@H](O)CC", "C[C@@H](O)CC", "not a molecule", "C" * 30]
    assert seen("et-xtb-small", smiles).tolist() == [True, True, True, True, False, False]


def test_nothing_is_known_of_other_checkpoints():
    assert not seen("my/potential", ["CCO"]).any()
    assert not seen("", ["CCO"]).any()


def test_the_checkpoints_over_the_xtb_potential_are_listed():
    listed = {model for model in bundled() if seen(model, ["CCO"]).any()}
    assert listed == {"ec-xtb-small", "et-xtb-small", "rem3di-small"}


class Known(PotentialFeaturizer):
    """Rows without a network."""

    def fit_transform(self, X, y=None):
        return np.random.default_rng(0).normal(size=(len(X), 3))

    def get_feature_names_out(self, input_features=None):
        return ["a_b_0", "a_b_1", "a_b_2"]


@pytest.mark.parametrize("cv", [None, (3, 2)])
def test_the_test_part_counts(panel, cv):
    (task, _), _ = panel
    task.smiles = ["C" * (30 + i) for i in range(59)] + ["OCC"]  # the last one is a test molecule
    task.split = np.array(["train"] * 45 + ["test"] * 15)
    results = evaluate({"m": Known(), "random": Known("some/folder")}, [task], ["linear"], cv)
    counts = results.groupby("method")["n_seen"].sum()
    assert counts.to_dict() == {"m": 1 if cv is None else 2, "random": 0}
    note = render(results).splitlines()[-1]
    assert "were in the training of a checkpoint" in note
    # Of two repeats, each tests every molecule once.
    assert note.endswith(f"m: 1 of {15 if cv is None else 60} of first.")


def test_no_note_where_nothing_was_met(panel):
    tasks, X = panel
    assert "in the training of a checkpoint" not in render(evaluate({"m": X}, tasks, ["linear"]))
