"""All losses of REM3DI together, over either backbone."""

import dataclasses

import numpy as np
import pytest
import torch

from skmol3d.encoders import REM3DI, Potential, PotentialConfig, config_from_dict
from skmol3d.trainer.data.assays import AssayStatistics
from skmol3d.trainer.data.transforms import MASK
from skmol3d.trainer.kinds.base import Place
from skmol3d.trainer.kinds.rem3di import Corpus
from skmol3d.trainer.objectives.encoder import EncoderObjective, RunningStandardiser
from skmol3d.trainer.objectives.registry import losses
from skmol3d.trainer.pretrain import parse_recipe

BACKBONES = {
    "equivariant-transformer": {"width": 8, "layers": 1, "heads": 2, "radial": 6},
    "egnn": {"width": 8, "layers": 1, "radial": 6},
}
LOSSES = tuple(losses("rem3di"))
RECIPE = {
    "kind": "rem3di",
    "name": "tiny",
    "potential": "none",
    "data": [{"path": "labels.npz", "targets": "targets.npz"}],
    "atoms": 100,
    "schedule": {"steps": 1},
    "held_out": 0.2,
    "targets": {"classes": [8, 8], "bits": 16},
    "model": {"width": 16, "layers": 1, "heads": 2, "pair_width": 4, "readout": 24, "chiral": 4},
    "weights": dict.fromkeys(LOSSES, 1.0),
}


def with_assays(corpus):
    """The corpus with labels of a value and of a class for each second conformer."""
    (data,) = corpus.sets
    labels = np.full((len(data), 2), np.nan, np.float16)
    labels[::2, 0] = data.sizes[::2]
    labels[::2, 1] = data.sizes[::2] > np.median(data.sizes)
    mean, std = np.nanmean(labels, 0, dtype=float), np.nanstd(labels, 0, dtype=float)
    statistics = AssayStatistics(np.array([40, 40]), mean, std, np.array([False, True]))
    data = dataclasses.replace(data, molecule_targets=data.molecule_targets | {"assays": labels})
    return dataclasses.replace(
        corpus, sets=[data], statistics=dataclasses.replace(corpus.statistics, assays=statistics)
    )


@pytest.fixture(params=sorted(BACKBONES))
def made(request, data_root, tmp_path):
    settings = {"kind": request.param} | BACKBONES[request.param]
    potential = Potential(config_from_dict(PotentialConfig, {"backbone": settings}))
    recipe = parse_recipe(RECIPE)
    corpus = Corpus.read(recipe, Place(data_root, tmp_path, tmp_path))
    corpus = with_assays(corpus)
    return potential, recipe.build(corpus, potential), corpus


@pytest.mark.slow
def test_both_backbones_train_under_all_losses(made):
    potential, encoder, corpus = made
    objective = EncoderObjective(encoder, corpus.statistics, LOSSES).train()
    batch, targets = corpus.sets[0].batch(corpus.train[0])
    trained = [p for p in objective.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-2)
    torch.manual_seed(0)
    history = []
    for _ in range(40):
        found = objective(batch, targets)
        assert found.keys() == set(LOSSES)
        optimiser.zero_grad()
        sum(found.values()).backward()
        optimiser.step()
        history.append({k: v.item() for k, v in found.items()})
    parts = history[:5], history[-5:]
    first, last = ({k: sum(h[k] for h in part) / 5 for k in LOSSES} for part in parts)
    # Three losses regularise: they may pay for what the others gain.
    worse = {k for k in LOSSES if last[k] >= first[k]} - {"variance", "covariance", "invariance"}
    assert not worse, (first, last)
    frozen = potential.backbone.state_dict()
    for name, value in encoder.backbone.state_dict().items():
        if "embedding" in name and name.endswith("weight"):
            value, frozen[name] = value[:MASK], frozen[name][:MASK]
        assert torch.equal(value, frozen[name])


def test_losses_do_not_depend_on_which_others_are_computed(made):
    _, encoder, corpus = made
    batch, targets = corpus.sets[0].batch(corpus.train[0][:8])
    everything = EncoderObjective(encoder, corpus.statistics, LOSSES).eval()
    few = EncoderObjective(encoder, corpus.statistics, ("descriptors", "angles", "variance")).eval()
    few.load_state_dict({k: v for k, v in everything.state_dict().items() if k in few.state_dict()})
    torch.manual_seed(0)
    found = few(batch, targets)
    assert found.keys() == {"descriptors", "angles", "variance"}
    expected = everything(batch, targets)
    for name in ("descriptors", "variance"):  # angles draw their atoms at random
        assert found[name].item() == pytest.approx(expected[name].item(), rel=1e-5)
    assert isinstance(everything.encoder, REM3DI)


def test_running_standardiser():
    module = RunningStandardiser(3, momentum=0.1)
    scale, shift = torch.tensor([1.0, 5.0, 0.2]), torch.tensor([0.0, -3.0, 7.0])
    for _ in range(300):
        module(torch.randn(64, 3) * scale + shift)
    module.eval()
    rows = torch.randn(5000, 3) * scale + shift
    before = module.mean.clone()
    out = module(rows)
    assert torch.equal(module.mean, before)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), rtol=0, atol=0.15)
    torch.testing.assert_close(out.std(0), torch.ones(3), rtol=0, atol=0.15)
