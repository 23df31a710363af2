"""Packed sets: batches, splits, buckets, reference energies."""

from itertools import islice

import numpy as np
import pytest
import torch

from skmol3d.trainer.data.batches import bucketed, mixed
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.xtb import ConformerKind, read_xtb
from skmol3d.trainer.kinds.potential import element_energies


def random_set(sizes, groups=None, seed=0):
    rng = np.random.default_rng(seed)
    atoms = sum(sizes)
    return PackedSet(
        numbers=rng.choice(np.array([1, 6, 8], np.uint8), atoms),
        positions=rng.integers(-5000, 5000, (atoms, 3)).astype(np.int16),
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
        charge=rng.choice([-1.0, 0.0, 1.0], len(sizes)),
        group=np.arange(len(sizes)) if groups is None else np.asarray(groups),
        atom_targets={"charges": rng.normal(size=atoms).astype(np.float16), "label": np.arange(atoms)},
        molecule_targets={"energy": rng.normal(size=len(sizes))},
    )


def test_batch_is_what_was_stored():
    data = random_set([3, 5, 2, 4])
    batch, targets = data.batch(np.array([2, 0]))
    atoms = [8, 9, 0, 1, 2]
    assert batch.counts.tolist() == [2, 3]
    assert batch.numbers.tolist() == data.numbers[atoms].tolist()
    np.testing.assert_allclose(batch.positions, data.positions[atoms] * 1e-3, atol=1e-6)
    assert batch.charge.tolist() == data.charge[[2, 0]].tolist()
    assert targets["label"].tolist() == atoms
    assert targets["label"].dtype == torch.int64
    assert targets["charges"].dtype == targets["energy"].dtype == torch.float32
    np.testing.assert_allclose(targets["charges"], data.atom_targets["charges"][atoms])
    np.testing.assert_allclose(targets["energy"], data.molecule_targets["energy"][[2, 0]], rtol=1e-6)


def test_split_keeps_the_conformers_of_a_molecule_together():
    data = random_set([2] * 40, groups=np.random.default_rng(0).integers(0, 10, 40))
    train, held = data.split(0.2, seed=3)
    assert sorted([*train, *held]) == list(range(40))
    assert not set(data.group[train]) & set(data.group[held])
    assert len(set(data.group[held])) == 2
    np.testing.assert_array_equal(data.split(0.2, seed=3)[1], held)
    assert any(not np.array_equal(data.split(0.2, seed=s)[1], held) for s in range(5))


@pytest.mark.parametrize("fraction", [0.0, 0.01, 1.0])
def test_split_leaves_no_side_empty(fraction):
    with pytest.raises(ValueError, match="leaves one side empty"):
        random_set([2] * 10).split(fraction)


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


def test_element_energies_are_recovered():
    data = random_set(list(range(1, 30)))
    known = {1: -13.0, 6: -1030.0, 8: -2040.0}
    owner = np.repeat(np.arange(29), data.sizes)
    data.molecule_targets["energy"] = np.bincount(owner, [known[z] for z in data.numbers.tolist()])
    energies = element_energies(data, np.arange(5, 29))
    assert energies.shape == (119,)
    for z, energy in known.items():
        assert energies[z] == pytest.approx(energy)
    assert set(np.flatnonzero(energies)) == set(known)


def test_read_xtb(data_root):
    data = read_xtb(data_root / "labels.npz")
    assert len(data) == 30
    assert data.group.tolist()[:4] == [0, 0, 0, 1]
    batch, targets = data.batch(np.array([18]))  # ethyl(trimethyl)ammonium
    assert batch.charge.tolist() == [1.0]
    assert targets["forces"].shape == batch.positions.shape
    assert torch.pdist(batch.positions).min() > 0.9  # Å
    assert set(targets) == {"forces", "charges", "energy", "dipole", "homo", "lumo", "kind"}
    kinds = [ConformerKind(kind) for kind in data.molecule_targets["kind"][:3]]
    assert kinds == [ConformerKind.RELAXED, ConformerKind.MMFF, ConformerKind.MMFF]
