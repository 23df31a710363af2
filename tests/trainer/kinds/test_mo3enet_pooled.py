"""Recipes of kind ``mo3enet_pooled``, their targets and their losses."""

import json

import numpy as np
import pytest
import torch
from recipe_examples import run

from skmol3d import hub
from skmol3d.encoders.mo3enet.pooled import PooledMo3ENet
from skmol3d.trainer.data.chemistry import ChemicalScales, with_descriptors
from skmol3d.trainer.data.shards import read_shards
from skmol3d.trainer.data.xtb import read_xtb
from skmol3d.trainer.objectives import chemistry
from skmol3d.trainer.objectives.chemistry import PooledObjective, quadrupoles, smoothness
from skmol3d.trainer.pretrain import read_recipe

SIZES = {"width": 12, "vectors": 5, "messages": 6, "radial": 8, "readout": 6, "context": 16, "embedding": 8}
CHEMISTRY = {"electronic": 1.0, "dipole": 1.0, "quadrupole": 0.1, "descriptors": 0.5}
SHAPE = {"position": 1.0, "element": 0.3, "presence": 0.3, "nearest": 0.1}
RECIPE = {
    "kind": "mo3enet_pooled",
    "name": "tiny-pooled",
    "seed": 0,
    "data": [
        {"path": "labels.npz", "share": 0.5, "targets": "targets.npz"},
        {"path": "corpus", "share": 0.5},
    ],
    "held_out": 0.2,
    "atoms": 120,
    "objective": {"sigma": 2.0, "threshold": 0.15, "blur": 0.1},
    "model": {**SIZES, "swarm": 24, "decoder": {"kind": "mixing", "width": 16, "layers": 1}},
    "weights": {**SHAPE, **CHEMISTRY},
    "schedule": {"steps": 4, "learning_rate": 1.0e-3, "warmup": 2, "ema": 0.5},
}


def test_recipe_to_checkpoint_and_back(data_root, tiny_potential, tmp_path):
    run(RECIPE | {"potential": tiny_potential}, data_root, tmp_path)
    encoder = hub.from_pretrained(str(tmp_path / "tiny-pooled"))
    assert isinstance(encoder, PooledMo3ENet)
    potential = hub.from_pretrained(tiny_potential)
    for own, given in zip(encoder.backbone.parameters(), potential.backbone.parameters(), strict=True):
        torch.testing.assert_close(own, given, rtol=1e-3, atol=1e-3)  # frozen, and kept in half precision
    metrics = json.loads((tmp_path / "tiny-pooled.run" / "metrics.json").read_text())
    assert list(metrics) == ["labels.npz", "corpus"]
    assert {"gap_mae", "dipole_mae", "exact"} <= metrics["labels.npz"].keys()
    assert "gap_mae" not in metrics["corpus"]  # where there are no labels, none is made up
    card = (tmp_path / "tiny-pooled" / "README.md").read_text(encoding="utf-8")
    assert "8 vectors" in card
    assert "up to 24 heavy atoms" in card


def test_a_run_starts_from_the_weights_of_another(data_root, tiny_potential, tmp_path):
    run(RECIPE | {"potential": tiny_potential}, data_root, tmp_path)
    # Nothing is learned in a step this small, so what comes out is what went in.
    still = {"steps": 1, "learning_rate": 1.0e-12, "weight_decay": 0.0, "ema": 0.5}
    again = RECIPE | {"potential": tiny_potential, "name": "again", "schedule": still}
    again |= {"initial": str(tmp_path / "tiny-pooled"), "seed": 1}
    run(again, data_root, tmp_path)
    first, second = (hub.from_pretrained(str(tmp_path / name)) for name in ("tiny-pooled", "again"))
    found = second.state_dict()
    for name, value in first.state_dict().items():
        if not name.startswith("kept"):  # the scale of the scalars is measured anew
            torch.testing.assert_close(found[name], value, rtol=2e-3, atol=1e-5)
    card = (tmp_path / "again" / "README.md").read_text(encoding="utf-8")
    assert f"It started from `{tmp_path / 'tiny-pooled'}`" in card
    wider = again | {"model": {**RECIPE["model"], "embedding": 9}}
    with pytest.raises(ValueError, match=r"tiny-pooled differs from the recipe's model in content\.weight"):
        run(wider, data_root, tmp_path)
    with pytest.raises(ValueError, match="is a Potential, not a PooledMo3ENet"):
        run(again | {"initial": tiny_potential}, data_root, tmp_path)


def test_unknown_labels_are_nan_and_known_ones_standardised(data_root):
    labels = with_descriptors(read_xtb(data_root / "labels.npz"), data_root / "targets.npz")
    corpus = read_shards(data_root / "corpus")
    everything = [np.arange(len(labels)), np.arange(len(corpus))]
    scales = ChemicalScales.measure([labels, corpus], everything)
    first, second = scales.labelled(labels), scales.labelled(corpus)
    levels = first.molecule_targets["electronic"]
    assert np.abs(levels.mean(0)).max() < 0.5
    assert np.isnan(second.molecule_targets["electronic"]).all()
    assert np.isnan(second.molecule_targets["dipole"]).all()
    assert np.isfinite(second.molecule_targets["descriptors"]).any()
    charged = labels.charge != 0
    assert np.isnan(first.molecule_targets["dipole"][charged]).all()
    gap = labels.molecule_targets["lumo"] - labels.molecule_targets["homo"]
    np.testing.assert_allclose(levels[:, 3] * scales.level_std[3] + scales.level_mean[3], gap, atol=1e-3)
    with pytest.raises(ValueError, match="no set has GFN2-xTB labels"):
        ChemicalScales.measure([corpus], everything[1:])


def test_a_batch_without_labels_has_no_chemical_loss(data_root, tiny_potential):
    corpus = read_shards(data_root / "corpus")
    labels = read_xtb(data_root / "labels.npz")
    scales = ChemicalScales.measure([labels, corpus], [np.arange(len(labels)), np.arange(len(corpus))])
    recipe = read_recipe("mo3enet-druglike", [])
    encoder = PooledMo3ENet(recipe.config(hub.from_pretrained(tiny_potential)))
    objective = PooledObjective(encoder, list(recipe.weights), len(scales.descriptor_mean))
    batch, targets = scales.labelled(corpus).batch(np.arange(3))
    losses = objective(batch, targets)
    assert {name for name, loss in losses.items() if loss == 0} >= {"electronic", "dipole", "quadrupole"}
    assert losses["descriptors"] > 0
    sum(losses.values()).backward()
    assert all(p.grad is None for p in encoder.backbone.parameters())
    with torch.no_grad():
        known = objective(*scales.labelled(labels).batch(np.arange(3)))
    assert min(float(known[name]) for name in ("electronic", "dipole", "quadrupole", "position")) > 0


def test_decoding_a_third_of_a_batch_is_decoding_these_molecules(data_root, tiny_potential):
    labels = read_xtb(data_root / "labels.npz")
    scales = ChemicalScales.measure([labels], [np.arange(len(labels))])
    recipe = read_recipe("mo3enet-druglike", [])
    encoder = PooledMo3ENet(recipe.config(hub.from_pretrained(tiny_potential)))
    few, whole = (
        PooledObjective(encoder, list(recipe.weights), len(scales.descriptor_mean), decode_every=n).eval()
        for n in (3, 1)
    )
    whole.load_state_dict(few.state_dict())
    data = scales.labelled(labels)
    with torch.no_grad():
        some = few(*data.batch(np.arange(8)))
        expected = whole(*data.batch(np.array([0, 3, 6])))
        for name in SHAPE:
            torch.testing.assert_close(some[name], expected[name], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(some["electronic"], whole(*data.batch(np.arange(8)))["electronic"])


def test_smoothness_is_quadratic_in_the_noise_and_trains(data_root, tiny_potential, monkeypatch):
    labels = read_xtb(data_root / "labels.npz")
    recipe = read_recipe("mo3enet-druglike", [])
    encoder = PooledMo3ENet(recipe.config(hub.from_pretrained(tiny_potential)))
    batch, _ = labels.batch(np.arange(8))

    def measured(noise):
        monkeypatch.setattr(chemistry, "NOISE", noise)
        torch.manual_seed(0)
        return smoothness(encoder, batch, encoder.embed(batch))

    large, small = measured(0.01), measured(0.001)
    assert float((large / small).detach()) == pytest.approx(100.0, rel=0.3)  # no jump in between
    large.backward()
    gradients = [p.grad for name, p in encoder.named_parameters() if name.startswith("content")]
    assert all(float(g.abs().sum()) > 0 for g in gradients)


def test_quadrupoles_are_traceless_and_those_of_point_charges(data_root):
    labels = read_xtb(data_root / "labels.npz")
    batch, targets = labels.batch(np.arange(2))
    centre = torch.zeros(2, 3)
    found = quadrupoles(batch, targets["charges"], centre).view(2, 3, 3)
    torch.testing.assert_close(found.diagonal(dim1=1, dim2=2).sum(1), torch.zeros(2), rtol=0, atol=1e-4)
    x, q = batch.positions[: batch.counts[0]].double(), targets["charges"][: batch.counts[0]].double()
    expected = (q * (3 * x[:, 0] * x[:, 1])).sum() / 2
    assert float(found[0, 0, 1]) == pytest.approx(float(expected), abs=1e-4)


def test_shipped_recipe_is_complete():
    recipe = read_recipe("mo3enet-druglike", [])
    encoder = PooledMo3ENet(recipe.config(hub.from_pretrained(recipe.potential)))
    assert sum(p.numel() for p in encoder.parameters()) * 2 < 16e6  # bytes as float16
    assert encoder.config.swarm >= 40
    assert len(encoder.elements) == 13


def test_descriptors_that_nothing_teaches_are_neither_claimed_nor_weighted(
    data_root, tiny_potential, tmp_path
):
    recipe = read_recipe("mo3enet-druglike", ["weights.descriptors=0"])
    assert "RDKit" not in recipe.about()
    assert "RDKit's descriptors" in read_recipe("mo3enet-druglike", []).about()
    with pytest.raises(ValueError, match="no entry of data has RDKit's descriptors"):
        run(
            RECIPE | {"potential": tiny_potential, "data": [{"path": "labels.npz", "share": 1.0}]},
            data_root,
            tmp_path,
        )


def test_one_molecule_of_none_is_not_decoded():
    with pytest.raises(ValueError, match="decode_every must be positive"):
        read_recipe("mo3enet-druglike", ["decode_every=0"])
