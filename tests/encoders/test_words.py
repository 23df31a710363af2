"""Counts of words: against a loop, and as a block of REM3DI."""

import numpy as np
import pytest
import torch
from encoder_examples import collate, example, moved, rem3di, reordered, rotation
from rdkit import Chem

from skmol3d.encoders import AtomBatch
from skmol3d.encoders.words import LONGEST_PATH, Words, path_lengths
from skmol3d.structures import ConformerSettings, embed, read_molecule

ITEMS = [example(name) for name in ("CH3CONH2", "C5H5N", "H2O")]


def test_counts_against_a_loop():
    torch.manual_seed(0)
    words = Words(6, (5, 3), 4, confidence=0.4, paired=(1, 0), pair_classes=2, pair_columns=50).double()
    batch = AtomBatch.from_arrays([example("CH3CONH2"), example("C5H5N"), example("H2O")])
    encoded = torch.randn(len(batch.numbers), 6).double()
    expected = np.zeros((3, 4 + 3 + 50 + 50))
    classes = [[], []]
    for atom, m in zip(encoded, batch.molecule.tolist(), strict=True):
        first, second = ((h.weight @ atom + h.bias).softmax(0).tolist() for h in words.heads)
        expected[m, int(np.argmax(first)) % 4] += max(first) > 0.4
        expected[m, 4 + int(np.argmax(second))] += max(second) > 0.4
        classes[0].append(min(int(np.argmax(first)), 2))
        classes[1].append(min(int(np.argmax(second)), 2))
    paths, start = path_lengths(batch), 0
    for m, count in enumerate(batch.counts.tolist()):
        for i in range(count):
            for j in range(i):
                for k, vocabulary in enumerate((1, 0)):
                    low, high = sorted(classes[vocabulary][start + a] for a in (i, j))
                    key = (high * (high + 1) // 2 + low) * 12 + int(paths[m, i, j])
                    expected[m, 7 + 50 * k + key * 7919 % 50] += 1
        start += count
    np.testing.assert_array_equal(words(encoded, batch).detach().numpy(), expected)
    assert words.size == expected.shape[1]
    assert expected[:, :4].any(0).sum() > 1
    assert 0 < expected[:, :4].sum() < len(encoded)


@pytest.mark.parametrize(
    "smiles",
    ["CC(=O)Nc1ccc(O)cc1", "CCCCCCCCCCCCCCO", "C1CC1C#CS(=O)(=O)NBr", "FC(F)(F)[Si](C)(C)CI", "OB(O)P"],
)
def test_path_lengths_are_those_of_rdkit(smiles):
    made = embed(read_molecule(smiles), ConformerSettings())
    mol = Chem.RWMol()
    for number in made.numbers.tolist():
        mol.AddAtom(Chem.Atom(number))
    for i, j in made.bonds.tolist():
        mol.AddBond(i, j, Chem.BondType.SINGLE)
    expected = np.minimum(Chem.GetDistanceMatrix(mol.GetMol()), LONGEST_PATH + 1)
    short = example("H2O")
    batch = AtomBatch.from_arrays([short, (made.numbers, made.positions[0], 0, None)])
    paths = path_lengths(batch).numpy()
    np.testing.assert_array_equal(paths[1], expected)
    assert sorted(paths[0, :3, :3].ravel().tolist()) == [0, 0, 0, 1, 1, 1, 1, 2, 2]


def test_block_counts_every_token_once_whatever_the_pose_and_order():
    plain = rem3di()
    encoder = rem3di(words=(9, 4), word_columns=6, word_confidence=0.0, word_pairs=(1,), pair_columns=20)
    assert list(plain.output_blocks()) == ["invariant", "chiral"]
    sizes = encoder.output_blocks()
    assert list(sizes) == ["invariant", "chiral", "words"]
    assert sizes["words"] == 6 + 4 + 20

    def block(*items):
        return encoder(collate(*items)).split(list(sizes.values()), 1)[2]

    rows = block(*ITEMS)
    heavy = torch.tensor([[(item[0] > 1).sum()] * 2 for item in ITEMS]).double()
    torch.testing.assert_close(torch.stack([rows[:, :6].sum(1), rows[:, 6:10].sum(1)], 1), heavy)
    torch.testing.assert_close(rows[:, 10:].sum(1), heavy[:, 0] * (heavy[:, 0] - 1) / 2)
    assert len(rows.unique(dim=0)) == len(ITEMS)
    for item, row in zip(ITEMS, rows, strict=True):
        turned = moved(item, rotation(3) @ np.diag([1.0, -1.0, 1.0]), [3.0, 0.0, -8.0])
        order = np.random.default_rng(1).permutation(len(item[0]))
        torch.testing.assert_close(block(turned)[0], row)
        torch.testing.assert_close(block(reordered(item, order))[0], row)
