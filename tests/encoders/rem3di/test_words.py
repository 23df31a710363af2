"""Words: counts of environments by RDKit, or perceived; signed ones by the handedness of their atoms."""

import numpy as np
import pytest
import torch
from encoder_examples import collate, embedded, example, moved, rem3di, reordered, rotation
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator as generators

from skmol3d.encoders.rem3di.words import MIXER, PRIME, Words, WordsConfig, arrangement, priorities
from skmol3d.structures import atom_environments, read_molecule

SMILES = [
    "CC(=O)Nc1ccc(O)cc1",
    "C[C@H](N)C(=O)O",
    "CCC[S@](C)=O",
    "C[N+](C)(C)CC(=O)[O-]",
    "FC(Cl)=C1CC1",
    "OC[C@@H](O)[C@H](O)CBr",
    "[NH4+]",
]
MIRROR = np.diag([1.0, 1.0, -1.0])


def known(smiles):
    """Environments [heavy atoms, 6] of molecules."""
    found = [atom_environments(Chem.AddHs(Chem.MolFromSmiles(text))) for text in smiles]
    return np.concatenate([e[e.any(1)] for e in found])


def vocabularies(smiles):
    """Every second environment of the molecules, so that others have no class; not in their order."""
    rng = np.random.default_rng(0)
    everything = (np.unique(column[column > 0]) for column in known(smiles).T)
    return [rng.permutation(column)[: len(column) // 2 + 1] for column in everything]


VOCABULARIES = vocabularies(SMILES)
CLASSES = tuple(map(len, VOCABULARIES))
FOLDED = 7
COLUMNS = (*CLASSES[:2], CLASSES[2] - 2, *CLASSES[3:5])  # not all classes, nor all vocabularies


@pytest.fixture(scope="module")
def encoder():
    """Words only of what is counted; what is perceived is random."""
    made = rem3di(words=WordsConfig(CLASSES, COLUMNS, CLASSES[:2], FOLDED, confidence=0.2))
    made.words.name_classes(VOCABULARIES)
    return made


def blocks(encoder, *items):
    sizes = encoder.output_blocks()
    return dict(zip(sizes, encoder(collate(*items)).split(list(sizes.values()), 1), strict=True))


def words(encoder, *items):
    return blocks(encoder, *items)["words"]


def rare(encoder, *items):
    return blocks(encoder, *items)["rare"]


def signed(encoder, *items):
    return blocks(encoder, *items)["signed"]


def same(found, expected):
    np.testing.assert_array_equal(found.numpy(), expected.numpy())


# --- counts ----------------------------------------------------------------------------------------------


def test_words_of_a_graph_are_counts_of_the_morgan_fingerprint(encoder):
    """Counted by RDKit from the SMILES, without a geometry."""
    found = words(encoder, *map(embedded, SMILES))
    assert found.shape == (len(SMILES), sum(COLUMNS))
    for text, row in zip(SMILES, found, strict=True):
        expected = []
        for k, size in enumerate(COLUMNS):
            features = generators.GetMorganFeatureAtomInvGen() if k >= 3 else None
            counts = []
            for radius in range(k % 3 + 1):
                generator = generators.GetMorganGenerator(
                    radius=radius, includeRedundantEnvironments=True, atomInvariantsGenerator=features
                )
                fingerprint = generator.GetSparseCountFingerprint(Chem.MolFromSmiles(text))
                counts.append(fingerprint.GetNonzeroElements())
            less = counts[-2] if k % 3 else {}
            own = {bit: n - less.get(bit, 0) for bit, n in counts[-1].items()}
            if k == 3:  # atoms without a feature have the identifier 0, which stands for no label
                own[1] = own.get(1, 0) + own.pop(0, 0)
            expected += [own.get(int(bit), 0) for bit in VOCABULARIES[k][:size]]
        assert row.tolist() == expected
    assert found.sum(1).min() > 0


def test_words_of_a_graph_know_nothing_of_conformer_pose_or_order(encoder):
    for text in SMILES[:6]:
        item = embedded(text)
        expected = words(encoder, item)
        order = np.random.default_rng(1).permutation(len(item[0]))
        for other in (
            *(embedded(text, seed) for seed in (1, 2)),
            moved(item, rotation(3) @ MIRROR, [3.0, 0.0, -8.0]),
            reordered(item, order),
            (*item[:3], None, item[4]),
        ):
            same(words(encoder, other), expected)


def test_a_bare_geometry_is_perceived_as_in_a_loop_over_atoms(encoder):
    item = embedded(SMILES[0])[:4]
    tokens = encoder.tokens(collate(item))
    expected = [np.zeros(size) for size in COLUMNS]
    passed = 0
    for atom in tokens.encoded[0]:
        for counts, head in zip(expected, encoder.words.heads, strict=False):
            probability = (head.weight @ atom + head.bias).softmax(0)
            best = int(probability.argmax())
            if probability[best] > 0.2 and best < len(counts):
                counts[best] += 1
            passed += probability[best] <= 0.2
    assert passed > 0  # some are too uncertain to count
    found = words(encoder, item)[0]
    np.testing.assert_array_equal(found, np.concatenate(expected))
    assert found.sum() > 0
    order = np.random.default_rng(1).permutation(len(item[0]))
    same(words(encoder, reordered(moved(item, rotation(2) @ MIRROR), order))[0], found)


def test_what_has_no_column_is_folded(encoder):
    found = rare(encoder, *map(embedded, SMILES))
    for text, row in zip(SMILES, found, strict=True):
        expected = np.zeros(FOLDED)
        for atom in known([text]).astype(int):
            for k, identifier in enumerate(atom):
                size = COLUMNS[k] if k < len(COLUMNS) else 0
                if identifier > 0 and identifier not in VOCABULARIES[k][:size]:
                    expected[(int(identifier) + k) * MIXER % PRIME % FOLDED] += 1
        np.testing.assert_array_equal(row, expected)
    assert (found > 0).any(0).all()


def test_of_a_bare_geometry_what_is_perceived_is_folded():
    encoder = rem3di(words=WordsConfig(CLASSES, COLUMNS[:1], folded=FOLDED, confidence=0.0))
    encoder.words.name_classes(VOCABULARIES)
    item, graph = embedded(SMILES[0])[:4], embedded(SMILES[1])
    expected = np.zeros(FOLDED)
    for atom in encoder.tokens(collate(item)).encoded[0]:
        for k, head in enumerate(encoder.words.heads):
            best = int((head.weight @ atom + head.bias).argmax())
            if k or best >= COLUMNS[0]:
                expected[(int(VOCABULARIES[k][best]) + k) * MIXER % PRIME % FOLDED] += 1
    assert expected.sum() > 0
    np.testing.assert_array_equal(rare(encoder, item)[0], expected)
    same(rare(encoder, item, graph), torch.cat([rare(encoder, item), rare(encoder, graph)]))


def test_a_batch_may_hold_graphs_and_bare_geometries(encoder):
    graph, bare = embedded(SMILES[1]), (*embedded(SMILES[0])[:4], None)
    alone = [words(encoder, item) for item in (graph, bare)]
    same(words(encoder, graph, bare), torch.cat(alone))
    same(words(encoder, bare, graph), torch.cat(alone[::-1]))
    # Without any label (an isotope of hydrogen stays in the graph) it is a bare geometry.
    unlabelled = (*bare[:4], np.zeros((len(bare[0]), 6), np.uint32))
    same(words(encoder, unlabelled), alone[1])


def test_classes_without_names_are_perceived_in_any_case():
    """Of checkpoints of version 1 it is not known what they count: no graph says that it is nothing."""
    encoder = rem3di(words=WordsConfig(CLASSES, COLUMNS, confidence=0.0))
    assert encoder.words.vocabularies is None
    item = embedded(SMILES[0])
    found = words(encoder, item)
    same(found, words(encoder, item[:4]))
    assert found.sum() > 0


def test_names_of_classes_come_back():
    made = Words(4, WordsConfig(CLASSES))
    made.name_classes(VOCABULARIES)
    assert made.sizes == {"words": 0, "rare": 0, "signed": 0}
    for found, expected in zip(made.vocabularies, VOCABULARIES, strict=True):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == np.uint32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": (3, 0)}, "classes must be positive"),
        ({"classes": (3,), "columns": (3, 4)}, "columns must be sizes of some of the 1 vocabularies"),
        ({"classes": (3,), "signed": (-1,)}, "signed must be sizes"),
        ({"classes": (3,), "folded": -1}, "folded must not be negative"),
        ({"classes": (3,), "confidence": 1.0}, "confidence must be in"),
    ],
)
def test_settings_that_make_no_sense(settings, message):
    with pytest.raises(ValueError, match=message):
        WordsConfig(**settings)


# --- handedness ------------------------------------------------------------------------------------------

CHIRAL = [
    ("CC[C@H](C)O", "CC[C@@H](C)O"),
    ("C[C@H](N)C(=O)OCC", "C[C@@H](N)C(=O)OCC"),
    ("CCC[S@](C)=O", "CCC[S@@](C)=O"),
    ("OC[C@@H](O)[C@H](O)CBr", "OC[C@H](O)[C@@H](O)CBr"),
    ("CC[P@](C)(=O)c1ccccc1", "CC[P@@](C)(=O)c1ccccc1"),
]
ACHIRAL = ["CCCC(C)C", "NCC(=O)O", "CN(CC)C(C)C", "CS(C)=O", "O[C@H](C)[C@H](C)O"]  # the last is meso


@pytest.fixture(scope="module")
def handed():
    """Every environment of the molecules has a class and a signed column."""
    environments = known([text for pair in CHIRAL for text in pair] + ACHIRAL)
    every = [np.unique(column[column > 0]) for column in environments.T]
    sizes = tuple(map(len, every))
    made = rem3di(words=WordsConfig(sizes, (), sizes, confidence=0.0))
    made.words.name_classes(every)
    return made


@pytest.mark.parametrize("pair", CHIRAL)
def test_signed_words_of_mirror_images_are_opposite(handed, pair):
    item = embedded(pair[0])
    row = signed(handed, item)
    assert row.abs().sum() > 0
    for bonds, environments in ((item[3], item[4]), (None, item[4]), (None, None)):
        given = (*item[:3], bonds, environments)
        same(signed(handed, moved(given, MIRROR)), -signed(handed, given))
    same(signed(handed, moved(item, MIRROR @ rotation(3), [4.0, 5.0, -6.0])), -row)
    same(signed(handed, embedded(pair[1])), -row)


@pytest.mark.parametrize("smiles", [pair[0] for pair in CHIRAL])
def test_signed_words_are_those_of_the_enantiomer_not_of_conformer_or_order(handed, smiles):
    items = [embedded(smiles, seed) for seed in range(4)]
    rows = signed(handed, *items)
    for row in rows:
        same(row, rows[0])
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(items[0][0]))
        same(signed(handed, reordered(items[0], order))[0], rows[0])


@pytest.mark.parametrize("smiles", ACHIRAL)
def test_signed_words_of_achiral_molecules_are_zero(handed, smiles):
    """Amines too, which turn over, and meso forms, whose centres cancel."""
    assert not signed(handed, *(embedded(smiles, seed) for seed in range(3))).any()


def test_signed_words_tell_diastereomers_apart(handed):
    first, second = ("OC[C@@H](O)[C@H](O)CBr", "OC[C@@H](O)[C@@H](O)CBr")
    rows = signed(handed, embedded(first), embedded(second))
    assert (rows[0] != rows[1]).any()
    assert (rows[0] != -rows[1]).any()


def test_arrangement_by_hand():
    """Seen from the carbon, Br, Cl, F in descending rank; hydrogen has the lowest."""
    ends = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    numbers = np.array([6, 35, 17, 9, 1])
    positions = np.concatenate([np.zeros((1, 3)), 1.1 * ends])
    batch = collate((numbers, positions, 0, [[0, k] for k in range(1, 5)]))
    for ranks, order in ((batch.numbers, [0, 1, 2]), (99 - batch.numbers, [3, 2, 1])):
        sense, neighbours = arrangement(batch, ranks)
        assert sense.tolist() == [np.sign(np.linalg.det(ends[order])), 0, 0, 0, 0]
        assert neighbours.tolist() == [[1 + k for k in order], *([k] * 3 for k in range(1, 5))]
    sense, neighbours = arrangement(batch, torch.tensor([6, 35, 17, 17, 1]))  # two are equivalent
    assert not sense.any()
    assert (neighbours == torch.arange(5)[:, None]).all()


def test_priorities_go_by_element_shells_and_identity():
    """The first difference decides; equivalent atoms have the same rank."""
    mol = read_molecule("OC[C@@H](C(C)C)CCBr").mol
    numbers, positions, charge, bonds, environments = embedded("OC[C@@H](C(C)C)CCBr")
    batch = collate((numbers, positions, charge, bonds))
    ranks = priorities(batch, torch.from_numpy(environments[:, 2].astype(np.int64)))
    place = {
        name: mol.GetSubstructMatch(Chem.MolFromSmarts(smarts))[0]
        for name, smarts in {
            "Br": "Br",
            "O": "O",
            "CO": "[CH2]O",
            "CBr": "[CH2]Br",
            "branch": "[CH](C)(C)C",
            "CC": "[CH2]C[Br]",
            "H": "[#1]",
        }.items()
    }
    assert mol.GetAtomWithIdx(place["CC"]).GetDegree() == 4
    order = sorted(place, key=lambda name: -int(ranks[place[name]]))
    assert order[:4] == ["Br", "O", "CBr", "CO"]
    assert order[-1] == "H"
    methyls = [match[0] for match in mol.GetSubstructMatches(Chem.MolFromSmarts("[CH3]"))]
    assert len(methyls) == 2
    assert ranks[methyls[0]] == ranks[methyls[1]]


def test_signed_words_are_those_of_the_ranked_neighbours(handed):
    """One centre: its sense, and the same for the class of its first, second and third neighbour."""
    text = "CC[C@H](C)O"
    item = embedded(text)
    row = signed(handed, item)[0]
    batch = collate(item)
    sense, neighbours = arrangement(batch, priorities(batch, batch.environments[:, 2]))
    (centre,) = sense.nonzero().tolist()
    sense, near = sense[centre[0]], neighbours[centre[0]]
    assert row[0] == sense
    assert batch.numbers[near].tolist() == [8, 6, 6]
    expected = [np.zeros(1 + 3 * sum(handed.config.words.signed))]
    expected[0][0] = sense
    for rank, atom in enumerate(near.tolist()):
        start = 1 + rank * sum(handed.config.words.signed)
        for k, vocabulary in enumerate(handed.words.vocabularies):
            expected[0][start + list(vocabulary).index(item[4][atom, k])] = sense
            start += len(vocabulary)
    np.testing.assert_array_equal(row, expected[0])


@pytest.mark.parametrize("name", ["H2O", "NH3", "H2", "CH4"])
def test_small_molecules_have_no_arrangement(name):
    batch = collate(example(name))
    assert not arrangement(batch, batch.numbers)[0].any()


def test_a_pyramid_of_sulfur_counts_and_of_nitrogen_does_not():
    pyramid = np.array([[0, 0, 0.5], [1, 0, 0], [-0.5, 0.9, 0], [-0.5, -0.9, 0]]) * 1.2
    for number, counts in ((16, True), (15, True), (7, False), (6, False)):
        batch = collate(([number, 9, 8, 6], pyramid, 0, [[0, 1], [0, 2], [0, 3]]))
        assert arrangement(batch, batch.numbers)[0][0].abs() == counts


def test_identifiers_are_looked_up_in_their_vocabularies():
    made = Words(8, WordsConfig(CLASSES))
    made.name_classes(VOCABULARIES)
    environments = known(SMILES)
    found = made.looked_up(torch.from_numpy(environments.astype(np.int64))).numpy()
    for own, identifiers, vocabulary in zip(found.T, environments.T, VOCABULARIES, strict=True):
        assert ((own >= 0) == np.isin(identifiers, vocabulary)).all()
        np.testing.assert_array_equal(vocabulary[own[own >= 0]], identifiers[own >= 0])
        assert (own < 0).any()
    assert (made.looked_up(torch.zeros(2, 6, dtype=torch.int64)) == -1).all()
