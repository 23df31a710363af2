"""REM3DI's rows: conformers, blocks, elements."""

import dataclasses

import numpy as np
import pytest
from ase import Atoms
from rdkit import Chem
from rdkit.Chem import AllChem

from skmol3d import REM3DIFeaturizer, hub
from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig
from skmol3d.encoders.rem3di.words import WordsConfig
from skmol3d.featurizers import cache, spellings
from skmol3d.structures import ConformerSettings, atom_environments, boltzmann_weights, embed, read_molecule

SMILES = ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "CCCCCCCC", "C", "CC(C)(C)O"]


@pytest.fixture
def make(tiny_checkpoint):
    cache.clear()
    return lambda **params: REM3DIFeaturizer(
        **{"model": tiny_checkpoint, "device": "cpu", "scaled": False, **params}
    )


def conformers(smiles, count):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(mol, count, randomSeed=7)
    return mol


# --- conformers ------------------------------------------------------------------------------------------


def test_mean_and_all(make):
    every = make(n_conformers=3, conformer_pooling="all")
    rows = every.transform(["CCCCO", "CCO"])
    mean = make(n_conformers=3).transform(["CCCCO", "CCO"])
    np.testing.assert_allclose(rows.reshape(2, 3, -1).mean(axis=1), mean, rtol=1e-4, atol=1e-6)
    assert (rows.reshape(2, 3, -1)[0, 0] != rows.reshape(2, 3, -1)[0, 2]).any()
    names = every.get_feature_names_out()
    assert len(names) == rows.shape[1]
    assert names[0] == "rem3di_conformer0_invariant_0"
    assert names[-1] == "rem3di_conformer2_chiral_3"
    chiral = make(n_conformers=3, conformer_pooling="all", blocks=("chiral",))
    picked = [name in set(chiral.get_feature_names_out()) for name in names]
    np.testing.assert_array_equal(chiral.transform(["CCCCO", "CCO"]), rows[:, picked])


def test_boltzmann_weighs_by_energy(make):
    settings = {"n_conformers": 4, "random_state": 3, "relax": "mmff"}
    rows = make(conformer_pooling="all", **settings).transform(["OCCCN"]).reshape(4, -1)
    weights = boltzmann_weights(embed(read_molecule("OCCCN"), ConformerSettings(**settings)).energies)
    assert weights.max() > 0.3  # far from the mean
    np.testing.assert_allclose(
        make(conformer_pooling="boltzmann", **settings).transform(["OCCCN"])[0],
        weights @ rows,
        rtol=1e-4,
        atol=1e-6,
    )


def test_pooling_conflicts_are_failures(make):
    mols = [conformers("CCO", 1), conformers("CCN", 3)]
    featurizer = make(n_conformers=2, conformer_pooling="all", errors="nan")
    rows = featurizer.transform(mols)
    assert np.isnan(rows).all(axis=1).tolist() == [True, False]
    assert "1 conformer(s)" in featurizer.failures_["reason"][0]
    # MMFF94 has no parameters for boron; one conformer needs no energy.
    featurizer = make(n_conformers=2, conformer_pooling="boltzmann", relax="mmff", errors="nan")
    featurizer.transform(["CB(O)O", "CCO"])
    assert featurizer.failures_["index"].tolist() == [0]
    assert "MMFF94" in featurizer.failures_["reason"][0]
    make(conformer_pooling="boltzmann").transform(["CB(O)O"])


def test_own_coordinates_are_used(make):
    mol = conformers("OCCCN", 2)
    both = make(n_conformers=2, conformer_pooling="all").transform([mol]).reshape(2, -1)
    single = make().transform([Chem.Mol(mol, confId=0), Chem.Mol(mol, confId=1)])
    assert (single[0] != single[1]).any()
    assert {tuple(row.round(4)) for row in both} == {tuple(row.round(4)) for row in single}
    atoms = Atoms([a.GetSymbol() for a in mol.GetAtoms()], mol.GetConformer(0).GetPositions())
    np.testing.assert_allclose(make().transform([atoms])[0], single[0], rtol=1e-4, atol=1e-5)


def test_molecules_without_bonds_do_not_disturb_others(make, tiny_checkpoint, tmp_path, monkeypatch):
    config = hub.from_pretrained(tiny_checkpoint).config
    encoder = REM3DI(dataclasses.replace(config, structure="2d"))
    model = str(hub.save_pretrained(encoder, tmp_path / "2d", card="random walks"))
    bare = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])

    def read(value, standardise):  # as if there were no bonds
        molecule = read_molecule(value, standardise)
        return dataclasses.replace(molecule, bonds=None) if value is bare else molecule

    monkeypatch.setattr(spellings, "read_molecule", read)
    rows = make(model=model).transform(["CCO", bare, "CCN"])
    np.testing.assert_allclose(
        rows[[0, 2]], make(model=model).transform(["CCO", "CCN"]), rtol=1e-4, atol=1e-5
    )
    monkeypatch.undo()
    np.testing.assert_allclose(rows[1], make(model=model).transform([bare])[0], rtol=1e-4, atol=1e-5)


# --- blocks, elements, parameters ------------------------------------------------------------------------


def test_blocks(make):
    rows = make().transform(SMILES)
    sizes = {"invariant": 32, "chiral": 4}
    assert rows.shape[1] == sum(sizes.values())
    np.testing.assert_array_equal(make(blocks=("invariant",)).transform(SMILES), rows[:, :32])
    np.testing.assert_array_equal(
        make(blocks=["chiral", "invariant"]).transform(SMILES), np.roll(rows, 4, axis=1)
    )
    names = make(blocks=("chiral",)).get_feature_names_out()
    assert names.tolist() == [f"rem3di_chiral_{i}" for i in range(4)]


def test_words_come_from_the_graph_of_a_molecule_and_are_perceived_for_bare_atoms(tmp_path):
    """Of one geometry; neither gets the other's row from the cache, and both may be in one call."""
    mol = conformers("CC(=O)Nc1ccc(O)cc1", 1)
    atoms = Atoms([a.GetAtomicNum() for a in mol.GetAtoms()], mol.GetConformer().GetPositions())
    environments = atom_environments(mol)
    vocabularies = [np.unique(column[column > 0]) for column in environments.T]
    sizes = tuple(map(len, vocabularies))
    small = {"width": 8, "layers": 1, "heads": 2, "pair_width": 4, "readout": 8, "chiral": 4}
    encoder = REM3DI(REM3DIConfig(words=WordsConfig(sizes, sizes[:2], confidence=0.0), **small))
    encoder.words.name_classes(vocabularies)
    hub.save_pretrained(encoder, tmp_path, "Words.")
    featurizer = REM3DIFeaturizer(str(tmp_path), device="cpu", blocks=("words",), scaled=False)
    rows = featurizer.fit_transform([mol, atoms, "CC(=O)Nc1ccc(O)cc1"])
    expected = [(environments[:, k] == bit).sum() for k in (0, 1) for bit in vocabularies[k]]
    assert rows[0].tolist() == rows[2].tolist() == expected
    assert rows[1].tolist() != expected  # the weights are random
    assert rows[1].sum() == rows[0].sum()
    cache.clear()
    np.testing.assert_array_equal(featurizer.transform([atoms, mol]), rows[[1, 0]])


@pytest.mark.slow
def test_a_geometry_and_a_label_change_no_word_of_the_graph():
    """C=N-H has a mark in 3D, which keeps its hydrogen; so does deuterium."""
    mol = conformers("N=C(N)NCCCC(N)C(=O)O", 1)
    labelled = Chem.Mol(mol)
    next(a for a in labelled.GetAtoms() if a.GetAtomicNum() == 1).SetIsotope(2)
    featurizer = REM3DIFeaturizer(device="cpu", blocks=("words", "rare"), scaled=False)
    rows = featurizer.fit_transform(["N=C(N)NCCCC(N)C(=O)O", mol, labelled, "[2H]C(N)(CCCNC(=N)N)C(=O)O"])
    assert (rows == rows[0]).all()
    assert rows[0].sum() > 30


def test_enantiomers_differ_in_sign_of_the_chiral_block(make):
    mol = conformers("C[C@H](F)Cl", 1)
    mirrored = Chem.Mol(mol)
    mirrored.GetConformer().SetPositions(mol.GetConformer().GetPositions() * [-1, 1, 1])
    rows = make().transform([mol, mirrored])
    assert np.abs(rows[0, 32:]).max() > 1e-5
    np.testing.assert_allclose(rows[0, 32:], -rows[1, 32:], rtol=1e-3, atol=1e-8)
    np.testing.assert_allclose(rows[0, :32], rows[1, :32], rtol=1e-4, atol=1e-5)


def test_unknown_elements_are_named(make):
    featurizer = make(errors="nan")
    rows = featurizer.transform(["CCO", "C[Hg]C", "[Fe+2]"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, True]
    assert featurizer.failures_["reason"].str.startswith(("Hg: not", "Fe: not")).all()


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"n_conformers": 0}, ValueError, "n_conformers"),
        ({"n_conformers": 1.5}, TypeError, "n_conformers"),
        ({"conformer_pooling": "max"}, ValueError, "conformer_pooling"),
        ({"conformer_pooling": "boltzmann", "n_conformers": 2}, ValueError, "set relax='mmff'"),
        ({"blocks": "chiral"}, TypeError, r"\('chiral',\), or 'trees' or None"),
        ({"blocks": ("nonsense",)}, ValueError, "invariant"),
        ({"blocks": ()}, ValueError, "blocks"),
        ({"blocks": ("chiral", "chiral")}, ValueError, "twice"),
        ({"blocks": {"invariant", "chiral"}}, TypeError, "blocks must be a list or tuple of names"),
        ({"blocks": 1}, TypeError, "blocks must be a list or tuple of names"),
        ({"cache_dir": 5}, TypeError, "cache_dir must be a path"),
        ({"relax": "uff"}, ValueError, "relax"),
        ({"time_limit": 0}, ValueError, "time_limit"),
        ({"time_limit": "long"}, TypeError, "time_limit"),
        ({"random_state": None}, TypeError, "random_state"),
    ],
)
def test_invalid_parameters(make, params, error, message):
    with pytest.raises(error, match=message):
        make(**params).transform(["C"])
