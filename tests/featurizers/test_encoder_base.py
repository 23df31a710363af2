"""What is special to encoders: memory, threads, devices, weights."""

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from skmol3d import REM3DIFeaturizer, hub, inference
from skmol3d.encoders.backbones import EquivariantTransformerConfig
from skmol3d.encoders.potential import Potential, PotentialConfig
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.featurizers import cache
from skmol3d.hub import folder, loaded, names

SMILES = ["CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "CCCCCCCC", "C", "CC(C)(C)O"]


@pytest.fixture
def make(tiny_checkpoint):
    cache.clear()
    return lambda **params: REM3DIFeaturizer(**{"model": tiny_checkpoint, "device": "cpu", **params})


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
    make().transform(["C" * n for n in range(5, 24)])  # 836 atoms
    assert len(sizes) > 1
    assert max(sizes) <= inference.BATCH_ATOMS["cpu"]


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
        return folder.Snapshot(tmp_path / commit, commit)

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


def test_a_loaded_encoder_is_no_name(make, tiny_checkpoint):
    with pytest.raises(TypeError, match=r"name or folder of a checkpoint, not a REM3DI; .*save_pretrained"):
        make(model=hub.from_pretrained(tiny_checkpoint)).fit(SMILES)


def test_unknown_model_names_itself(make):
    with pytest.raises(hub.CheckpointError, match="no-such-model"):
        make(model="no-such-model").transform(["C"])


def test_checkpoint_of_another_encoder_is_refused(make, tmp_path):
    backbone = EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=4)
    folder = hub.save_pretrained(Potential(PotentialConfig(backbone)), tmp_path, card="a potential")
    with pytest.raises(ValueError, match=r"expected a 'rem3di' checkpoint, .* holds 'potential'"):
        make(model=str(folder)).transform(["C"])
