"""Shelves: conformers padded by size, the same to a loss as ragged ones, drawn as shares say."""

import numpy as np
import pytest
import torch
from set_examples import labelled_set

from skmol3d.encoders import Potential, PotentialConfig
from skmol3d.encoders.backbones import EquivariantConvolutionConfig
from skmol3d.trainer.data.shelves import shelve
from skmol3d.trainer.objectives.forces import LABELLED
from skmol3d.trainer.objectives.potential import PotentialObjectives

CONVOLUTION = EquivariantConvolutionConfig(width=12, vectors=6, layers=2, filters=4, radial=8)


def test_losses_and_gradients_are_those_of_ragged_batches():
    data = labelled_set()
    torch.manual_seed(0)
    network = PotentialObjectives(Potential(PotentialConfig(CONVOLUTION)), LABELLED)
    found = shelve([data], [1.0], [np.arange(len(data))], LABELLED)
    assert [s.numbers.shape for s in found] == [(5, 8), (3, 16)]
    places = [np.flatnonzero(data.sizes <= 8), np.flatnonzero(data.sizes > 8)]
    for shelf, rows in zip(found, places, strict=True):
        results = []
        for batch, targets in (shelf.batch(torch.arange(len(rows))), data.batch(rows)):
            network.zero_grad()
            losses = network(batch, targets)
            sum(losses.values()).backward()
            results.append((losses, [p.grad for p in network.parameters() if p.grad is not None]))
        (own, own_gradients), (expected, gradients) = results
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(own_gradients, gradients, rtol=1e-3, atol=1e-4)


def test_probabilities_are_those_of_shares():
    first, second = labelled_set(), labelled_set([6, 15, 16], seed=1)
    small, large = shelve([first, second], [3.0, 1.0], [np.arange(8), np.array([0, 2])], LABELLED)
    energies = torch.tensor([*first.molecule_targets["energy"], *second.molecule_targets["energy"]]).float()
    assert torch.isin(small.molecule_targets["energy"], energies[[0, 1, 3, 6, 7, 8]]).all()
    np.testing.assert_allclose(np.diff(small.cumulative, prepend=0), [0.75 / 8] * 5 + [0.125])
    np.testing.assert_allclose(np.diff(large.cumulative, prepend=0), [0.75 / 8] * 3 + [0.125])


@pytest.mark.parametrize("targets", [("forces", "energy"), ("homo",)])
def test_only_targets_of_losses_are_kept(targets):
    shelf = shelve([labelled_set()], [1.0], [np.arange(4)], targets)[0]
    assert {*shelf.atom_targets, *shelf.molecule_targets} == set(targets)


def test_a_set_with_nothing_to_draw_is_named():
    with pytest.raises(ValueError, match=r"nothing to draw from set\(s\) \[1\]"):
        shelve([labelled_set()] * 2, [1.0, 1.0], [np.arange(4), np.arange(0)], LABELLED)
