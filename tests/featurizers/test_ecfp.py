"""ECFP against RDKit itself, and its sparse output."""

import numpy as np
import pytest
import scipy.sparse
from ase import Atoms
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdFingerprintGenerator
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from skmol3d import ECFPFeaturizer, drop_failures

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "C[C@H](N)C(=O)O",
    "C[C@@H](N)C(=O)O",
    "CC(C)Cc1ccc(cc1)[C@@H](C)C(=O)O",
    "C[N+](C)(C)CC(=O)[O-]",
    "F/C=C/F",
]


@pytest.mark.parametrize("count", [False, True])
@pytest.mark.parametrize(
    ("radius", "n_bits", "chirality"), [(2, 2048, False), (3, 512, True), (0, 64, False)]
)
def test_equals_rdkit(radius, n_bits, chirality, count):
    generator = rdFingerprintGenerator.GetMorganGenerator(
        radius=radius, fpSize=n_bits, includeChirality=chirality
    )
    get = generator.GetCountFingerprintAsNumPy if count else generator.GetFingerprintAsNumPy
    expected = np.array([get(Chem.MolFromSmiles(smiles)) for smiles in SMILES], dtype=np.float32)
    rows = ECFPFeaturizer(radius, n_bits, count, chirality).transform(SMILES)
    np.testing.assert_array_equal(rows, expected)


def test_chirality_tells_enantiomers_apart():
    left, right = SMILES[2:4]
    plain = ECFPFeaturizer().transform([left, right])
    marked = ECFPFeaturizer(chirality=True).transform([left, right])
    assert (plain[0] == plain[1]).all()
    assert (marked[0] != marked[1]).any()


def test_explicit_hydrogens_and_counter_ions_do_not_matter():
    acid = Chem.AddHs(Chem.MolFromSmiles("CC(=O)[O-]"))
    rows = ECFPFeaturizer(count=True).transform(
        ["CC(=O)[O-]", acid, "[Na+].CC(=O)[O-]", "[H]C([H])([H])C([O-])=O"]
    )
    assert (rows == rows[0]).all()


def test_a_geometry_is_fingerprinted_as_its_smiles():
    """In 3D C=N-H has a mark, for which RDKit keeps the hydrogen."""
    mol = Chem.AddHs(Chem.MolFromSmiles("N=C(N)c1ccccc1"))
    assert rdDistGeom.EmbedMolecule(mol, randomSeed=7) == 0
    rows = ECFPFeaturizer(count=True).transform(
        ["N=C(N)c1ccccc1", mol, Chem.RemoveHs(mol), "[H]/N=C(/N)c1ccccc1"]
    )
    assert (rows == rows[0]).all()


def test_sparse_output():
    dense = ECFPFeaturizer(count=True).transform(SMILES)
    featurizer = ECFPFeaturizer(count=True, sparse_output=True)
    sparse = featurizer.transform(SMILES)
    assert isinstance(sparse, scipy.sparse.csr_array)
    assert sparse.dtype == np.float32
    np.testing.assert_array_equal(sparse.toarray(), dense)
    chunks = list(featurizer.iter_transform(SMILES, chunk_size=4))
    assert [chunk.shape[0] for chunk in chunks] == [4, 3]
    target = np.arange(len(SMILES))
    predicted = make_pipeline(featurizer, Ridge()).fit(SMILES, target).predict(SMILES)
    np.testing.assert_allclose(predicted, Ridge().fit(dense, target).predict(dense), atol=1e-2)


def test_sparse_failures_are_stored_nan():
    smiles = [SMILES[0], "C(", SMILES[1]]
    sparse = ECFPFeaturizer(n_bits=64, sparse_output=True, errors="nan").transform(smiles)
    assert np.isnan(sparse.toarray()).all(axis=1).tolist() == [False, True, False]
    kept, names = drop_failures(sparse, smiles)
    assert names == [SMILES[0], SMILES[1]]
    np.testing.assert_array_equal(kept.toarray(), ECFPFeaturizer(n_bits=64).transform(names))


def test_bare_geometry_is_a_failure():
    featurizer = ECFPFeaturizer(errors="nan")
    featurizer.transform([Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])])
    assert "molecular graph" in featurizer.failures_["reason"][0]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"radius": -1}, ValueError),
        ({"radius": 2.0}, TypeError),
        ({"n_bits": 0}, ValueError),
        ({"count": "yes"}, ValueError),
    ],
)
def test_invalid_parameters(params, error):
    with pytest.raises(error, match=next(iter(params))):
        ECFPFeaturizer(**params).transform(["C"])


def test_integers_of_numpy_are_integers():
    found = ECFPFeaturizer(radius=np.int64(1), n_bits=np.int64(64)).transform(["CCO"])
    np.testing.assert_array_equal(found, ECFPFeaturizer(radius=1, n_bits=64).transform(["CCO"]))
