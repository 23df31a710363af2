"""Rows of molecular crystals: what stands in them, what they do not depend on, and what is refused."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import molecule
from ase.geometry import cell_to_cellpar
from ase.spacegroup import Spacegroup, crystal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d import CrystalFeaturizer, Mo3ENetFeaturizer, REM3DIFeaturizer, hub
from skmol3d.crystals import PARAMETERS, MolecularCrystal
from skmol3d.featurizers import (
    FeaturizationError,
    MoleculeFeaturizer,
    StructureFeaturizer,
    all_featurizers,
    cache,
)

K = 80  # vectors of the tiny Mo3ENet

# Bromochlorofluoromethane: chiral, and no two of its axes are alike.
CHIRAL = Atoms(
    "CHFClBr",
    [(0, 0, 0), (0.62, 0.62, 0.65), (-0.78, -0.79, 0.77), (-1.02, 1.01, -1.03), (1.12, -1.11, -1.13)],
)
DRY_ICE = crystal("CO", [(0, 0, 0), (0.118,) * 3], spacegroup=205, cellpar=[5.64] * 3 + [90] * 3)


def pack(number, *molecules, seed=0):
    """Molecules far apart in a cell of a triclinic, monoclinic or orthorhombic group, all atoms inside it."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(80, 100, 3)
    angles[[0, 2]] = angles[[0, 2]] if number < 3 else 90
    angles[1] = angles[1] if number < 16 else 90
    lengths = rng.permutation([17.0, 19.0, 22.0]) + rng.uniform(size=3)
    atoms = Atoms(cell=np.concatenate([lengths, angles]), pbc=True)
    for i, one in enumerate(molecules):
        offsets = one.positions @ Rotation.random(random_state=seed + i).as_matrix()
        # An eighth of the axes away from the symmetry elements of these groups.
        centre = 0.125 + 0.02 * rng.uniform(size=3) + [0.25 * i, 0, 0]
        places = offsets @ np.linalg.inv(atoms.cell.array) + centre
        for rotation, translation in Spacegroup(number).get_symop():
            scaled = (places @ rotation.T + translation) % 1.0
            atoms += Atoms(one.numbers, scaled @ atoms.cell.array)
    return atoms


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
    assert rows.shape == (3, 4 * K + 12)
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
        np.testing.assert_allclose(row[4 * K :], expected, atol=1e-5)
    for name in ("none", "volume", "inertia"):
        np.testing.assert_array_equal(make(name).transform(crystals)[:, -12:], rows[:, -12:])


def test_cell_of_a_row_by_hand(make):
    row = make("none").transform([DRY_ICE])[0]
    length = 5.64 / (0.118 * 5.64 * np.sqrt(3))  # over the distance of C and O
    np.testing.assert_allclose(row[:3], (length - 1.2037) / 0.6088, rtol=1e-5)
    np.testing.assert_allclose(
        row[3:6], (np.pi / 2 - np.array([1.5656, 1.5728, 1.5579])) / [0.2339, 0.2075, 0.2598], atol=1e-5
    )
    np.testing.assert_allclose(row[6:9] * 0.289 + 0.5, 0, atol=1e-6)  # of equivalent centres the smallest


def test_the_baselines_by_hand(make):
    inertia = make("inertia").transform([DRY_ICE])[0, :3]
    np.testing.assert_allclose(inertia, [0, *[2 * 3 * (0.118 * 5.64) ** 2] * 2], atol=1e-4)
    # Nitrogen: two overlapping spheres of radius r, whose centres are d apart.
    r, d = 1.55, 1.0977
    nitrogen = pack(1, Atoms("NN", [(0, 0, 0), (0, 0, d)]))
    volume = make("volume").transform([nitrogen])[0, 0]
    union = 2 * 4 / 3 * np.pi * r**3 - np.pi * (4 * r + d) * (2 * r - d) ** 2 / 12
    assert volume == pytest.approx(union, rel=0.03)


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
    np.testing.assert_allclose(rows[:, :-12], expected, atol=1e-4)
    assert featurizer.molecule_ is not inner
    assert not hasattr(inner, "checkpoint_")
    names = featurizer.get_feature_names_out().tolist()
    assert names[:-12] == [f"crystal_{name}" for name in inner.get_feature_names_out()]
    assert clone(featurizer).set_params(molecule__blocks=("invariant",)).molecule.blocks == ("invariant",)


def test_names_of_columns(make):
    names = make().get_feature_names_out().tolist()
    blocks = [f"crystal_mo3enet_{block}_{i}" for block in ("x", "y", "z", "scalar") for i in range(K)]
    assert names == [*blocks, *(f"crystal_{name}" for name in PARAMETERS)]
    assert make("volume").get_feature_names_out()[:2].tolist() == ["crystal_volume", "crystal_a"]
    assert len(make("inertia").get_feature_names_out()) == 15


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


def write_cif(path, atoms, number, sites):
    """A P2_1/c-like CIF that lists some of the atoms and the operations that give the others."""
    cell = cell_to_cellpar(atoms.cell)
    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_x", *(f"_cell_{tag} {value:.8f}" for tag, value in zip(tags, cell, strict=True))]
    lines += ["loop_", "_symmetry_equiv_pos_as_xyz"]
    for rotation, translation in Spacegroup(number).get_symop():
        rows = ["".join(f"{n:+d}*{x}" for n, x in zip(row, "xyz", strict=True) if n) for row in rotation]
        texts = [f"{t}{row}" for t, row in zip(translation, rows, strict=True)]
        lines.append(f"'{', '.join(texts).replace('1*', '')}'")
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{axis}" for axis in "xyz"]
    for k, (atom, place) in enumerate(zip(atoms[sites], atoms.get_scaled_positions()[sites], strict=True)):
        lines.append(f"{atom.symbol}{k} {atom.symbol} {' '.join(f'{x:.8f}' for x in place)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def test_any_symmetry_copy_may_stand_in_the_file(make, tmp_path):
    atoms = pack(14, CHIRAL, seed=3)
    rng = np.random.default_rng(0)
    n = len(CHIRAL)
    listed = [[copy * n + i for i in range(n)] for copy in range(4)]
    listed.append([int(rng.integers(4)) * n + i for i in range(n)])  # of each atom another copy
    paths = [write_cif(tmp_path / f"{i}.cif", atoms, 14, sites) for i, sites in enumerate(listed)]
    rows = make().transform([atoms, *paths])
    np.testing.assert_allclose(rows, np.tile(rows[0], (len(rows), 1)), atol=2e-4)


# --- inputs and outputs ----------------------------------------------------------------------------------


class Structure(list):
    """What is used of `pymatgen.core.Structure`, a sequence of sites."""

    is_ordered = True

    def __init__(self, atoms):
        super().__init__(SimpleNamespace(specie=SimpleNamespace(Z=int(n))) for n in atoms.numbers)
        self.lattice = SimpleNamespace(matrix=atoms.cell.array)
        self.frac_coords = atoms.get_scaled_positions()


def test_every_kind_of_input(make, crystals, tmp_path):
    featurizer = make("inertia")
    rows = featurizer.transform(crystals)
    ase.io.write(tmp_path / "all.extxyz", crystals, columns=["symbols", "positions"])
    text = (write_cif(tmp_path / f"{i}.cif", a, 1, range(len(a))).read_text() for i, a in enumerate(crystals))
    (tmp_path / "all.cif").write_text("".join(text))
    described = [MolecularCrystal.read(atoms) for atoms in crystals]
    index = [7, 3, 5]
    for X in (
        iter(crystals),
        pd.Series(crystals, index=index),
        pd.DataFrame({"crystal": pd.Series(crystals, index=index)}),
        [Structure(atoms) for atoms in crystals],
        described,
        [tmp_path / "0.cif", str(tmp_path / "1.cif"), described[2]],
        tmp_path / "all.extxyz",
        str(tmp_path / "all.cif"),
    ):
        np.testing.assert_allclose(featurizer.transform(X), rows, atol=1e-4)
    frame = featurizer.set_output(transform="pandas").transform(pd.Series(described, index=index))
    assert frame.index.tolist() == index
    assert frame.columns.tolist() == featurizer.get_feature_names_out().tolist()


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (None, TypeError, "generator of crystals"),
        ([], ValueError, "there is no crystal"),
        (DRY_ICE, TypeError, "single Atoms; pass a list"),
        (Structure(DRY_ICE), TypeError, "single Structure; pass a list"),
        ("CCO", TypeError, "pass a list"),
    ],
    ids=["None", "[]", "Atoms", "Structure", "string"],
)
def test_not_a_collection_of_crystals(make, X, error, message):
    with pytest.raises(error, match=message):
        make("none").transform(X)


def test_workers_give_the_same_rows(make):
    described = [MolecularCrystal.read(pack(1, CHIRAL, seed=seed)) for seed in range(4)] * 5
    X = [*described, None]
    rows = make("none", n_jobs=2, errors="nan").transform(X)
    np.testing.assert_array_equal(rows, make("none", errors="nan").transform(X))
    assert np.isnan(rows).all(axis=1).tolist() == [False] * 20 + [True]


# --- what is refused -------------------------------------------------------------------------------------


def test_failures_are_named(make, crystals, tmp_path):
    bad = tmp_path / "bad.cif"
    bad.write_text("data_x\n_cell_length_a 5\n")
    argon = crystal("Ar", [(0, 0, 0)], spacegroup=225, cellpar=[5.26] * 3 + [90] * 3)
    iron = pack(1, Atoms("FeCO", [(0, 0, 0), (1.8, 0, 0), (2.95, 0, 0)]))
    other = CHIRAL.copy()
    other.positions *= 1.03
    X = [
        crystals[0],
        molecule("H2O"),
        pack(1, CHIRAL, other),
        pack(2, CHIRAL, molecule("H2O")),
        None,
        bad,
        argon,
        iron,
        "missing.cif",
        crystals[1],
    ]
    featurizer = make(errors="nan")
    rows = featurizer.transform(X)
    failed = np.isnan(rows).all(axis=1)
    assert np.flatnonzero(~failed).tolist() == [0, 9]
    np.testing.assert_allclose(rows[[0, 9]], make().transform(crystals[:2]), atol=1e-5)
    assert not np.isnan(rows[[0, 9]]).any()
    assert featurizer.failures_["index"].tolist() == list(range(1, 9))
    reasons = dict(zip(featurizer.failures_["index"], featurizer.failures_["reason"], strict=True))
    for index, words in {
        1: "not periodic in three dimensions",
        2: "2 independent molecules (CHBrClF, CHBrClF); a row holds one",
        3: "2 independent molecules (H2O, CHBrClF); a row holds one",
        4: "NoneType",
        5: "CIF",
        6: "single atoms, which have no radius",
        7: "its molecule: Fe: not among the elements",
        8: "missing.cif",
    }.items():
        assert words in reasons[index], index
    with pytest.raises(FeaturizationError, match="8 of 10 crystals could not be featurized") as caught:
        make().transform(X)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


BAD_SYMMETRY = {
    "x+1/0, y, z": "loop_\n_symmetry_equiv_pos_as_xyz\n'x+1/0, y, z'",
    "'5' is no symmetry operation": "_symmetry_equiv_pos_as_xyz 5",
    "unknown space group 'Q 5'": "_symmetry_space_group_name_H-M 'Q 5'",
    "space group number 999": "_symmetry_space_group_name_H-M 999",
    **{f"space group number {n};": f"_symmetry_Int_Tables_number {n}" for n in ("0", "231", "1.5")},
}


def test_bad_symmetry_in_a_file_fails_alone(make, crystals, tmp_path):
    good = write_cif(tmp_path / "good.cif", crystals[0], 1, range(len(crystals[0])))
    text = good.read_text()
    start, stop = text.index("loop_"), text.index("loop_\n_atom_site_label")
    paths = [good]
    for i, symmetry in enumerate(BAD_SYMMETRY.values()):
        paths.append(tmp_path / f"{i}.cif")
        paths[-1].write_text(f"{text[:start]}{symmetry}\n{text[stop:]}")
    featurizer = make("none", errors="nan")
    rows = featurizer.transform([*paths, good])
    failed = np.isnan(rows).all(axis=1)
    assert failed.tolist() == [False, *[True] * len(BAD_SYMMETRY), False]
    for words, reason in zip(BAD_SYMMETRY, featurizer.failures_["reason"], strict=True):
        assert words in reason
    with pytest.raises(FeaturizationError, match="7 of 9 crystals"):
        make("none").transform([*paths, good])


def test_symprec(make):
    atoms = pack(14, CHIRAL, seed=1)
    noisy = atoms.copy()
    noisy.rattle(0.01, seed=0)
    assert "4 independent" in str(_failure(make("none", symprec=1e-4), noisy))
    loose = make("none", symprec=0.1).transform([noisy])
    np.testing.assert_allclose(loose, make("none").transform([atoms]), rtol=0.01, atol=0.01)


def _failure(featurizer, atoms):
    with pytest.raises(FeaturizationError) as caught:
        featurizer.transform([atoms])
    return caught.value


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"molecule": "mo3net"}, "molecule must be one of 'mo3enet'"),
        ({"molecule": Mo3ENetFeaturizer}, "molecule must be one of"),
        ({"molecule": CrystalFeaturizer()}, "molecule must take molecules; CrystalFeaturizer"),
        ({"molecule": Mo3ENetFeaturizer(output="matrix")}, "output must be one of"),
        ({"symprec": 0}, "symprec"),
        ({"symprec": "loose"}, "symprec"),
        ({"errors": "ignore"}, "errors"),
    ],
)
def test_invalid_parameters(make, params, message):
    featurizer = make(**params)
    for use in (featurizer.fit, featurizer.transform):
        with pytest.raises(ValueError, match=message):
            use([DRY_ICE])


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


def test_fit_pins_the_checkpoint(crystals, tiny_mo3enet, tmp_path):
    encoder = hub.from_pretrained(tiny_mo3enet)
    folder = str(hub.save_pretrained(encoder, tmp_path / "mine", card="first"))
    featurizer = CrystalFeaturizer(model=folder).fit(crystals)
    assert featurizer.molecule_.checkpoint_.model == folder
    for parameter in encoder.parameters():
        parameter.data.mul_(1.1)
    hub.save_pretrained(encoder, folder, card="second")
    with pytest.raises(ValueError, match="not the one this Mo3ENetFeaturizer was fitted with"):
        featurizer.transform(crystals[:1])
    # New parameters count, and so does a new fit.
    assert featurizer.set_params(model=tiny_mo3enet).transform(crystals[:1]).shape == (1, 4 * K + 12)
    assert featurizer.set_params(model=folder).fit(crystals).transform(crystals[:1]).shape == (1, 4 * K + 12)
    assert not hasattr(featurizer.set_params(molecule="none").fit(crystals), "molecule_")
