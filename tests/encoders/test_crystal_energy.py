"""The perceptron from rows of crystals to energies."""

import pytest
import torch

from skmol3d.encoders.crystal_energy import CrystalEnergy, CrystalEnergyConfig

CONFIG = CrystalEnergyConfig(columns=9, targets=("energy", "density"), width=8, layers=2, dropout=0.5)


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield CrystalEnergy(CONFIG)


def test_rows_and_energies_have_units_of_their_own(network):
    rows = torch.randn(5, 9)
    network.eval()
    before = network(rows)
    assert before.shape == (5, 2)
    network.column_mean += 3.0
    network.column_scale *= 10.0
    network.target_scale *= torch.tensor([2.0, 5.0])
    network.target_mean += torch.tensor([-100.0, 7.0])
    after = network(rows * 10 + 3)
    torch.testing.assert_close(after, before * torch.tensor([2.0, 5.0]) + torch.tensor([-100.0, 7.0]))
    torch.testing.assert_close(network.standard(rows * 10 + 3), before)


def test_nothing_is_dropped_in_use(network):
    rows = torch.randn(5, 9)
    assert not torch.equal(network.train()(rows), network(rows))
    assert torch.equal(network.eval()(rows), network(rows))


def test_energies_of_a_crystal_do_not_depend_on_the_others(network):
    rows = torch.randn(5, 9)
    torch.testing.assert_close(network.eval()(rows)[2:3], network(rows[2:3]))


@pytest.mark.parametrize("wrong", [{"columns": 0}, {"width": -1}, {"layers": 0}, {"dropout": 1.0}])
def test_sizes_that_cannot_be_are_named(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        CrystalEnergyConfig(**wrong)
