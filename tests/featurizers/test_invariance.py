"""A row is a function of its molecule alone: properties over random molecules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.spatial.transform import Rotation

from skmol3d import REM3DIFeaturizer
from skmol3d.featurizers import cache

# Any row of these is a valid molecule: each ends with an atom that has a valence to spare.
LINKS = [
    "C",
    "C(C)",
    "C(F)",
    "C(=O)",
    "O",
    "N",
    "S",
    "c1ccc(cc1)",
    "C1CC1",
    "[C@H](O)",
    "[C@@H](N)",
    "C=C",
    "C#C",
]
smiles = st.lists(st.sampled_from(LINKS), min_size=1, max_size=5).map(
    lambda links: "C" + "".join(links) + "C"
)
CHIRAL = 4  # columns of the tiny encoder's chiral block
seeds = st.integers(0, 2**16)
# No deadline: the time of an example says nothing here. No example database in the working tree.
quick = settings(max_examples=25, deadline=None, database=None, derandomize=True)


@pytest.fixture(scope="module")
def featurize(tiny_checkpoint):
    def transform(molecules, **params):
        cache.clear()  # or the invariance would be the cache's
        settings = {"model": tiny_checkpoint, "device": "cpu", "scaled": False, **params}
        return REM3DIFeaturizer(**settings).transform(molecules)

    return transform


def assert_same(rows, expected):
    # Block by block, since the chiral one is far smaller; of achiral molecules it is nothing but rounding.
    for block in (slice(None, -CHIRAL), slice(-CHIRAL, None)):
        scale = np.abs(expected[:, block]).max(axis=1, keepdims=True)
        assert (np.abs(rows - expected)[:, block] <= 1e-4 * scale + 1e-8).all()


def embedded(text, seed):
    mol = Chem.AddHs(Chem.MolFromSmiles(text))
    # Random coordinates serve as well: what counts is that some geometry comes along.
    assert AllChem.EmbedMolecule(mol, randomSeed=seed, useRandomCoords=True) == 0
    return mol


@quick
@given(smiles, seeds)
def test_rotation_and_translation(featurize, text, seed):
    mol = embedded(text, seed)
    moved = Chem.Mol(mol)
    rng = np.random.default_rng(seed)
    positions = Rotation.random(rng=rng).apply(mol.GetConformer().GetPositions())
    shift = rng.uniform(-1, 1, size=3) * 10.0 ** rng.integers(1, 4, endpoint=True) * 0.9  # up to 9000 Å
    moved.GetConformer().SetPositions(positions + shift)
    assert_same(featurize([moved]), featurize([mol]))


@quick
@given(smiles, seeds)
def test_atom_order(featurize, text, seed):
    mol = embedded(text, seed)
    order = np.random.default_rng(seed).permutation(mol.GetNumAtoms())
    assert_same(featurize([Chem.RenumberAtoms(mol, order.tolist())]), featurize([mol]))


@pytest.mark.slow
@quick
@given(smiles, seeds)
def test_smiles_spelling(featurize, text, seed):
    spellings = list(Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(text), 3, randomSeed=seed))
    expected = featurize([text])
    for spelling in spellings:
        assert_same(featurize([spelling]), expected)


@pytest.mark.slow
@quick
@given(st.lists(smiles, min_size=2, max_size=6, unique=True), st.integers(1, 200))
def test_batch_composition_and_size(featurize, molecules, batch_size):
    together = featurize(molecules, batch_size=batch_size)
    alone = np.concatenate([featurize([molecule]) for molecule in molecules])
    assert_same(together, alone)
    assert_same(featurize(molecules[::-1], n_jobs=2)[::-1], alone)


# --- mirror images (REVIEW A3) ---------------------------------------------------------------------------

ENANTIOMERS = [
    ("CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O", "CC(C)Cc1ccc(cc1)[C@H](C)C(=O)O"),  # ibuprofen
    ("C[C@H](O)c1ccccc1", "C[C@@H](O)c1ccccc1"),
    ("C[C@H](F)/C=C(Cl)/[C@@H](C)F", "C[C@@H](F)/C=C(Cl)/[C@H](C)F"),
]


@pytest.mark.parametrize("pair", ENANTIOMERS)
@pytest.mark.parametrize(
    "params", [{}, {"n_conformers": 3, "relax": "mmff", "conformer_pooling": "boltzmann"}]
)
def test_rows_of_enantiomers_from_smiles_differ_in_the_sign_of_chiral(pair, params):
    right, left = REM3DIFeaturizer(device="cpu", scaled=False, **params).fit_transform(pair)
    names = REM3DIFeaturizer(device="cpu").fit([]).get_feature_names_out()
    odd = np.array(["_signed_" in name or "_chiral_" in name for name in names])
    assert np.abs(right[odd]).max() > 0.1
    # Rounded columns may tip over from one level to the next.
    assert np.isclose(left, np.where(odd, -right, right), rtol=1e-5, atol=1e-5).mean() > 0.99
