"""The examples of docs/extending.md run, and what they register is used as ours is."""

import dataclasses
import re
import sys
import types
from pathlib import Path

import ase
import numpy as np
import pytest
import torch
from objective_examples import random_batch, small_rem3di
from recipe_examples import POTENTIAL, run

from skmol3d import PotentialCalculator, PotentialFeaturizer, hub
from skmol3d.encoders import Potential, PotentialConfig, backbones
from skmol3d.trainer import kinds
from skmol3d.trainer.data import sources
from skmol3d.trainer.objectives import registry
from skmol3d.trainer.objectives.encoder import EncoderObjective

GUIDE = Path(__file__).parents[2] / "docs" / "extending.md"


def blocks(title):
    """The Python under a heading."""
    section = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", GUIDE.read_text(), re.M | re.S)
    return re.findall(r"```python\n(.*?)```", section[1], re.S)


@pytest.fixture
def example(monkeypatch):
    """Run the code under a heading; what it registers is gone after the test."""
    registry.losses("rem3di")  # ours are registered by now
    own = {kind: dict(known) for kind, known in registry._registered.items()}
    monkeypatch.setattr(registry, "_registered", own)

    def run_block(title, module="extension"):
        made = types.ModuleType(module)
        monkeypatch.setitem(sys.modules, module, made)
        exec(blocks(title)[0], made.__dict__)
        return made

    return run_block


def test_a_backbone_carries_a_potential(example):
    made = example("A backbone")
    try:
        potential = Potential(PotentialConfig(made.ElementsConfig())).double()
        assert potential.energy(random_batch()).shape == (3,)
        assert backbones.build_backbone(made.ElementsConfig(width=5)).embedding.weight.shape == (119, 5)
    finally:
        del backbones.BACKBONES["elements"]


def test_a_potential_of_others_is_a_featurizer_and_a_calculator_by_its_name(example, tmp_path, monkeypatch):
    title = "A potential trained elsewhere"
    made = example(title)
    monkeypatch.chdir(tmp_path)
    atoms = ase.Atoms("FeCO", [[0.0, 0.0, 0.0], [0.0, 0.1, 1.8], [0.0, 0.0, 2.95]])
    given = {"weights": {"weight": torch.linspace(-1.0, 1.0, 119 * 8).view(119, 8)}, "atoms": atoms}
    given |= {"Potential": Potential, "PotentialConfig": PotentialConfig, "PairsConfig": made.PairsConfig}
    given |= {"PotentialFeaturizer": PotentialFeaturizer, "PotentialCalculator": PotentialCalculator}
    try:
        exec(blocks(title)[1], given | {"hub": hub})
        assert hub.from_pretrained(tmp_path / "pairs").element_energy[26] == -321.0
        rows = PotentialFeaturizer(str(tmp_path / "pairs"), errors="nan", device="cpu")
        assert rows.fit_transform(["CCO", "CN"]).shape == (2, 40)
        assert "N: not among the elements the model knows" in rows.failures_["reason"][0]
        energy, force = atoms.get_potential_energy(), atoms.get_forces()[0, 2]
        assert atoms.get_forces().sum(0) == pytest.approx(0.0, abs=1e-9)
        atoms.positions[0, 2] += 1e-4
        assert atoms.get_potential_energy() - energy == pytest.approx(-force * 1e-4, rel=1e-2)
    finally:
        del backbones.BACKBONES["pairs"]


def test_an_objective_is_weighted_like_ours(example):
    made = example("An objective")
    assert "size" in registry.losses("rem3di")
    objective = EncoderObjective(small_rem3di().float(), None, ["variance", "size"])
    assert isinstance(objective.parts["Size"], made.Size)
    batch = random_batch()
    single = dataclasses.replace(batch, positions=batch.positions.float(), charge=batch.charge.float())
    found = objective(single, {})
    assert set(found) == {"variance", "size"}
    assert found["size"].item() > 0


def test_a_kind_ends_in_a_checkpoint_with_a_card(example, monkeypatch, data_root, tmp_path):
    made = example("A kind of recipe", "skmol3d.trainer.kinds.untrained")
    monkeypatch.setitem(kinds.KINDS, "untrained", "UntrainedRecipe")
    names = ("data", "held_out", "model")
    run({"kind": "untrained", "name": "bare", **{k: POTENTIAL[k] for k in names}}, data_root, tmp_path)
    assert isinstance(hub.from_pretrained(str(tmp_path / "bare")), Potential)
    card = (tmp_path / "bare" / "README.md").read_text(encoding="utf-8")
    assert "A potential that was never trained." in card
    assert "| labels.npz | 30 |" in card
    assert made.UntrainedRecipe.kind == "untrained"


def test_a_format_of_training_data(example, monkeypatch, tmp_path):
    made = example("A data set", "skmol3d.trainer.data.table")
    monkeypatch.setattr(sources, "FORMATS", (*sources.FORMATS, made.FORMAT))
    water = "7 -2.5 8 0 0 0\n7 -2.5 1 0.96 0 0\n7 -2.5 1 -0.24 0.93 0\n"
    (tmp_path / "water.atoms").write_text(water + "9 -1.5 1 0 0 0\n9 -1.5 1 0.74 0 0\n")
    read = sources.read_set(tmp_path / "water.atoms")
    batch, targets = read.batch(np.array([0]))
    assert targets["energy"].tolist() == [-2.5]
    assert read.group.tolist() == [7, 9]
    assert batch.numbers.tolist() == [8, 1, 1]
    assert batch.positions[1, 0].item() == pytest.approx(0.96)
    assert torch.is_floating_point(batch.positions)


def test_a_featurizer_has_rows_names_and_reasons(example):
    rows = example("A featurizer").HeavyAtoms(errors="nan")
    found = rows.fit_transform(["CCO", "nonsense", "C"])
    np.testing.assert_array_equal(found, [[3], [np.nan], [1]])
    assert rows.get_feature_names_out().tolist() == ["heavy_atoms"]
    assert rows.failures_["index"].tolist() == [1]
