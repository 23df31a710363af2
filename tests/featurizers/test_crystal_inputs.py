"""What a crystal may come as, and what is refused."""

import pickle
from types import SimpleNamespace

import ase.io
import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import molecule
from ase.spacegroup import crystal
from crystal_examples import CHIRAL, DRY_ICE, pack, write_cif

from skmol3d import CrystalFeaturizer, Mo3ENetFeaturizer, hub
from skmol3d.crystals import MolecularCrystal
from skmol3d.featurizers import (
    FeaturizationError,
    cache,
)


@pytest.fixture
def make(tiny_mo3enet):
    cache.clear()
    return lambda molecule="mo3enet", **params: CrystalFeaturizer(molecule, tiny_mo3enet, **params)


@pytest.fixture(scope="module")
def crystals():
    ethanol = molecule("CH3CH2OH")
    ethanol.rattle(0.1, seed=0)  # without its mirror plane
    return [pack(1, CHIRAL), pack(14, CHIRAL, seed=1), pack(2, ethanol, seed=2)]


class Structure(list):
    """What is used of `pymatgen.core.Structure`, a sequence of sites."""

    is_ordered = True

    def __init__(self, atoms):
        super().__init__(SimpleNamespace(specie=SimpleNamespace(Z=int(n))) for n in atoms.numbers)
        self.lattice = SimpleNamespace(matrix=atoms.cell.array)
        self.frac_coords = atoms.get_scaled_positions()


# --- inputs and outputs ----------------------------------------------------------------------------------


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
        ("CCO", ValueError, "CCO: unknown file type; expected .cif"),
        (".", ValueError, "is a folder; give its files"),
        ("data_urea\n_cell_length_a 5\n", ValueError, "the text of a CIF, not a path: write it to a file"),
        ("nope.cif", FileNotFoundError, "nope.cif"),
    ],
    ids=["None", "[]", "Atoms", "Structure", "string", "folder", "text", "missing"],
)
def test_not_a_collection_of_crystals(make, X, error, message):
    for errors in ("raise", "nan"):
        with pytest.raises(error, match=message):
            make("none", errors=errors).transform(X)


def test_a_file_without_crystals_is_named(make, tmp_path):
    path = tmp_path / "empty.cif"
    path.write_text("")
    for X in (path, str(path), [path]):
        with pytest.raises(FeaturizationError, match=r"cannot read .*empty\.cif: it is empty"):
            make("none").transform(X)


def test_the_text_of_a_file_is_not_repeated(make):
    text = "data_urea\n" + "_cell_length_a 5\n" * 99
    with pytest.raises(FeaturizationError, match=r"this is the text of a CIF, not a path") as caught:
        make("none").transform([text])
    assert len(str(caught.value)) < 500


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
        iron + Atoms("OHH", molecule("H2O").positions + 6),
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
    assert np.flatnonzero(~failed).tolist() == [0, 2, 9]
    np.testing.assert_allclose(rows[[0, 9]], make().transform(crystals[:2]), atol=1e-5)
    assert not np.isnan(rows[~failed]).any()
    assert featurizer.failures_["index"].tolist() == [1, *range(3, 9)]
    reasons = dict(zip(featurizer.failures_["index"], featurizer.failures_["reason"], strict=True))
    for index, words in {
        1: "not periodic in three dimensions",
        3: "its molecule CFeO: Fe: not among the elements",  # one of the two is enough
        4: "NoneType",
        5: "CIF",
        6: "single atoms, which have no radius",
        7: "molecule='rem3di' has wider limits",
        8: "missing.cif",
    }.items():
        assert words in reasons[index], index
    with pytest.raises(FeaturizationError, match="7 of 10 crystals could not be featurized") as caught:
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
    tight = make("none", symprec=1e-4).set_output(transform="pandas").transform([noisy])
    assert tight["crystal_molecules"].tolist() == [4]
    loose = make("none", symprec=0.1).transform([noisy])
    np.testing.assert_allclose(loose, make("none").transform([atoms]), rtol=0.01, atol=0.01)


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


def test_fit_pins_the_checkpoint(crystals, tiny_mo3enet, tmp_path):
    encoder = hub.from_pretrained(tiny_mo3enet)
    folder = str(hub.save_pretrained(encoder, tmp_path / "mine", card="first"))
    featurizer = CrystalFeaturizer(model=folder).fit(crystals)
    shape = 1, featurizer.get_feature_names_out().size
    assert featurizer.molecule_.checkpoint_.model == folder
    for parameter in encoder.parameters():
        parameter.data.mul_(1.1)
    hub.save_pretrained(encoder, folder, card="second")
    with pytest.raises(ValueError, match="not the one this Mo3ENetFeaturizer was fitted with"):
        featurizer.transform(crystals[:1])
    # New parameters count, and so does a new fit.
    assert featurizer.set_params(model=tiny_mo3enet).transform(crystals[:1]).shape == shape
    assert featurizer.set_params(model=folder).fit(crystals).transform(crystals[:1]).shape == shape
    assert not hasattr(featurizer.set_params(molecule="none").fit(crystals), "molecule_")
