"""Batches: buckets of similar sizes, mixtures of sets, batches by number, molecules one by one."""

from itertools import islice

import numpy as np
import pytest
import torch
from loop_runs import labelled
from set_examples import random_set

from skmol3d.encoders import AtomBatch
from skmol3d.trainer.data.batches import Mixture, bucketed, mixed, one_by_one


def test_buckets_cover_every_index_once_within_the_budget():
    sizes = np.random.default_rng(0).integers(1, 60, 500)
    sizes[7] = 300  # larger than the budget: a batch of its own
    index = np.arange(0, 500, 1)[sizes != 13]
    batches = list(bucketed(sizes, index, 200, np.random.default_rng(1), window=128))
    assert sorted(np.concatenate(batches)) == index.tolist()
    for part in batches:
        assert len(part) * sizes[part].max() <= 200 or part.tolist() == [7]
    # Sorting by size leaves little padding.
    assert sizes[index].sum() > 0.7 * sum(len(b) * sizes[b].max() for b in batches)
    other = list(bucketed(sizes, index, 200, np.random.default_rng(2), window=128))
    assert [b.tolist() for b in other] != [b.tolist() for b in batches]


def test_mixed_draws_by_share_and_starts_over():
    sets = [random_set([3] * 8), random_set([3] * 8)]
    indices = [np.arange(8), np.arange(4)]
    drawn = list(islice(mixed(sets, [3, 1], indices, 6, np.random.default_rng(0)), 1000))
    first = sum(k == 0 for k, _ in drawn)
    assert 700 < first < 800
    assert {m for k, part in drawn if k == 1 for m in part} == {0, 1, 2, 3}


def test_mixed_refuses_an_empty_set():
    with pytest.raises(ValueError, match=r"nothing to draw from set\(s\) \[1\]"):
        next(mixed([random_set([3])] * 2, [1, 1], [np.arange(1), np.arange(0)], 6, np.random.default_rng(0)))


def test_mixture_is_addressable():
    sets = [labelled([5] * 24), labelled([4] * 8)]
    mixture = Mixture(sets, [2, 1], [np.arange(24), np.arange(8)], atoms=20, seed=3)
    stream = mixture()
    whole = [next(stream) for _ in range(40)]
    for start, stride in ((0, 1), (7, 1), (3, 4)):
        part = mixture(start, stride)
        for batch, targets in whole[start::stride]:
            found, labels = next(part)
            assert torch.equal(found.positions, batch.positions)
            assert all(torch.equal(labels[k], v) for k, v in targets.items())
    for batch, targets in whole:
        (k,) = set(targets["set"].tolist())
        expected, _ = sets[k].batch(targets["row"].numpy())
        assert torch.equal(batch.positions, expected.positions)
    other = next(Mixture(sets, [2, 1], [np.arange(24), np.arange(8)], atoms=20, seed=4)())
    assert not torch.equal(other[1]["row"], whole[0][1]["row"])


def test_mixture_leaves_out_small_batches():
    sizes = [5] * 9
    everything = Mixture([labelled(sizes)], [1], [np.arange(9)], atoms=20, seed=0)
    larger = Mixture([labelled(sizes)], [1], [np.arange(9)], atoms=20, seed=0, smallest=2)
    counts = [len(b) for b, _ in (next(s) for s in [everything()] for _ in range(30))]
    assert set(counts) == {1, 4}
    stream = larger()
    assert {len(next(stream)[0]) for _ in range(30)} == {4}


def test_a_mixture_that_would_never_have_a_batch_is_refused():
    sets = [labelled([5] * 9), labelled([9, 9, 30])]
    indices = [np.arange(9), np.arange(3)]
    assert len(next(Mixture(sets, [1, 1], indices, atoms=18, seed=0, smallest=2)())[0]) >= 2
    message = r"set 1 \(entries of data, from 0\): no 2 of its 3 conformers .* a batch of at most 17 atoms"
    with pytest.raises(ValueError, match=message):
        next(Mixture(sets, [1, 1], indices, atoms=17, seed=0, smallest=2)())
    pairs = random_set([30, 30], groups=[0, 0])  # one molecule, of which a batch has two conformers
    assert len(next(Mixture([pairs], [1], [np.arange(2)], atoms=17, seed=0, smallest=2, views=[2])())[0]) == 2
    with pytest.raises(ValueError, match="no 2 of its 1 conformers"):
        next(Mixture(sets[:1], [1], [np.arange(1)], atoms=99, seed=0, smallest=2)())


VIEWED = random_set(
    [5] * 12 + [9] * 9 + [7] * 4, groups=[*np.arange(12) // 4, *np.arange(9) // 3 + 10, 20, 21, 22, 22]
)


def test_views_are_different_conformers_of_the_same_molecule():
    mixture = Mixture([VIEWED], [1], [np.arange(24)], atoms=40, seed=0, views=[2])  # one of 22 is not drawn
    stream, drawn = mixture(), set()
    for _ in range(60):
        batch, targets = next(stream)
        pairs, rows = targets["group"].view(-1, 2), targets["row"].view(-1, 2)
        assert torch.equal(pairs[:, 0], pairs[:, 1])
        assert (rows[:, 0] != rows[:, 1]).all()
        assert len(pairs[:, 0].unique()) == len(pairs)
        np.testing.assert_array_equal(VIEWED.group[targets["row"]], targets["group"])
        assert len(batch) * batch.counts.max() <= 40
        drawn |= {frozenset(pair) for pair in rows.tolist()}
    # Each pair of the three molecules of four and the three of three; molecules left with one are not drawn.
    assert len(drawn) == 3 * 6 + 3 * 3


def test_views_are_addressable_beside_other_sets():
    sets = [labelled([5] * 24), VIEWED]
    mixture = Mixture(
        sets, [1, 1], [np.arange(24), np.arange(25)], atoms=40, seed=3, smallest=2, views=[1, 2]
    )
    stream = mixture()
    whole = [next(stream) for _ in range(40)]
    assert {int(k) for _, targets in whole for k in targets["set"]} == {0, 1}
    for batch, targets in whole:
        singles = len(targets["group"].unique()) == len(batch)
        assert singles == (targets["set"][0] == 0)
    for start, stride in ((7, 1), (3, 4)):
        for (batch, targets), (found, labels) in zip(
            whole[start::stride], mixture(start, stride), strict=False
        ):
            assert torch.equal(found.positions, batch.positions)
            assert all(torch.equal(labels[k], v) for k, v in targets.items())


def test_views_of_single_conformers_are_refused():
    with pytest.raises(ValueError, match=r"nothing to draw from set\(s\) \[0\] .* no molecule has 2"):
        next(Mixture([labelled([5] * 8)], [1], [np.arange(8)], atoms=40, seed=0, views=[2])())


def test_one_by_one():
    batch = AtomBatch.from_arrays(
        [
            ([8, 1, 1], np.eye(3), 0, [[0, 1], [0, 2]]),
            ([1, 1], np.eye(3)[:2], 1, [[0, 1]]),
            ([6], np.zeros((1, 3)), -1, np.zeros((0, 2))),
        ]
    )
    targets = {"atom": torch.arange(6), "molecule": torch.tensor([[1.0], [2.0], [3.0]])}
    parts = list(one_by_one((batch, targets)))
    assert [p.numbers.tolist() for p, _ in parts] == [[8, 1, 1], [1, 1], [6]]
    assert [p.charge.item() for p, _ in parts] == [0, 1, -1]
    assert [p.bonds.T.tolist() for p, _ in parts] == [[[0, 1], [0, 2]], [[0, 1]], []]
    assert torch.equal(torch.cat([p.positions for p, _ in parts]), batch.positions)
    assert [t["atom"].tolist() for _, t in parts] == [[0, 1, 2], [3, 4], [5]]
    assert [t["molecule"].tolist() for _, t in parts] == [[[1.0]], [[2.0]], [[3.0]]]
