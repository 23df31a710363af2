"""Mo3ENet's rows: poses and refusals."""

import dataclasses
import pickle

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import AllChem
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skmol3d import EquivariantRidge, Mo3ENetFeaturizer, hub
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.mo3enet import Mo3ENet
from skmol3d.featurizers import cache

K = 80
NAMES = ["CH3CH2OH", "CH3CONH2", "C6H6", "CH4", "CO2", "H2O", "C5H5N", "HCOOH", "N"]


@pytest.fixture
def make(tiny_mo3enet):
    cache.clear()
    return lambda **params: Mo3ENetFeaturizer(**{"model": tiny_mo3enet, "device": "cpu", **params})


@pytest.fixture(scope="module")
def molecules():
    return [molecule(name) if name != "N" else Atoms("N") for name in NAMES]


def turned(molecules, matrix, shift=0.0):
    return [Atoms(atoms.numbers, atoms.positions @ matrix.T + shift) for atoms in molecules]


def other(tiny_mo3enet, folder, **changes):
    config = dataclasses.replace(hub.from_pretrained(tiny_mo3enet).config, **changes)
    return str(hub.save_pretrained(Mo3ENet(config), folder, card="another one"))


# --- rows ------------------------------------------------------------------------------------------------


def test_rows_are_what_the_encoder_computes(make, molecules, tiny_mo3enet):
    encoder = hub.from_pretrained(tiny_mo3enet)
    # One by one, and from positions as they are.
    batches = [AtomBatch.from_arrays([(a.numbers, a.positions, 0.0, None)]) for a in molecules]
    with torch.inference_mode():
        embeddings = [encoder.embed(batch) for batch in batches]
        scalars = torch.cat([encoder(batch) for batch in batches]).numpy()
    rows = make(output="vector").transform(molecules)
    assert rows.shape == (len(molecules), 4 * K)
    for row, embedding in zip(rows, embeddings, strict=True):
        np.testing.assert_allclose(row[: 3 * K].reshape(3, K), embedding.vectors[0], atol=1e-5)
        np.testing.assert_allclose(row[3 * K :], embedding.scalars[0], atol=1e-5)
    norms = make(output="norm").transform(molecules)
    np.testing.assert_allclose(norms, np.linalg.norm(rows[:, : 3 * K].reshape(-1, 3, K), axis=1), atol=1e-5)
    np.testing.assert_allclose(make().transform(molecules), scalars, atol=1e-5)
    assert np.abs(rows[:-1, : 3 * K]).max(axis=1).min() > 0.01  # the symmetric ones do not vanish


def test_names_of_columns(make):
    names = make(output="vector").get_feature_names_out().tolist()
    assert names == [f"mo3enet_{block}_{i}" for block in ("x", "y", "z", "scalar") for i in range(K)]
    assert make(output="norm").get_feature_names_out().tolist() == [f"mo3enet_norm_{i}" for i in range(K)]
    names = make().get_feature_names_out().tolist()
    assert names == [f"mo3enet_{b}_{i}" for b, n in (("scalar", K), ("pooled", 20)) for i in range(n)]


quick = settings(max_examples=10, deadline=None, database=None, derandomize=True)


@quick
@given(st.integers(0, 2**16), st.booleans())
def test_rows_turn_with_the_molecule(tiny_mo3enet, molecules, seed, improper):
    matrix = Rotation.random(random_state=seed).as_matrix() * (-1.0 if improper else 1.0)
    moved = turned(molecules, matrix, np.random.default_rng(seed).uniform(-50, 50, 3))
    cache.clear()
    featurizer = Mo3ENetFeaturizer(tiny_mo3enet, output="vector", device="cpu")
    rows = featurizer.transform(molecules)
    np.testing.assert_allclose(featurizer.rotate(rows, matrix), featurizer.transform(moved), atol=2e-5)
    for output in ("scalar", "norm"):
        featurizer = Mo3ENetFeaturizer(tiny_mo3enet, output=output, device="cpu")
        np.testing.assert_allclose(featurizer.transform(moved), featurizer.transform(molecules), atol=2e-5)


def test_mols_turn_too(make):
    mol = Chem.AddHs(Chem.MolFromSmiles("C[C@H](N)C(=O)O"))
    AllChem.EmbedMolecule(mol, randomSeed=3)
    matrix = Rotation.random(random_state=5).as_matrix()
    moved = Chem.Mol(mol)
    moved.GetConformer().SetPositions(mol.GetConformer().GetPositions() @ matrix.T)
    featurizer = make(output="vector")
    rows = featurizer.transform([mol, moved])
    np.testing.assert_allclose(featurizer.rotate(rows[:1], matrix), rows[1:], atol=2e-5)
    assert np.abs(rows[0] - rows[1]).max() > 0.01


def test_outputs_do_not_share_cached_rows(make, molecules):
    widths = [make(output=o).transform(molecules[:2]).shape[1] for o in ("vector", "norm", "scalar")]
    assert widths == [4 * K, K, K + 20]
    assert make().reconstruction_error(molecules[:2]).shape == (2,)


def test_pipeline_clones_and_pickles(make, molecules):
    # A vector of the molecule itself: from the centroid to the mean of the oxygen atoms, else zero.
    weights = [(a.numbers == 8) / max(1, (a.numbers == 8).sum()) for a in molecules]
    pairs = zip(weights, molecules, strict=True)
    y = np.stack([w @ (a.positions - a.positions.mean(0)) for w, a in pairs])
    pipeline = make_pipeline(make(output="vector"), EquivariantRidge(alpha=1e-4, gates=2))
    assert clone(pipeline).get_params()["mo3enetfeaturizer__output"] == "vector"
    predicted = pipeline.fit(molecules, y).predict(molecules)
    matrix = -Rotation.random(random_state=1).as_matrix()
    moved = turned(molecules, matrix)
    np.testing.assert_allclose(pipeline.predict(moved), predicted @ matrix.T, atol=1e-4)
    text = pickle.dumps(pipeline)
    assert len(text) < 2**20
    cache.clear()
    np.testing.assert_allclose(pickle.loads(text).predict(molecules), predicted, atol=1e-5)


# --- rotate ----------------------------------------------------------------------------------------------


def test_rotate_by_one_matrix_or_one_per_row(make, molecules):
    featurizer = make(output="vector", errors="nan")
    rows = featurizer.transform([*molecules[:3], "C("])
    matrices = Rotation.random(4, random_state=0).as_matrix() * np.array([1, -1, 1, 1])[:, None, None]
    found = featurizer.rotate(rows, matrices)
    assert found.dtype == np.float32
    for i in range(4):
        np.testing.assert_array_equal(featurizer.rotate(rows[[i]], matrices[i])[0], found[i])
    assert np.isnan(found[3]).all()
    np.testing.assert_allclose(featurizer.rotate(found, matrices.transpose(0, 2, 1)), rows, atol=1e-5)
    np.testing.assert_array_equal(found[:, 3 * K :], rows[:, 3 * K :])
    turn = Rotation.random(random_state=1)
    np.testing.assert_array_equal(featurizer.rotate(rows, turn), featurizer.rotate(rows, turn.as_matrix()))


@pytest.mark.parametrize(
    ("R", "message"),
    [
        (np.eye(2), r"shape \[3, 3\] or \[2, 3, 3\]; got \[2, 2\]"),
        (np.stack([np.eye(3)] * 3), r"got \[3, 3, 3\]"),
        (np.eye(3) * 1.01, "R is not orthogonal"),
        (np.stack([np.eye(3), np.ones((3, 3))]), r"R\[1\] is not orthogonal"),
        (np.full((3, 3), np.nan), "R is not orthogonal"),
    ],
)
def test_rotate_refuses_other_matrices(make, molecules, R, message):
    featurizer = make(output="vector")
    with pytest.raises(ValueError, match=message):
        featurizer.rotate(featurizer.transform(molecules[:2]), R)


@pytest.mark.parametrize("method", ["rotate", "inverse_transform"])
def test_only_vector_rows_hold_a_pose(make, method):
    more = [np.eye(3)] if method == "rotate" else []
    with pytest.raises(ValueError, match="output='vector'"):
        getattr(make(output="norm"), method)(np.zeros((1, K)), *more)
    for wrong in (np.zeros((2, 3 * K)), np.zeros(4 * K)):
        with pytest.raises(ValueError, match=rf"shape \[n, {4 * K}\]"):
            getattr(make(output="vector"), method)(wrong, *more)


# --- refusals --------------------------------------------------------------------------------------------


def test_foreign_and_large_molecules_are_named(make, tiny_mo3enet, tmp_path):
    small = other(tiny_mo3enet, tmp_path / "all", swarm=10, elements=(1, 6, 8))
    featurizer = make(model=small, errors="nan")
    rows = featurizer.transform(["CCO", "CN", "CC", "CCC"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False, True]
    reasons = featurizer.failures_["reason"].tolist()
    assert reasons[0].startswith("N: not among the elements the model knows (H, C, O)")
    assert reasons[1].startswith("11 atoms, more than the 10 points")
    heavy = other(tiny_mo3enet, tmp_path / "heavy", swarm=3, elements=(6, 8), hydrogens=False)
    featurizer = make(model=heavy, errors="nan")
    rows = featurizer.transform(["CCO", "CCCC", "[H][H]"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True]
    assert featurizer.failures_["reason"][0].startswith("4 heavy atoms, more than the 3 points")
    assert featurizer.failures_["reason"][1].startswith("H: not among")


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"output": "matrix"}, ValueError, "output must be one of 'scalar', 'vector', 'norm'"),
        ({"output": "error"}, ValueError, "output must be one of"),
        ({"output": "vector", "n_conformers": 2}, ValueError, "n_conformers=1"),
        ({"max_reconstruction_error": 0}, ValueError, "max_reconstruction_error must be a positive number"),
        ({"max_reconstruction_error": "0.3"}, ValueError, "max_reconstruction_error must be a positive"),
        ({"n_conformers": 0}, ValueError, "n_conformers"),
    ],
)
def test_invalid_parameters(make, params, error, message):
    with pytest.raises(error, match=message):
        make(**params).fit(["C"])


def test_checkpoint_of_another_encoder_is_refused(make, tiny_checkpoint):
    with pytest.raises(ValueError, match="expected a 'mo3enet' checkpoint"):
        make(model=tiny_checkpoint).transform(["C"])


def test_missing_checkpoint_is_named(make):
    with pytest.raises(hub.CheckpointError, match="no-such-model"):
        make(model="no-such-model").fit(["C"])
