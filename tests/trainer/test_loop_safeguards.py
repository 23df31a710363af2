"""Losses that are not finite, collapse, and what does not fit together end a run with the reason."""

from itertools import count

import numpy as np
import pytest
import torch
from loop_runs import Line, fit, fit_potential, labelled, points, steps

from skmol3d.trainer.data.batches import Mixture
from skmol3d.trainer.loop import NonFiniteLossError


def test_non_finite_loss_names_the_molecules(tmp_path):
    data = labelled([5] * 24)
    data.molecule_targets["homo"][7] = np.nan
    data.atom_targets["charges"][5 * 11 + 2] = np.inf
    seen = []

    def batches(start):
        for batch, targets in Mixture(
            [labelled([4] * 8), data], [1, 1], [np.arange(8), np.arange(24)], 60, 1
        )(start):
            seen.append(targets)
            yield batch, targets

    with pytest.raises(NonFiniteLossError) as error:
        fit_potential(tmp_path, batches, 200)
    message = str(error.value)
    step = int(message.split()[1].rstrip(":"))
    bad = seen[step]
    for row, loss in ((7, "homo"), (11, "charges")):
        inside = bool(((bad["set"] == 1) & (bad["row"] == row)).any())
        assert (f"set 1 row {row} ({loss})" in message) == inside
    assert message.count("set 1 row") == len({7, 11} & set(bad["row"].tolist())) > 0
    assert f"on a batch of {len(bad['row'])} molecules" in message
    assert step == steps(tmp_path / "log.csv")[-1]


def test_non_finite_gradient_names_the_molecules(tmp_path):
    class Root(Line):
        def forward(self, batch, targets):
            # The root's slope at zero is infinite; the loss is zero there.
            return {
                "fit": (self.line.weight[0, 0] * targets["y"]).square().sqrt().sum(),
                "bias": self.line.bias.sum(),
            }

    def batches(start):
        for _ in count(start):
            yield points(0)[0], {"y": torch.tensor([1.0, 0.0, 1.0])}

    root = Root()
    torch.nn.init.ones_(root.line.weight)
    with pytest.raises(
        NonFiniteLossError, match=r"step 0: gradient norm nan.* 1 alone: 1 of the batch \(gradient\)$"
    ):
        fit(tmp_path, objective=root, batches=batches)
    assert torch.isfinite(root.line.weight).all()


def test_non_finite_combination(tmp_path):
    class Pairs(Line):
        def forward(self, batch, targets):
            losses = super().forward(batch, targets)
            return losses | {"bias": losses["bias"] / (1.0 if len(batch) == 1 else 0.0)}

    with pytest.raises(NonFiniteLossError, match=r"'bias': nan.* none alone, so it is their combination"):
        fit(tmp_path, objective=Pairs())


def test_batches_that_end_are_refused(tmp_path):
    with pytest.raises(ValueError, match="batches must be endless, but ended at step 7"):
        fit(tmp_path, batches=lambda start: map(points, range(start, 7)))


@pytest.mark.parametrize("weights", [{"fit": 1.0}, {"fit": 1.0, "bias": 0.1, "biass": 0.1}])
def test_losses_and_weights_must_agree(tmp_path, weights):
    with pytest.raises(ValueError, match=r"losses are \['bias', 'fit'\] but weights are given for"):
        fit(tmp_path, weights=weights)
