"""The linear probe: what it scores, and that it only watches."""

import csv

import numpy as np
import pytest
import torch
from loop_runs import fit_line, labelled
from sklearn.linear_model import Ridge
from torch import nn

from skmol3d.trainer.loop import Schedule
from skmol3d.trainer.probe import LinearProbe, ProbeSet, cross_validated

SCHEDULE = Schedule(steps=6, warmup=2, learning_rate=0.05)


class Counts(nn.Module):
    """Rows of element counts, scaled by a parameter."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        elements = (batch.numbers[:, None] == torch.tensor([1, 6, 8])).float()
        return self.scale * torch.zeros(len(batch), 3).index_add(0, batch.molecule, elements)


def encode(objective, batch):
    assert not objective.training
    return Counts()(batch)


def molecules(count=60):
    """Molecules of many sizes, in no order; a target that counts tell, and one that nothing tells."""
    rng = np.random.default_rng(1)
    data = labelled(rng.integers(2, 30, count).tolist())
    owner = np.repeat(np.arange(count), data.sizes)
    mass = np.bincount(owner, data.numbers.astype(float))
    return data, {"mass": mass, "noise": rng.normal(size=count)}


def test_scores():
    data, targets = molecules()
    unknown = targets["mass"].copy()
    unknown[::3] = np.nan
    probe = LinearProbe([ProbeSet("a", data, targets), ProbeSet("b", data, {"mass": unknown})], encode, 2)
    row = probe.scores(Counts())
    assert row["a.mass.r2"] > 0.999
    assert row["b.mass.r2"] > 0.999
    assert row["a.mass.mae"] < 0.02 * targets["mass"].std()
    assert row["a.noise.r2"] < 0.1  # out of fold: nothing is learnt by heart
    assert row["a.noise.mae"] == pytest.approx(
        np.abs(targets["noise"] - targets["noise"].mean()).mean(), rel=0.2
    )
    assert row["probe_r2"] == pytest.approx((row["a.mass.r2"] + row["a.noise.r2"] + row["b.mass.r2"]) / 3)


def test_predictions_are_out_of_fold_by_molecule():
    """Conformers of a molecule with a label of its own cannot tell each other's."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 3)
    rows = rng.normal(size=(40, 60))[groups]
    values = rng.normal(size=40)[groups]
    assert np.corrcoef(Ridge(1e-3).fit(rows, values).predict(rows), values)[0, 1] > 0.99
    found = cross_validated(rows, values, groups)
    assert np.corrcoef(found, values)[0, 1] < 0.4
    leaky = cross_validated(rows, values, np.arange(120))
    assert np.corrcoef(leaky, values)[0, 1] > 0.9


def test_predictions_do_not_depend_on_the_scale_of_a_column():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(50, 4))
    values = rows @ [1.0, -2.0, 0.5, 0.0] + 0.1 * rng.normal(size=50)
    found = cross_validated(rows, values, np.arange(50))
    scaled = cross_validated(rows * [1.0, 1e3, 1e-3, 1.0], values, np.arange(50))
    np.testing.assert_allclose(found, scaled, rtol=1e-6)
    assert np.abs(found - values).mean() < 0.15


def test_probe_of_a_run(tmp_path):
    data, targets = molecules()
    seen = []

    def averaged(objective, batch):
        seen.append(objective.line.weight.item())
        return encode(objective, batch) * (1 + objective.line.weight.abs().item())

    probe = LinearProbe([ProbeSet("task", data, targets)], averaged, every=3)
    line, average = fit_line(tmp_path / "probed", schedule=SCHEDULE, callbacks=[probe])
    with (tmp_path / "probed" / "evaluation.csv").open() as file:
        rows = {int(r["step"]): r for r in csv.DictReader(file)}
    assert list(rows) == [0, 3, 4, 6]  # evaluations at 0, 4 and 6, probes at 0, 3 and 6
    assert {step for step, r in rows.items() if r["task.mass.r2"]} == {0, 3, 6}
    assert {step for step, r in rows.items() if r["weight"]} == {0, 4, 6}
    assert seen[0] == 0
    assert seen[-1] == average.line.weight.item() != line.line.weight.item()
    unwatched, _ = fit_line(tmp_path / "alone", schedule=SCHEDULE)
    assert torch.equal(line.line.weight, unwatched.line.weight)
    assert line.training


def test_lengths_must_agree():
    data, _ = molecules()
    with pytest.raises(ValueError, match="probe a: 59 values of y for 60 conformers"):
        ProbeSet("a", data, {"y": np.zeros(59)})
