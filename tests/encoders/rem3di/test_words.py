"""Counts of words: against a loop, and as a block of REM3DI."""

import numpy as np
import pytest
import torch
from encoder_examples import collate, example, moved, rem3di, reordered, rotation
from rdkit import Chem

from skmol3d.encoders import AtomBatch
from skmol3d.encoders.rem3di.words import LONGEST_PATH, Words, WordsConfig, path_lengths, with_neighbours
from skmol3d.structures import ConformerSettings, embed, read_molecule
from skmol3d.trainer.data.examples import atom_environments

ITEMS = [example(name) for name in ("CH3CONH2", "C5H5N", "H2O")]


def test_counts_against_a_loop():
    torch.manual_seed(0)
    config = WordsConfig((5, 3), (0, 1), (1,), (1, 0), columns=4, folded=50, confidence=0.4, pair_classes=2)
    words = Words(6, config).double()
    batch = AtomBatch.from_arrays([example("CH3CONH2"), example("C5H5N"), example("H2O")])
    encoded = torch.randn(len(batch.numbers), 6).double()
    assert words.sizes == {"words": 4 + 3 + 50, "pairs": 100}
    expected = np.zeros((3, 4 + 3 + 50 + 100))
    classes = [[], []]
    for atom, m in zip(encoded, batch.molecule.tolist(), strict=True):
        for k, head in enumerate(words.heads):
            probability = (head.weight @ atom + head.bias).softmax(0).tolist()
            classes[k].append(int(np.argmax(probability)))
            expected[m, 4 * k + classes[k][-1] % 4] += max(probability) > 0.4
    assert 0 < expected.sum() < 2 * len(encoded)
    paths, start = path_lengths(batch), 0
    for m, count in enumerate(batch.counts.tolist()):
        for i in range(count):
            near = [classes[1][start + j] for j in range(count) if paths[m, i, j] == 1]
            key = 31 * ((classes[1][start + i] * 7919 + 77) % 1_000_003)
            key += 17 * sum((c * 104_729 + 991) ** 2 % 1_000_003 for c in near)
            expected[m, 7 + key % 1_000_003 % 50] += 1
            for j in range(i):
                for k, vocabulary in enumerate((1, 0)):
                    low, high = sorted(min(classes[vocabulary][start + a], 2) for a in (i, j))
                    key = (high * (high + 1) // 2 + low) * 12 + int(paths[m, i, j])
                    expected[m, 57 + 50 * k + key * 7919 % 50] += 1
        start += count
    np.testing.assert_array_equal(words(encoded, batch).detach().numpy(), expected)


@pytest.mark.parametrize("smiles", ["CC(=O)Nc1ccc(O)cc1OC", "O=S(=O)(C)C#N", "C[C@H](N)C(=O)OC1CC1"])
def test_one_step_of_morgan_from_perfect_words_of_radius_1_is_radius_2(smiles):
    """Atoms share a hash of their true classes of radius 1 if and only if they share that of radius 2."""
    made = embed(read_molecule(smiles), ConformerSettings())
    environments = atom_environments(read_molecule(smiles).mol)
    heavy = made.numbers > 1
    batch = AtomBatch.from_arrays([(made.numbers[heavy], made.positions[0][heavy], 0, None)])
    classes = np.unique(environments[heavy, 1], return_inverse=True)[1]
    hashed = with_neighbours(torch.from_numpy(classes), batch, path_lengths(batch) == 1).numpy()
    second = environments[heavy, 2]
    same = hashed[:, None] == hashed
    assert (same == (second[:, None] == second)).all()
    assert len(set(hashed)) > len(set(classes)) or len(set(second)) == len(set(classes))


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
    for bonds in (None, made.bonds):  # read off the geometry, or given
        water = (*short[:3], None if bonds is None else [[0, 1], [0, 2]])
        batch = AtomBatch.from_arrays([water, (made.numbers, made.positions[0], 0, bonds)])
        paths = path_lengths(batch).numpy()
        np.testing.assert_array_equal(paths[1], expected)
        assert sorted(paths[0, :3, :3].ravel().tolist()) == [0, 0, 0, 1, 1, 1, 1, 2, 2]


@pytest.mark.parametrize(
    "smiles", ["C1C2CC1C2", "CC12CC(C1)(C2)C(=O)O", "Ic1ccccc1I", "FS(F)(F)(F)(F)c1ccccc1"]
)
def test_given_bonds_count_where_a_geometry_misleads(smiles):
    made = embed(read_molecule(smiles), ConformerSettings())
    given, guessed = (
        path_lengths(AtomBatch.from_arrays([(made.numbers, made.positions[0], 0, bonds)]))[0]
        for bonds in (made.bonds, None)
    )
    mol = read_molecule(smiles).mol
    np.testing.assert_array_equal(given, np.minimum(Chem.GetDistanceMatrix(mol), LONGEST_PATH + 1))
    assert (given != guessed).any()  # or this test says nothing


def test_blocks_count_every_token_whatever_the_pose_and_order():
    assert list(rem3di().output_blocks()) == ["invariant", "chiral"]
    config = WordsConfig((9, 4), (0, 1), (1,), (1,), columns=6, folded=20, confidence=0.0)
    encoder = rem3di(words=config)
    sizes = encoder.output_blocks()
    assert list(sizes) == ["invariant", "chiral", "words", "pairs"]
    assert (sizes["words"], sizes["pairs"]) == (6 + 4 + 20, 20)

    def counts(*items):
        return encoder(collate(*items))[:, sizes["invariant"] + sizes["chiral"] :]

    rows = counts(*ITEMS)
    heavy = torch.tensor([(item[0] > 1).sum() for item in ITEMS]).double()
    for part, expected in zip(
        rows.split([6, 4, 20, 20], 1), [heavy] * 3 + [heavy * (heavy - 1) / 2], strict=True
    ):
        torch.testing.assert_close(part.sum(1), expected)
    assert len(rows.unique(dim=0)) == len(ITEMS)
    for item, row in zip(ITEMS, rows, strict=True):
        turned = moved(item, rotation(3) @ np.diag([1.0, -1.0, 1.0]), [3.0, 0.0, -8.0])
        order = np.random.default_rng(1).permutation(len(item[0]))
        torch.testing.assert_close(counts(turned)[0], row)
        torch.testing.assert_close(counts(reordered(item, order))[0], row)
