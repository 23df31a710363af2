"""Parts of the encoders against direct computation."""

import numpy as np
import pytest
import torch

from skmol3d.encoders import AtomBatch
from skmol3d.encoders.layers import (
    Bessel,
    ExpNormal,
    PairBiasedBlock,
    PairRepresentation,
    Pooling,
    cosine_cutoff,
    random_walks,
)


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def test_bessel_functions_are_finite_at_zero_and_orthonormal_in_space():
    functions = Bessel(6, 5.0).double()
    d = torch.linspace(0, 5, 20_001, dtype=torch.float64)
    values = functions(d)
    expected = np.sqrt(2 / 5) * np.sin(np.arange(1, 7) * np.pi * 1.3 / 5) / 1.3
    np.testing.assert_allclose(functions(torch.tensor(1.3, dtype=torch.float64)), expected, rtol=1e-6)
    assert torch.isfinite(values).all()
    overlap = torch.trapezoid(values[:, :, None] * values[:, None] * d[:, None, None] ** 2, d, dim=0)
    torch.testing.assert_close(overlap, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-4)


def test_exponential_normal_functions_have_their_maxima_in_order():
    functions = ExpNormal(16, 5.0)
    places = functions(torch.linspace(0, 5, 5001)).argmax(0)
    assert (places.diff() < 0).all()
    assert functions(torch.tensor([0.0])).argmax() == 15


def test_the_envelope_ends_smoothly():
    d = torch.tensor([0.0, 2.5, 5.0, 7.0], dtype=torch.float64, requires_grad=True)
    values = cosine_cutoff(d, 5.0)
    np.testing.assert_allclose(values.detach(), [1, 0.5, 0, 0], atol=1e-12)
    (slope,) = torch.autograd.grad(values.sum(), d)
    np.testing.assert_allclose(slope[[0, 2, 3]], 0, atol=1e-12)


def test_walks_on_a_graph_by_hand():
    bonds = np.array([[0, 1], [1, 2]])  # a path of three atoms, and two that are bonded
    batch = AtomBatch.from_arrays(
        [
            (np.array([6, 6, 6]), np.arange(9.0).reshape(3, 3), 0, bonds),
            (np.array([6, 8]), np.arange(6.0).reshape(2, 3), 0, np.array([[0, 1]])),
        ]
    )
    walks = random_walks(batch, 3)
    assert walks.shape == (2, 3, 3, 4)
    assert walks[0, 0, :, 1].tolist() == [0, 1, 0]
    assert walks[0, 1, :, 1].tolist() == [0.5, 0, 0.5]
    assert walks[0, 0, :, 2].tolist() == [0.5, 0, 0.5]
    assert walks[1, 0, :2, 3].tolist() == [0, 1]


def test_pairs_are_symmetric_and_their_last_layer_starts_closed():
    layer = PairRepresentation(4, 5, 6).double()
    encoding, scalars = torch.randn(2, 3, 3, 4).double(), torch.randn(2, 3, 5).double()
    pairs = layer(encoding + encoding.transpose(1, 2), scalars)
    torch.testing.assert_close(pairs, pairs.transpose(1, 2))
    layer.shrink.weight.data.mul_(100)
    torch.testing.assert_close(layer(encoding + encoding.transpose(1, 2), scalars), pairs)


def test_padding_reaches_no_token():
    block = PairBiasedBlock(8, 2, 4, memory=3).double()
    torch.nn.init.normal_(block.bias.weight)
    x, pairs, memory = torch.randn(2, 4, 8), torch.randn(2, 4, 4, 4), torch.randn(2, 3)
    x, pairs, memory = x.double(), pairs.double(), memory.double()
    real = torch.tensor([[True, True, True, True], [True, True, False, False]])
    found = block(x, pairs, real, memory)
    alone = block(x[1:, :2], pairs[1:, :2, :2], real[1:, :2], memory[1:])
    torch.testing.assert_close(found[1:, :2], alone)
    order = torch.tensor([2, 0, 3, 1])
    turned = block(x[:1, order], pairs[:1, order][:, :, order], real[:1], memory[:1])
    torch.testing.assert_close(turned, found[:1, order])


@pytest.mark.parametrize("kind", Pooling.KINDS)
def test_pools_know_neither_order_nor_padding(kind):
    pool = Pooling((kind,), 8, 2, 3).double()
    x, real = torch.randn(2, 5, 8).double(), torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    rows = pool(x, real)
    assert rows.shape == (2, pool.size)
    order = torch.tensor([4, 2, 0, 1, 3])
    torch.testing.assert_close(pool(x[:, order], real[:, order]), rows)
    torch.testing.assert_close(pool(x[1:, :3], real[1:, :3]), rows[1:])


def test_plain_pools_are_numpys_side_by_side():
    x, real = torch.randn(1, 5, 8).double(), torch.ones(1, 5, dtype=torch.bool)
    rows = Pooling(Pooling.PLAIN, 8, 2, 1)(x, real)[0].numpy()
    values = x[0].numpy()
    expected = [values.mean(0), values.std(0), values.max(0), values.min(0), values.sum(0) / 20]
    np.testing.assert_allclose(rows, np.concatenate(expected), atol=1e-3)


def test_the_gradient_of_equal_tokens_is_finite():
    x = torch.ones(1, 3, 4, requires_grad=True)
    Pooling(("std",), 4, 1, 1)(x, torch.ones(1, 3, dtype=torch.bool)).sum().backward()
    assert torch.isfinite(x.grad).all()
