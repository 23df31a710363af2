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
    TokenPairs,
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


REAL = torch.tensor([[True] * 4, [True] * 2 + [False] * 2])


def packed(dense):
    """Values [E, ...] of the unordered pairs of padded ones [B, L, L, ...]."""
    return TokenPairs(REAL).both(dense)[0]


@pytest.mark.parametrize("same", [True, False])
def test_pairs_are_what_the_formula_says_of_all_ordered_ones(same):
    layer = PairRepresentation(4, 5, 6).double()
    encoding, scalars = torch.randn(2, 4, 4, 4).double(), torch.randn(2, 4, 5).double()
    if same:
        encoding = encoding + encoding.transpose(1, 2)
    places = TokenPairs(REAL)
    given = places.both(encoding)[:1] if same else places.both(encoding)
    outer = layer.left(scalars)[:, :, None] * layer.right(scalars)[:, None]
    ordered = layer.start(encoding) + torch.sigmoid(layer.gate(encoding)) * outer
    expected = packed(0.5 * (ordered + ordered.transpose(1, 2)))
    pairs = layer(given, scalars, places)
    assert len(pairs) == 10 + 3  # each pair once, and each token with itself
    torch.testing.assert_close(pairs, expected)  # the last layer is closed at the start
    layer.strength.data.fill_(1.0)
    value, gate = layer.expand(layer.norm(expected)).chunk(2, -1)
    opened = expected + layer.shrink(value * torch.nn.functional.gelu(gate))
    torch.testing.assert_close(layer(given, scalars, places), opened)


def test_biases_stand_where_their_pairs_do():
    values = torch.randn(13, 3)
    places = TokenPairs(REAL)
    logits = places.biases(values)
    assert logits.shape == (2, 3, 4, 4)
    torch.testing.assert_close(packed(logits.permute(0, 2, 3, 1)), values)
    torch.testing.assert_close(logits[0], logits[0].transpose(1, 2))
    assert logits[1, :, :, 2:].isneginf().all()  # no token attends to padding,
    assert (logits[1, :, 2:, :2] == 0).all()  # which itself must attend to something, or it is not a number


def test_padding_reaches_no_token():
    block = PairBiasedBlock(8, 2, 4, memory=3).double()
    torch.nn.init.normal_(block.bias.weight)
    x, dense, memory = torch.randn(2, 4, 8), torch.randn(2, 4, 4, 4), torch.randn(2, 3)
    x, dense, memory = x.double(), (dense + dense.transpose(1, 2)).double(), memory.double()
    pairs = packed(dense)
    found = block(x, pairs, TokenPairs(REAL), memory)
    assert found.isfinite().all()
    changed = torch.where(REAL[..., None], x, 50.0)
    torch.testing.assert_close(block(changed, pairs, TokenPairs(REAL), memory)[REAL], found[REAL])
    other = block(x, pairs.flip(-1), TokenPairs(REAL), memory)
    assert (other - found)[REAL].abs().amax() > 1e-3  # pairs do count
    alone = block(x[1:, :2], pairs[10:], TokenPairs(REAL[1:, :2]), memory[1:])
    torch.testing.assert_close(found[1:, :2], alone)
    order = torch.tensor([2, 0, 3, 1])
    whole = TokenPairs(REAL[:1])
    turned = block(x[:1, order], whole.both(dense[:1, order][:, :, order])[0], whole, memory[:1])
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
