"""Packed sets: batches of them, and splits by molecule."""

import numpy as np
import pytest
import torch
from set_examples import random_set

from skmol3d.trainer.data.sets import Row, stack


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


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no conformers"),
        ([(2, 2, 2), (2, 3, 2)], r"row 1: 2 atoms, but positions of shape \(3, 3\)"),
        ([(2, 2, 3)], "row 0: 2 atoms, but 3 charges"),
    ],
)
def test_rows_of_other_shapes_are_named(rows, message):
    made = [
        Row(np.ones(n, np.uint8), np.zeros((p, 3), np.float32), 0.0, 0, atom_targets={"charges": np.zeros(c)})
        for n, p, c in rows
    ]
    with pytest.raises(ValueError, match=message):
        stack(made)
