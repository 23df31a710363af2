"""The featurizers that run an encoder: checkpoints, devices, memory, conformers, blocks."""

import dataclasses
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from ase import Atoms
from rdkit import Chem
from rdkit.Chem import AllChem

from skmol3d import REM3DIFeaturizer, hub, inference
from skmol3d.encoders.backbones import EquivariantTransformerConfig
from skmol3d.encoders.potential import Potential, PotentialConfig
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.featurizers import cache, encoder_base, spellings
from skmol3d.hub import folder, loaded, names, remote
from skmol3d.structures import ConformerSettings, boltzmann_weights, embed, read_molecule

SMILES = ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "CCCCCCCC", "C", "CC(C)(C)O"]


@pytest.fixture
def make(tiny_checkpoint):
    cache.clear()
    return lambda **params: REM3DIFeaturizer(**{"model": tiny_checkpoint, "device": "cpu", **params})


def conformers(smiles, count):
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMultipleConfs(mol, count, randomSeed=7)
    return mol


# --- memory ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "numpy"],
)
def test_batches_halve_when_memory_runs_out(make, monkeypatch, error):
    expected = make().transform(SMILES)
    cache.clear()
    forward, sizes = REM3DI.forward, []

    def limited(self, batch):
        sizes.append(len(batch.numbers))
        if sizes[-1] > 20:
            raise error
        return forward(self, batch)

    monkeypatch.setattr(REM3DI, "forward", limited)
    featurizer = make(errors="nan")
    rows = featurizer.transform(SMILES)
    assert max(sizes) > 20  # it was tried
    assert featurizer.failures_["index"].tolist() == [3]  # octane: 26 atoms, too many even alone
    assert "out of memory" in featurizer.failures_["reason"][0]
    assert np.isnan(rows[3]).all()
    np.testing.assert_allclose(np.delete(rows, 3, 0), np.delete(expected, 3, 0), rtol=1e-4, atol=1e-5)
    # Memory may suffice another time.
    monkeypatch.setattr(REM3DI, "forward", forward)
    np.testing.assert_allclose(make().transform(SMILES), expected, rtol=1e-4, atol=1e-5)


def test_other_runtime_errors_come_through(make, monkeypatch):
    def broken(self, batch):
        raise RuntimeError("a bug")

    monkeypatch.setattr(REM3DI, "forward", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        make(errors="nan").transform(SMILES)


def test_rows_that_are_not_finite_are_failures(make, monkeypatch):
    forward = REM3DI.forward

    def poisoned(self, batch):
        output = forward(self, batch).clone()
        output[batch.counts == 26, 2] = torch.inf  # octane
        return output

    monkeypatch.setattr(REM3DI, "forward", poisoned)
    featurizer = make(errors="nan")
    rows = featurizer.transform(SMILES)
    assert np.isnan(rows).all(axis=1).tolist() == [False, False, False, True, False, False]
    assert "not finite" in featurizer.failures_["reason"][0]


def test_batches_keep_the_atom_budget(make, monkeypatch):
    forward, sizes = REM3DI.forward, []

    def recording(self, batch):
        sizes.append(batch.counts.tolist())
        return forward(self, batch)

    monkeypatch.setattr(REM3DI, "forward", recording)
    make(batch_size=30).transform(SMILES)
    assert all(sum(counts) <= 30 for counts in sizes)
    assert [n for counts in sizes for n in counts] == sorted((n for c in sizes for n in c), reverse=True)
    assert len(sizes) > 1


def test_small_batches_run_on_one_thread(make, monkeypatch):
    forward, threads = REM3DI.forward, []

    def recording(self, batch):
        threads.append(torch.get_num_threads())
        return forward(self, batch)

    monkeypatch.setattr(REM3DI, "forward", recording)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        make().transform(SMILES)
        assert set(threads) == {1}
        monkeypatch.setattr(inference, "ONE_THREAD", 0)
        make(random_state=1).transform(SMILES)
        assert threads[-1] == 3
        monkeypatch.undo()
        with inference._one_thread(), ThreadPoolExecutor(1) as pool:
            pool.submit(make(random_state=2).transform, SMILES).result()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_the_default_batch_suits_the_cpu(make, monkeypatch):
    forward, sizes = REM3DI.forward, []

    def recording(self, batch):
        sizes.append(len(batch.numbers))
        return forward(self, batch)

    monkeypatch.setattr(REM3DI, "forward", recording)
    make().transform(["C" * n for n in range(5, 13)])  # 17 to 38 atoms each
    assert len(sizes) > 1
    assert max(sizes) <= encoder_base.BATCH_ATOMS["cpu"]


# --- devices and weights ---------------------------------------------------------------------------------


def test_missing_device_is_an_error_when_asked_for(make):
    featurizer = make(device="cuda:99")
    with pytest.raises(ValueError, match=r"cuda:99.*not available"):
        featurizer.transform(["C"])
    with pytest.raises(ValueError, match="device must be"):
        make(device="abacus").transform(["C"])


def test_missing_device_after_unpickling_warns_and_uses_the_cpu(make):
    expected = make().transform(SMILES)
    featurizer = pickle.loads(pickle.dumps(make(device="cuda:99")))
    with pytest.warns(UserWarning, match=r"cuda:99.*CPU"):
        rows = featurizer.transform(SMILES)
    np.testing.assert_array_equal(rows, expected)


def test_weights_are_loaded_once_and_lazily(make, monkeypatch):
    loads = []
    load = folder.load_folder
    monkeypatch.setattr(folder, "load_folder", lambda folder: loads.append(folder) or load(folder))
    monkeypatch.setattr(loaded, "_encoders", type(loaded._encoders)())
    featurizer = make().fit(SMILES)
    assert not loads
    featurizer.transform(SMILES[:2])
    make(n_conformers=2).transform(SMILES[:2])
    assert len(loads) == 1


def test_loaded_encoders_are_bounded(make, tiny_checkpoint, tmp_path):
    encoder = hub.from_pretrained(tiny_checkpoint)
    for i in range(loaded.MAX_ENCODERS + 2):
        with torch.no_grad():
            encoder.project.weight += 0.01
        make(model=str(hub.save_pretrained(encoder, tmp_path / str(i), card="one of many"))).transform(["C"])
    assert len(loaded._encoders) == loaded.MAX_ENCODERS


def test_changed_folder_is_noticed_after_fit(make, tiny_checkpoint, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, folder)
    featurizer = make(model=str(folder)).fit(SMILES)
    rows = featurizer.transform(["CCO"])
    encoder = hub.from_pretrained(folder)
    with torch.no_grad():
        encoder.project.weight *= 2
    hub.save_pretrained(encoder, folder, card="other weights")
    with pytest.raises(ValueError, match="fit again"):
        featurizer.transform(["CCO"])
    assert (featurizer.fit(SMILES).transform(["CCO"]) != rows).any()


def test_hub_branch_is_pinned_by_fit(make, tiny_checkpoint, tmp_path, monkeypatch):
    old, new = "a" * 40, "b" * 40
    shutil.copytree(tiny_checkpoint, tmp_path / old)
    encoder = hub.from_pretrained(tiny_checkpoint)
    with torch.no_grad():
        encoder.project.weight *= 2
    hub.save_pretrained(encoder, tmp_path / new, card="moved on")
    branch, asked = {"main": old}, []

    def locate(name, revision=None):
        asked.append(revision)
        commit = branch.get(revision or "main", revision)
        return remote.Snapshot(tmp_path / commit, commit)

    monkeypatch.setattr(names, "locate", locate)
    loaded._commits.clear()
    featurizer = make(model="someone/molecules").fit(SMILES)
    rows = featurizer.transform(SMILES)
    make(model="someone/molecules").transform(SMILES)
    assert asked == [None, old]  # the Hub is asked about a branch once per process

    # Another process, later: the branch has moved, the pipeline has not.
    branch["main"] = new
    loaded._commits.clear()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(featurizer)).transform(SMILES), rows)
    assert asked[2:] == [old]
    assert (make(model="someone/molecules").transform(SMILES) != rows).any()


def test_unknown_model_names_itself(make):
    with pytest.raises(hub.CheckpointError, match="no-such-model"):
        make(model="no-such-model").transform(["C"])


def test_checkpoint_of_another_encoder_is_refused(make, tmp_path):
    backbone = EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=4)
    folder = hub.save_pretrained(Potential(PotentialConfig(backbone)), tmp_path, card="a potential")
    with pytest.raises(ValueError, match="needs a 'rem3di' checkpoint"):
        make(model=str(folder)).transform(["C"])


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
    featurizer = make(model=model, errors="nan")
    rows = featurizer.transform(["CCO", bare, "CCN"])
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False]
    assert "bonds" in featurizer.failures_["reason"][0]


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
        ({"blocks": "chiral"}, TypeError, "blocks"),
        ({"blocks": ("nonsense",)}, ValueError, "invariant"),
        ({"blocks": ()}, ValueError, "blocks"),
        ({"blocks": ("chiral", "chiral")}, ValueError, "twice"),
        ({"relax": "uff"}, ValueError, "relax"),
        ({"time_limit": 0}, ValueError, "time_limit"),
        ({"time_limit": "long"}, TypeError, "time_limit"),
        ({"random_state": None}, TypeError, "random_state"),
    ],
)
def test_invalid_parameters(make, params, error, message):
    with pytest.raises(error, match=message):
        make(**params).transform(["C"])
