"""Counts of words: against a loop, and as a block of REM3DI."""

import numpy as np
import torch
from encoder_examples import collate, example, moved, rem3di, reordered, rotation

from skmol3d.encoders.words import Words

ITEMS = [example(name) for name in ("CH3CONH2", "C5H5N", "H2O")]


def test_counts_against_a_loop():
    torch.manual_seed(0)
    words = Words(6, (5, 3), columns=4, confidence=0.4).double()
    atoms, molecule = torch.randn(40, 6).double(), torch.arange(40) % 7
    counts = words(atoms, molecule, 8)
    expected = np.zeros((8, 4 + 3))
    for atom, m in zip(atoms, molecule.tolist(), strict=True):
        first, second = ((h.weight @ atom + h.bias).softmax(0).tolist() for h in words.heads)
        expected[m, int(np.argmax(first)) % 4] += max(first) > 0.4
        expected[m, 4 + int(np.argmax(second))] += max(second) > 0.4
    np.testing.assert_array_equal(counts.detach().numpy(), expected)
    assert expected[:, 0].any()
    assert expected[:, :4].any(0).sum() > 1
    assert not expected[7].any()
    assert 0 < expected[:, :4].sum() < 40


def test_block_counts_every_token_once_whatever_the_pose_and_order():
    plain, encoder = rem3di(), rem3di(words=(9, 4), word_columns=6, word_confidence=0.0)
    assert list(plain.output_blocks()) == ["invariant", "chiral"]
    sizes = encoder.output_blocks()
    assert list(sizes) == ["invariant", "chiral", "words"]
    assert sizes["words"] == 6 + 4

    def block(*items):
        return encoder(collate(*items)).split(list(sizes.values()), 1)[2]

    rows = block(*ITEMS)
    heavy = torch.tensor([[(item[0] > 1).sum()] * 2 for item in ITEMS]).double()
    torch.testing.assert_close(torch.stack([rows[:, :6].sum(1), rows[:, 6:].sum(1)], 1), heavy)
    assert len(rows.unique(dim=0)) == len(ITEMS)
    for item, row in zip(ITEMS, rows, strict=True):
        turned = moved(item, rotation(3) @ np.diag([1.0, -1.0, 1.0]), [3.0, 0.0, -8.0])
        order = np.random.default_rng(1).permutation(len(item[0]))
        torch.testing.assert_close(block(turned)[0], row)
        torch.testing.assert_close(block(reordered(item, order))[0], row)
