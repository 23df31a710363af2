"""Recipes of kind ``rem3di``: from SMILES alone, and resumed as if never interrupted."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from mace_examples import mace_file
from recipe_examples import ENCODER, POTENTIAL, run
from trainer_examples import SMILES

from skmol3d import REM3DIFeaturizer
from skmol3d.hub import convert
from skmol3d.trainer.kinds import rem3di
from skmol3d.trainer.kinds.base import Place
from skmol3d.trainer.logs import Saving
from skmol3d.trainer.objectives.encoder import EncoderObjective
from skmol3d.trainer.pretrain import parse_recipe

MORE = [f"{head}{tail}" for head in ("CCO", "c1ccccc1", "CC(=O)N", "C[C@H](N)") for tail in "CNOSF"]
SMALL = [
    *("model.width=16", "model.layers=1", "model.heads=2", "model.pair_width=4", "model.readout=24"),
    *("model.chiral=4", "model.dense=16", "targets.bits=64", "schedule.steps=4", "schedule.minutes=null"),
]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smiles.csv", "smiles.smi.gz"])
def test_a_file_of_smiles_is_enough(name, tmp_path):
    """REVIEW A8: the shipped recipe over the bundled potential, with a smaller network, on 30 SMILES."""
    smiles = [*SMILES, *MORE]
    assert len(smiles) == 30
    pd.DataFrame({"smiles": smiles}).to_csv(
        tmp_path / name, index=False, header=name.endswith("csv"), compression="infer"
    )
    changes = [*SMALL, f"data=[{{path: {name}}}]", "held_out=0.1"]
    options = [option for change in changes for option in ("--set", change)]
    run("rem3di-from-smiles", tmp_path, tmp_path / "out", *options)
    folder = tmp_path / "out" / "rem3di-from-smiles"
    rows = REM3DIFeaturizer(model=str(folder), device="cpu").fit_transform(["CCO", "c1ccccc1"])
    assert np.isfinite(rows).all()
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"`{name}` (share 1): 29 conformers of 29 molecules with 4 to " in card  # ethanol is too small
    assert "Where they come from the recipe does not say." in card
    assert not any(word in card for word in ("license", "ChEMBL", "xTB"))
    failures = tmp_path / "out" / "rem3di-from-smiles.run" / "packed" / name / "shard_0000.failures.csv"
    assert pd.read_csv(failures)["reason"].tolist() == ["3 heavy atoms, not 4 to 45"]


def test_read_outs_are_calibrated_on_every_entry_by_its_share(trained, data_root, tmp_path):
    """Sums over large molecules are larger: what fits one entry alone misjudges the losses on others."""
    recipe = parse_recipe(ENCODER | {"potential": str(trained / "tiny-potential"), "probe": None})
    place = Place(data_root, tmp_path, tmp_path / "logs")
    corpus = rem3di.Corpus.read(recipe, place)
    assert len(corpus.sets) > 1
    encoder = recipe.build(corpus, place.potential(recipe.potential))
    objective = EncoderObjective(encoder, corpus.statistics, list(recipe.weights))
    shares = [3.0, *[1.0] * (len(corpus.sets) - 1)]
    counts = [round(8 * share / sum(shares)) for share in shares]
    rem3di.calibrate(objective, corpus.sets, corpus.train, shares, molecules=8)
    rows = []
    for data, index, count in zip(corpus.sets, corpus.train, counts, strict=True):
        for row in np.random.default_rng(0).permutation(index)[:count]:
            tokens = encoder.tokens(data.batch(np.array([row]))[0])
            rows.append(encoder.invariant(tokens).detach())
    rows = torch.cat(rows)
    torch.testing.assert_close(objective.standardise.mean, rows.mean(0))
    torch.testing.assert_close(objective.standardise.variance, rows.var(0))


class Killed(Exception):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [ENCODER | {"probe": None}, POTENTIAL], ids=lambda r: r["kind"])
def test_a_killed_run_with_packed_data_equals_one_that_was_not(
    recipe, trained, data_root, tmp_path, monkeypatch
):
    """REVIEW E6: recipes themselves, not a toy objective; limited by steps."""
    recipe = recipe | ({"potential": str(trained / "tiny-potential")} if recipe["kind"] == "rem3di" else {})
    for folder in ("whole", "parts"):
        (tmp_path / folder).mkdir()
    run(recipe, data_root, tmp_path / "whole")

    def kill_after_three(self, trainer, module, *_):
        if trainer.global_step == 3:
            new = self.file.with_suffix(".tmp")
            trainer.save_checkpoint(new, weights_only=False)
            new.replace(self.file)
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Saving, "on_train_batch_end", kill_after_three)
        with pytest.raises(Killed):
            run(recipe, data_root, tmp_path / "parts")
    run(recipe, data_root, tmp_path / "parts", "--resume")
    states, tables, metrics = [], [], []
    for folder in ("whole", "parts"):
        logs = tmp_path / folder / f"{recipe['name']}.run"
        state = torch.load(logs / "state.pt", weights_only=True)
        states.append(state["state_dict"] | state["optimizer_states"][0]["state"])
        tables.append([pd.read_csv(logs / f"{t}.csv").drop(columns="seconds") for t in ("log", "evaluation")])
        metrics.append(json.loads((logs / "metrics.json").read_text()))
    assert metrics[0] == metrics[1]
    for one, other in zip(*tables, strict=True):
        pd.testing.assert_frame_equal(one, other)
    for name, value in states[0].items():
        for one, other in zip(parts(value), parts(states[1][name]), strict=True):
            assert torch.equal(one, other), name


def parts(value):
    return [value] if isinstance(value, torch.Tensor) else list(value.values())


@pytest.mark.slow
def test_a_recipe_trains_over_a_converted_mace(data_root, tmp_path):
    """With the changes to it that docs/own.md asks for."""
    energies = dict.fromkeys((1, 6, 7, 8, 9, 15, 16, 17, 35), -100.0)
    mace = convert(mace_file(tmp_path / "x.model", energies=energies), tmp_path / "mace", trust_pickle=True)
    model = ENCODER["model"] | {"strain": False}
    changes = {"name": "over-mace", "potential": str(mace), "model": model, "masked": 0.0}
    run(ENCODER | changes, data_root, tmp_path)
    rows = REM3DIFeaturizer(model=str(tmp_path / "over-mace"), device="cpu").fit_transform(["CCO", "C"])
    assert np.isfinite(rows).all()
