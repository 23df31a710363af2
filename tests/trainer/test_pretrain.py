"""From recipes to checkpoints that the hub and the featurizer read."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from recipe_examples import ENCODER, POTENTIAL, run, write

from skmol3d import REM3DIFeaturizer, hub
from skmol3d.encoders import REM3DI, Potential, REM3DIConfig
from skmol3d.encoders.config import config_from_dict
from skmol3d.encoders.rem3di.surface import COLUMNS
from skmol3d.trainer import card as card_module
from skmol3d.trainer import pretrain
from skmol3d.trainer.data.transforms import MASK
from skmol3d.trainer.data.xtb import read_xtb
from skmol3d.trainer.pretrain import parse_recipe, read_recipe


def test_potential(trained):
    potential = hub.from_pretrained(str(trained / "tiny-potential"))
    assert isinstance(potential, Potential)
    # The synthetic energies are -3 eV per proton: the fit to the elements finds it.
    assert potential.element_energy[8].item() == pytest.approx(-24, abs=3)
    assert potential.element_energy[92].item() == 0
    metrics = json.loads((trained / "tiny-potential.run" / "metrics.json").read_text())["labels.npz"]
    assert metrics["molecules"] == 6  # conformers of two molecules
    card = (trained / "tiny-potential" / "README.md").read_text(encoding="utf-8")
    assert "# tiny-potential" in card
    assert f"{metrics['force_mae']:.4g}" in card
    assert "6 steps" in card


def test_metrics_of_the_potential(trained, data_root):
    """The reported errors, recomputed one conformer at a time."""
    from skmol3d.trainer.kinds.potential_errors import errors
    from skmol3d.trainer.objectives.forces import PotentialObjective

    data = read_xtb(data_root / "labels.npz")
    _, held = data.split(0.2, 0)
    objective = PotentialObjective(hub.from_pretrained(str(trained / "tiny-potential"))).eval()
    found = errors(objective, data, held)
    energy, atoms, forces = [], [], []
    for m in held:
        batch, targets = data.batch(np.array([m]))
        e, f = objective.potential.energy_and_forces(batch)
        energy.append((e - targets["energy"]).abs().item())
        atoms.append(len(batch.numbers))
        forces.append((f - targets["forces"]).abs().numpy())
    assert found["energy_mae"] == pytest.approx(np.mean(energy), rel=1e-3)
    assert found["energy_mae_per_atom"] == pytest.approx(np.mean(np.divide(energy, atoms)), rel=1e-3)
    assert found["force_mae"] == pytest.approx(np.concatenate(forces).mean(), rel=1e-3)


def test_encoder(trained):
    encoder = hub.from_pretrained(str(trained / "tiny-rem3di"))
    assert isinstance(encoder, REM3DI)
    potential = hub.from_pretrained(str(trained / "tiny-potential"))
    for name, value in potential.backbone.state_dict().items():
        own = encoder.backbone.state_dict()[name]
        if "embedding" in name and name.endswith("weight"):
            # Hidden atoms look like an average element to a backbone that never saw them.
            own, mask = own[:MASK], own[MASK]
            torch.testing.assert_close(mask, value[list(encoder.elements)].mean(0), atol=1e-3, rtol=1e-3)
            value = value[:MASK]
        assert torch.equal(own, value)  # frozen
    assert encoder.scalar_std.min() > 0
    assert not torch.equal(encoder.scalar_std, torch.ones_like(encoder.scalar_std))
    metrics = json.loads((trained / "tiny-rem3di.run" / "metrics.json").read_text())
    marks = {"effective_dimension", "auroc_lowest", "auroc_mean", "aligned_rmsd"}
    assert set(metrics) == {*ENCODER["weights"], *marks}
    assert 0 <= metrics["auroc_lowest"] <= metrics["auroc_mean"] <= 1
    assert 0 < metrics["aligned_rmsd"] < 5
    assert 1 <= metrics["effective_dimension"] <= 6
    card = (trained / "tiny-rem3di" / "README.md").read_text(encoding="utf-8")
    for name, value in metrics.items():
        assert name in card
        assert f"{value:.4g}" in card
    assert parse_recipe(yaml.safe_load(card.split("```yaml")[1].split("```")[0])) == parse_recipe(ENCODER)


def test_probe_scores_are_logged(trained):
    rows = pd.read_csv(trained / "tiny-rem3di.run" / "evaluation.csv")
    scored = rows.dropna(subset="length.value.r2")
    assert scored["step"].tolist() == [0, 3, 6]
    assert (scored["length.value.mae"] > 0).all()


def test_only_losses_with_a_weight_are_computed(trained, data_root, tmp_path):
    changes = {"weights": {"substructures": 1.0, "angles": 0.5}, "probe": None, "name": "few"}
    recipe = ENCODER | changes | {"potential": str(trained / "tiny-potential")}
    run(write(recipe, tmp_path / "few.yaml"), data_root, tmp_path)
    encoder = hub.from_pretrained(str(tmp_path / "few"))
    assert list(encoder.output_blocks()) == [
        "surface",
        "properties",
        "dense",
    ]  # no words without environments
    log = pd.read_csv(tmp_path / "few.run" / "log.csv")
    assert {"substructures", "angles"} <= set(log.columns)
    assert not {"denoising", "distances", "variance"} & set(log.columns)
    wrong = recipe | {"weights": {"angle": 1.0}}
    with pytest.raises(ValueError, match=r"weights: no such losses \['angle'\]; there are .*denoising"):
        run(write(wrong, tmp_path / "wrong.yaml"), data_root, tmp_path)


@pytest.mark.slow
def test_conformers_embedded_while_training(trained, data_root, tmp_path):
    changes = {
        "online": {"smiles": "smiles.csv", "workers": 1, "share": 1.0},
        "probe": None,
        "name": "online",
    }
    recipe = ENCODER | changes | {"potential": str(trained / "tiny-potential")}
    recipe["data"] = [{"path": "labels.npz", "targets": "targets.npz"}]
    run(write(recipe, tmp_path / "online.yaml"), data_root, tmp_path)
    log = pd.read_csv(tmp_path / "online.run" / "log.csv")
    # Molecules embedded from SMILES have no xTB labels: the loss of an objective without labels is zero.
    assert log["electronic"].iloc[-1] == 0
    assert log["environments"].iloc[-1] > 0


def test_benchmark_tables_replace_older_ones(trained, tmp_path, monkeypatch):
    folder = shutil.copytree(trained / "tiny-rem3di", tmp_path / "checkpoint")
    before = (folder / "README.md").read_text(encoding="utf-8")
    for table in ("| first |", "| second |"):
        (tmp_path / "tables.md").write_text(table, encoding="utf-8")
        monkeypatch.setattr("sys.argv", ["card", str(folder), str(tmp_path / "tables.md")])
        card_module.main()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card == f"{before.rstrip()}\n\n## Benchmark\n\n| second |\n"


def test_featurizer_reads_the_checkpoint(trained):
    featurizer = REM3DIFeaturizer(model=str(trained / "tiny-rem3di"), device="cpu")
    rows = featurizer.fit_transform(["CCO", "c1ccccc1", "C[C@H](N)C(=O)O"])
    assert rows.shape == (3, (8 + 6) + 5 + (1 + 3 * 4) + len(COLUMNS) + 1 + 5 + 8)
    assert np.isfinite(rows).all()
    assert rows[:, :14].any()


def test_backbone_features_are_standardised(trained, data_root):

    encoder = hub.from_pretrained(str(trained / "tiny-rem3di"))
    data = read_xtb(data_root / "labels.npz")
    with torch.no_grad():
        tokens = encoder.tokens(data.batch(data.split(0.2, 0)[0])[0])
    assert tokens.scalars[tokens.real].mean(0).abs().max() < 0.5
    assert 0.5 < tokens.scalars[tokens.real].std(0).median() < 1.5


def test_mixed_precision(trained, data_root, tmp_path):
    recipe = ENCODER | {"name": "mixed", "potential": str(trained / "tiny-potential")}
    path = write(recipe, tmp_path / "mixed.yaml")
    run(path, data_root, tmp_path, "--precision", "bf16-mixed")
    full, mixed = (
        json.loads((folder / "metrics.json").read_text())
        for folder in (trained / "tiny-rem3di.run", tmp_path / "mixed.run")
    )
    assert mixed == pytest.approx(full, rel=0.05, abs=0.05)
    assert mixed != full


def test_an_encoder_is_no_potential(trained, data_root, tmp_path):
    recipe = write(ENCODER | {"potential": str(trained / "tiny-rem3di")}, tmp_path / "wrong.yaml")
    with pytest.raises(ValueError, match="tiny-rem3di is a REM3DI, not a potential"):
        run(recipe, data_root, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("schedule.steps: '1e3'", r"recipe\.schedule\.steps: expected int, got 1000\.0"),
        ("schedule.step: 3", r"recipe\.schedule: .*'step'"),
        ("model.backbone.heads: 0", r"recipe\.model\.backbone: heads must be positive"),
        ("held_out: 0.01", "leaves one side empty"),
    ],
)
def test_wrong_values_in_a_recipe(change, message, data_root, tmp_path):
    (path, value), recipe = next(iter(yaml.safe_load(change).items())), json.loads(json.dumps(POTENTIAL))
    *parents, last = path.split(".")
    place = recipe
    for parent in parents:
        place = place[parent]
    place[last] = value
    with pytest.raises(ValueError, match=message):
        run(write(recipe, tmp_path / "wrong.yaml"), data_root, tmp_path)


@pytest.mark.parametrize("name", pretrain.shipped())
def test_shipped_recipes_are_valid(name):
    recipe = read_recipe(name, [])
    assert recipe.name == name
    assert read_recipe(name, ["seed=0"]) == recipe
    if recipe.kind == "rem3di":
        words = recipe.model["words"] | {"classes": list(recipe.targets.classes)}
        config_from_dict(REM3DIConfig, recipe.model | {"words": words})


def test_set_changes_the_recipe():
    recipe = read_recipe("et-xtb-small", ["schedule.steps=7", "held_out=0.5", "model.backbone.heads=4"])
    assert recipe.schedule.steps == 7
    assert recipe.held_out == 0.5
    assert recipe.model.backbone.heads == 4


def test_a_recipe_has_from_its_base_what_it_does_not_say(tmp_path):
    write(POTENTIAL, tmp_path / "first.yaml")
    own = {
        "base": str(tmp_path / "first.yaml"),
        "name": "second",
        "schedule": {"steps": 9},
        "data": {"x.npz": 1},
    }
    recipe = read_recipe(write(own, tmp_path / "second.yaml"), ["atoms=77"])
    first = read_recipe(own["base"], [])
    assert recipe.schedule == dataclasses.replace(first.schedule, steps=9)
    assert [source.path for source in recipe.data] == ["x.npz"]
    assert (recipe.name, recipe.atoms, recipe.weights) == ("second", 77, first.weights)


@pytest.mark.parametrize(
    "change", ["schedule.stepz=7", "stepz=7", "schedule.steps.more=7", "nowhere.steps=7", "=3"]
)
def test_set_refuses_what_the_recipe_has_not(change):
    with pytest.raises(ValueError, match="the recipe has no such key"):
        read_recipe("rem3di-small", [change])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("schedule.steps", "--set schedule.steps: expected KEY=VALUE"),
        ("data=[{path: t.xyz", r"--set data=\[\{path: t.xyz: not YAML: while parsing"),
        ("held_out=-0.2", "held_out is a share, from 0 and below 1; got -0.2"),
        ("held_out=.nan", "held_out is a share, from 0 and below 1; got nan"),
        ("seed=-1", "seed must not be negative, got -1"),
        ("atoms=0", "atoms must be positive, got 0"),
        ("masked=5", "masked is a share, from 0 and below 1; got 5"),
        ("targets.bits=0", "bits must be positive, got 0"),
        ("targets.classes=[]", r"classes must be positive numbers, got \[\]"),
        ("probe={sets: x, every: 0}", "every must be positive, got 0"),
        ("online={smiles: x, workers: 1, share: 2.0}", "share is of the batches, at most 1; got 2.0"),
        ("weights={environments: 0}", "weights: all are zero"),
        ("data=[{path: x, targets: a}, {path: x, targets: b}]", "x is named twice, with other targets"),
    ],
)
def test_settings_that_make_no_sense(change, message):
    with pytest.raises(ValueError, match=message):
        read_recipe("rem3di-small", [change])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "kind: other",
            "kind must be one of 'potential', 'rem3di', .*, got 'other'",
        ),
        ("- 1", "kind must be one of"),
        ("", "kind must be one of .* got None"),
        ("{kind: potential, name: a}", r"recipe: missing field\(s\) 'data', 'held_out'"),
        (
            yaml.safe_dump(POTENTIAL | {"name": "../../x"}),
            r"recipe: name: '../../x' is not the name of a folder",
        ),
        (yaml.safe_dump(POTENTIAL | {"data": []}), "recipe: data: there is no entry"),
        (yaml.safe_dump(POTENTIAL | {"colour": 1}), r"recipe: unknown field\(s\) 'colour'"),
        ("kind: potential\n\tname: a", "recipe.yaml: not YAML: while scanning for the next token"),
        (yaml.safe_dump(POTENTIAL) + "seed: 3\n", "recipe.yaml: seed is there twice"),
        ("base: recipe.yaml", "recipe.yaml: its base leads back to itself"),
        ("base: list.yaml", "recipe.yaml: its base list.yaml is no recipe"),
    ],
)
def test_recipes_that_are_none(text, message, tmp_path):
    (tmp_path / "recipe.yaml").write_text(text)
    (tmp_path / "list.yaml").write_text("[1, 2]")
    with pytest.raises(ValueError, match=message):
        read_recipe(str(tmp_path / "recipe.yaml"), [])


def test_a_recipe_in_another_encoding(tmp_path):
    (tmp_path / "recipe.yaml").write_text("name: Å", encoding="latin-1")
    with pytest.raises(ValueError, match=r"recipe.yaml: not text in UTF-8"):
        read_recipe(str(tmp_path / "recipe.yaml"), [])


def test_unknown_recipe():
    with pytest.raises(ValueError, match=r"no recipe 'nothing'; shipped: .*et-xtb-small, .*rem3di-small"):
        read_recipe("nothing", [])


def test_training_from_packed_data_does_not_import_rdkit():
    code = (
        "import sys; sys.modules['rdkit'] = None\n"
        "from importlib import import_module\n"
        "from skmol3d.trainer.kinds import KINDS\n"
        "import skmol3d.cli.pretrain, skmol3d.trainer.card, skmol3d.hub\n"
        "for kind in KINDS: import_module(f'skmol3d.trainer.kinds.{kind}')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_other_data_have_no_licence_unless_it_is_given():
    mine = "data=[{path: mine.npz, share: 1}]"
    assert read_recipe("ec-xtb-small", []).licence == "mit"
    assert read_recipe("ec-xtb-small", [mine]).licence is None
    assert read_recipe("ec-xtb-small", [mine, "licence=cc0-1.0"]).licence == "cc0-1.0"


def test_numbers_may_have_exponents():
    assert read_recipe("ec-xtb-small", ["schedule.learning_rate=1e-3"]).schedule.learning_rate == 1e-3
    assert read_recipe("ec-xtb-small", ["schedule.learning_rate=2E-3"]).schedule.learning_rate == 2e-3


def test_a_base_may_lie_beside_its_recipe(tmp_path):
    write({"base": "ec-xtb-small", "name": "first", "seed": 3}, tmp_path / "first.yaml")
    second = {"base": "first.yaml", "name": "second", "data": {"mine.npz": 1.0}}
    recipe = read_recipe(str(write(second, tmp_path / "second.yaml")), [])
    assert (recipe.name, recipe.seed, recipe.licence) == ("second", 3, None)
