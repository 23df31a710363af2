"""``--recorded``: potentials whose steps a GPU replays, from the recipe to the checkpoint."""

import argparse
import json

import numpy as np
import pytest
import torch
import yaml
from recipe_examples import ENCODER, POTENTIAL

from skmol3d import hub
from skmol3d.trainer import pretrain

CONVOLUTION = {
    "kind": "equivariant-convolution",
    "width": 8,
    "vectors": 4,
    "layers": 2,
    "filters": 2,
    "radial": 6,
}
RECIPE = POTENTIAL | {"name": "recorded", "model": {"backbone": CONVOLUTION}}


def run(recipe, data, out, *flags, recorded=True):
    path = out / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    parser = argparse.ArgumentParser()
    pretrain.add_arguments(parser)
    given = [str(path), "--data", str(data), "--out", str(out), "--device", "cpu", *flags]
    pretrain.run(parser.parse_args([*given, "--recorded"] if recorded else given))


def test_a_recipe_ends_in_a_checkpoint(data_root, tmp_path):
    run(RECIPE, data_root, tmp_path)
    made = hub.from_pretrained(str(tmp_path / "recorded"))
    metrics = json.loads((tmp_path / "recorded.run" / "metrics.json").read_text())
    assert np.isfinite(list(metrics["labels.npz"].values())).all()
    card = (tmp_path / "recorded" / "README.md").read_text(encoding="utf-8")
    assert "6 steps" in card
    assert "--data DATA --recorded`" in card
    longer = RECIPE | {"schedule": RECIPE["schedule"] | {"steps": 9}}
    run(longer, data_root, tmp_path, "--resume")
    more = hub.from_pretrained(str(tmp_path / "recorded"))
    assert not torch.equal(made.head[0].weight, more.head[0].weight)
    log = (tmp_path / "recorded.run" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in log] == ["step", "6", "9"]


VIEWS = {"data": [{"path": "labels.npz", "share": 1.0, "views": 2}]}


@pytest.mark.parametrize(
    ("recipe", "flags", "message"),
    [
        (POTENTIAL, (), "equivariant-convolution alone, not equivariant-transformer"),
        (RECIPE | {"weights": {"force_centric": 1.0}}, (), "not with force_centric in recipe.weights"),
        (RECIPE | VIEWS, (), "one by one, without views"),
        (RECIPE, ("--precision", "bf16-mixed"), "in precision 32-true"),
        (RECIPE, ("--devices", "2"), "on one device"),
        (RECIPE, ("--device", "cuda:77"), "--device cuda:77 is not available"),
        (ENCODER, (), "kind potential, and tiny-rem3di is a rem3di"),
    ],
)
def test_what_cannot_be_recorded_is_refused(recipe, flags, message, data_root, tmp_path):
    with pytest.raises(ValueError, match=message):
        run(recipe, data_root, tmp_path, *flags)
    assert not (tmp_path / f"{recipe['name']}.run").exists()


@pytest.mark.parametrize("recorded", [True, False])
def test_a_run_goes_on_as_it_began(recorded, data_root, tmp_path):
    run(RECIPE, data_root, tmp_path, recorded=recorded)
    with pytest.raises(ValueError, match="began with another --recorded"):
        run(RECIPE, data_root, tmp_path, "--resume", recorded=not recorded)
