"""Rows of molecular crystals: what stands in them, what they do not depend on, and scikit-learn."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from crystal_examples import CHIRAL, pack, random_crystal, scrambled, write_cif
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d import CrystalFeaturizer, Mo3ENetFeaturizer, REM3DIFeaturizer
from skmol3d.crystals import PARAMETERS, MolecularCrystal
from skmol3d.crystals.symmetry import KINDS, operation_kinds
from skmol3d.featurizers import (
    MoleculeFeaturizer,
    StructureFeaturizer,
    all_featurizers,
    cache,
)

K = 80  # vectors of the tiny Mo3ENet
WATER = Atoms("OHH", [(0, 0, 0), (0.76, 0.59, 0), (-0.76, 0.59, 0)])
NEW = 13 + 8  # columns at the end, for several independent molecules and the space group
TWELVE = slice(-NEW - 12, -NEW)


def rewritten(atoms, seed):
    """The same crystal in another cell of its lattice, moved and turned, its atoms in another order."""
    rng = np.random.default_rng(seed)
    shear = np.eye(3)
    shear[tuple(rng.choice(3, 2, replace=False))] = rng.choice([-1, 1])
    turn = Rotation.random(random_state=seed).as_matrix()
    positions = (atoms.positions + rng.uniform(-5, 5, 3)) @ turn
    other = Atoms(atoms.numbers, positions, cell=shear @ atoms.cell.array @ turn, pbc=True)
    other.wrap()
    return other[rng.permutation(len(other))]


@pytest.fixture
def make(tiny_mo3enet):
    cache.clear()
    return lambda molecule="mo3enet", **params: CrystalFeaturizer(molecule, tiny_mo3enet, **params)


@pytest.fixture(scope="module")
def crystals():
    ethanol = molecule("CH3CH2OH")
    ethanol.rattle(0.1, seed=0)  # without its mirror plane
    return [pack(1, CHIRAL), pack(14, CHIRAL, seed=1), pack(2, ethanol, seed=2)]


# --- what stands in a row --------------------------------------------------------------------------------


def test_a_row_is_the_molecule_and_twelve_standardised_numbers(make, crystals, tiny_mo3enet):
    rows = make().fit_transform(crystals)
    assert rows.shape == (3, 4 * K + 12 + NEW)
    assert rows.dtype == np.float32
    for row, atoms in zip(rows, crystals, strict=True):
        found = MolecularCrystal.read(atoms)
        (rigid,) = found.molecules
        alone = Atoms(rigid.numbers, rigid.positions)
        embedding = Mo3ENetFeaturizer(tiny_mo3enet, output="vector").transform([alone])[0]
        np.testing.assert_allclose(row[: 4 * K], embedding, atol=1e-5)
        a, b, c, alpha, beta, gamma, *rest = found.parameters[0]
        radius = max(np.linalg.norm(place) for place in rigid.positions)
        expected = [(length / radius - 1.2037) / 0.6088 for length in (a, b, c)]
        expected += [(alpha - 1.5656) / 0.2339, (beta - 1.5728) / 0.2075, (gamma - 1.5579) / 0.2598]
        expected += [(place - 0.5) / 0.289 for place in rest[:3]]
        expected += [rest[3] / 2.08, rest[4] / 2.08, (rest[5] - np.pi / 2) / 1.38]
        np.testing.assert_allclose(row[TWELVE], expected, atol=1e-5)
        assert not row[-NEW : -NEW + 6].any()
        assert row[-NEW + 6 : -NEW + 8].tolist() == [1, 1]
        assert row[-9] == 0
        np.testing.assert_allclose(row[-8:], operation_kinds(found.space_group))
    for name in ("none", "volume", "inertia"):
        np.testing.assert_array_equal(make(name).transform(crystals)[:, -12 - NEW :], rows[:, 4 * K :])


def test_mirror_images_differ_by_their_handedness(make):
    atoms = pack(19, CHIRAL, seed=4)
    mirrored = Atoms(atoms.numbers, -atoms.positions, cell=atoms.cell, pbc=True)
    inertia = make("inertia").transform([atoms, mirrored])
    assert abs(inertia[0, 0]) > 1
    np.testing.assert_allclose(inertia[0, :3] * [-1, 1, 1], inertia[1, :3], rtol=1e-5)
    rows = make().transform([atoms, mirrored])
    flipped = rows[0, : 3 * K].reshape(3, K) * [[-1], [1], [1]]
    np.testing.assert_allclose(flipped, rows[1, : 3 * K].reshape(3, K), atol=1e-4)
    assert np.abs(rows[0, : 3 * K] - rows[1, : 3 * K]).max() > 0.01


def test_packings_of_one_molecule_differ_in_the_twelve_numbers_alone(make):
    rows = make().transform([pack(4, CHIRAL, seed=seed) for seed in (0, 1)])
    np.testing.assert_allclose(rows[0, : 4 * K], rows[1, : 4 * K], atol=1e-4)
    assert np.abs(rows[0, 4 * K :] - rows[1, 4 * K :]).max() > 0.1


def test_any_featurizer_describes_the_molecule(make, crystals, tiny_checkpoint):
    inner = REM3DIFeaturizer(model=tiny_checkpoint, device="cpu").set_output(transform="pandas")
    featurizer = make(inner).fit(crystals)
    rows = featurizer.transform(crystals)
    rigid = [MolecularCrystal.read(atoms).molecules[0] for atoms in crystals]
    expected = inner.transform([Atoms(m.numbers, m.positions) for m in rigid]).to_numpy()
    np.testing.assert_allclose(rows[:, : -12 - NEW], expected, atol=1e-4)
    assert featurizer.molecule_ is not inner
    assert not hasattr(inner, "checkpoint_")
    names = featurizer.get_feature_names_out().tolist()
    assert names[: -12 - NEW] == [f"crystal_{name}" for name in inner.get_feature_names_out()]
    assert clone(featurizer).set_params(molecule__blocks=("invariant",)).molecule.blocks == ("invariant",)


def test_names_of_columns(make):
    names = make().get_feature_names_out().tolist()
    blocks = [f"crystal_mo3enet_{block}_{i}" for block in ("x", "y", "z", "scalar") for i in range(K)]
    poses = [f"crystal_spread_{name}" for name in PARAMETERS[6:]]
    more = ["molecules", "z_prime", "spacing", "neighbours", "distance", "alignment", "others"]
    assert names == [
        *blocks,
        *(f"crystal_{name}" for name in PARAMETERS),
        *poses,
        *(f"crystal_{name}" for name in more),
        *(f"crystal_group_{name}" for name in KINDS),
    ]
    assert make("volume").get_feature_names_out()[:2].tolist() == ["crystal_volume", "crystal_a"]
    assert len(make("inertia").get_feature_names_out()) == 36


# --- several independent molecules -----------------------------------------------------------------------


def test_molecules_that_only_look_independent_change_nothing_but_their_number(make):
    """A crystal in P2_1/c, and the same one described in P1 with the four molecules of its cell."""
    atoms = pack(14, CHIRAL, seed=5)
    crystal = MolecularCrystal.read(atoms)
    copies = [(crystal.molecules[0].numbers, place) for place in crystal.copies[0]]
    low = MolecularCrystal.from_molecules(copies, crystal.cell)
    rows = make("volume").transform([crystal, low])
    names = [name.removeprefix("crystal_") for name in make("volume").get_feature_names_out()]
    at = [names.index(name) for name in ("volume", "spacing", "neighbours", "distance", "alignment")]
    np.testing.assert_allclose(rows[0, at], rows[1, at], rtol=0.02)
    assert rows[:, names.index("molecules")].tolist() == [1, 4]
    others = rows[:, names.index("others")]
    assert others[0] == 0
    assert others[1] > 0.5  # the rest are copies by the lattice


@settings(max_examples=10, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from([1, 2, 4, 14, 19, 33]),
    st.sampled_from(
        [
            (CHIRAL, CHIRAL),  # Z' = 2
            (CHIRAL, molecule("C6H6")),  # a co-crystal
            (CHIRAL, WATER, WATER),  # a dihydrate
            (molecule("CH4"), Atoms("Br"), Atoms("Cl")),  # single atoms, as in salts
        ]
    ),
    st.integers(0, 1000),
)
def test_rows_of_several_molecules_do_not_depend_on_how_the_crystal_is_written(
    several, number, molecules, seed
):
    atoms = random_crystal(number, seed, molecules)
    rows = several.transform([atoms, rewritten(atoms, seed), scrambled(atoms, seed + 1)])
    np.testing.assert_allclose(rows[1:], rows[[0, 0]], atol=2e-4)
    described = MolecularCrystal.read(atoms)
    assert rows[0, -15] == len(described.molecules) == len(molecules)
    # The order of the independent molecules is the description's own; rows do not look at it.
    turned = replace(
        described, parameters=described.parameters[::-1].copy(), molecules=described.molecules[::-1]
    )
    np.testing.assert_allclose(several.transform([turned]), rows[:1], atol=2e-4)


@pytest.fixture(scope="module")
def several(tiny_checkpoint):
    return CrystalFeaturizer("rem3di", tiny_checkpoint, device="cpu")


def test_any_copy_of_each_molecule_may_stand_in_the_file(several, tmp_path):
    atoms = pack(14, CHIRAL, WATER, seed=3)
    rng = np.random.default_rng(0)
    bases = [0, 4 * len(CHIRAL)]
    listed = []
    for _ in range(3):
        sites = [
            base + int(rng.integers(4)) * len(one) + i
            for base, one in zip(bases, (CHIRAL, WATER), strict=True)
            for i in range(len(one))
        ]
        listed.append(rng.permutation(sites))
    paths = [write_cif(tmp_path / f"{i}.cif", atoms, 14, sites) for i, sites in enumerate(listed)]
    rows = several.transform([atoms, *paths])
    np.testing.assert_allclose(rows, np.tile(rows[0], (len(rows), 1)), atol=2e-4)


def test_rem3di_is_a_choice_with_its_own_checkpoint(several):
    assert CrystalFeaturizer("rem3di").fit([]).molecule_.model == "rem3di-small"
    assert CrystalFeaturizer().fit([]).molecule_.model == "mo3enet-druglike"
    names = several.get_feature_names_out()
    inner = [f"crystal_{name}" for name in several.fit([]).molecule_.get_feature_names_out()]
    assert names[: -12 - NEW].tolist() == inner


# --- what rows do not depend on --------------------------------------------------------------------------


@settings(max_examples=8, deadline=None, database=None, derandomize=True)
@given(
    st.sampled_from([1, 2, 4, 14, 19, 33]),
    st.sampled_from([CHIRAL, molecule("C6H6"), molecule("CH4")]),
    st.integers(0, 1000),
)
def test_rows_do_not_depend_on_how_the_crystal_is_written(tiny_mo3enet, number, one, seed):
    atoms = pack(number, one, seed=seed)
    both = [atoms, rewritten(atoms, seed)]
    for name, tolerance in (("mo3enet", 2e-4), ("inertia", 1e-4), ("volume", 1e-2)):
        rows = CrystalFeaturizer(name, tiny_mo3enet).transform(both)
        np.testing.assert_allclose(rows[0], rows[1], atol=tolerance)
        if name == "mo3enet":
            assert np.abs(rows[0, : 3 * K]).max() > 0.01  # symmetric molecules do not vanish


def test_any_symmetry_copy_may_stand_in_the_file(make, tmp_path):
    atoms = pack(14, CHIRAL, seed=3)
    rng = np.random.default_rng(0)
    n = len(CHIRAL)
    listed = [[copy * n + i for i in range(n)] for copy in range(4)]
    listed.append([int(rng.integers(4)) * n + i for i in range(n)])  # of each atom another copy
    paths = [write_cif(tmp_path / f"{i}.cif", atoms, 14, sites) for i, sites in enumerate(listed)]
    rows = make().transform([atoms, *paths])
    np.testing.assert_allclose(rows, np.tile(rows[0], (len(rows), 1)), atol=2e-4)


# --- scikit-learn ----------------------------------------------------------------------------------------


def test_is_no_featurizer_of_molecules():
    assert issubclass(CrystalFeaturizer, StructureFeaturizer)
    assert not issubclass(CrystalFeaturizer, MoleculeFeaturizer)
    assert CrystalFeaturizer not in all_featurizers()
    assert Mo3ENetFeaturizer in all_featurizers()


def test_speaks_the_language_of_the_other_featurizers(make, crystals, tmp_path):
    common = {"model", "revision", "device", "batch_size", "n_jobs", "errors", "cache_dir", "verbose"}
    assert common <= set(CrystalFeaturizer().get_params(deep=False))
    featurizer = make(device="cpu", batch_size=64, cache_dir=str(tmp_path / "cache")).fit(crystals)
    inner = featurizer.molecule_.get_params()
    assert (inner["device"], inner["batch_size"]) == ("cpu", 64)
    rows = featurizer.transform(crystals)
    assert any((tmp_path / "cache").iterdir())
    np.testing.assert_array_equal(rows, make(device="cpu").transform(crystals))
    with pytest.raises(ValueError, match="device='cuda:9' is not available"):
        make(device="cuda:9").transform(crystals)


def test_threads_do_not_mix_up_their_failures(make, crystals):
    iron = pack(1, Atoms("FeCO", [(0, 0, 0), (1.8, 0, 0), (2.95, 0, 0)]))
    featurizer = make(errors="nan").fit(crystals)
    inputs = [[crystals[0], iron] if k % 2 else [iron, crystals[0]] for k in range(12)]
    with ThreadPoolExecutor(4) as pool:
        for k, rows in enumerate(pool.map(featurizer.transform, inputs)):
            assert np.isnan(rows).any(axis=1).tolist() == [k % 2 == 0, k % 2 == 1]


def test_parameters_are_stored_untouched():
    marks = {name: object() for name in CrystalFeaturizer().get_params(deep=False)}
    assert CrystalFeaturizer(**marks).get_params(deep=False) == marks


def test_pipelines_clone_pickle_and_search(make):
    described = [MolecularCrystal.read(pack(1, CHIRAL, seed=seed)) for seed in range(6)]
    y = [np.linalg.det(found.cell) for found in described]
    pipeline = make_pipeline(make(), StandardScaler(), Ridge()).fit(described, y)
    text = pickle.dumps(pipeline)
    assert len(text) < 2**20
    cache.clear()
    np.testing.assert_allclose(pickle.loads(text).predict(described), pipeline.predict(described), rtol=1e-6)
    search = GridSearchCV(
        clone(pipeline), {"crystalfeaturizer__molecule": ["none", "mo3enet"]}, cv=2, error_score="raise"
    )
    scores = search.fit(described, y).cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
