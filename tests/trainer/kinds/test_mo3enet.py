"""The training set of Mo3ENet by the paper's six steps, and recipes of kind ``mo3enet``."""

import argparse
import json
from itertools import islice

import numpy as np
import pytest
import torch
import yaml
from rdkit import Chem
from trainer_examples import SMILES, embedded

from skmol3d import hub
from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
from skmol3d.encoders.mo3enet.decoder import EMLPDecoderConfig
from skmol3d.structures.geometry import perceive_bonds
from skmol3d.trainer import pretrain
from skmol3d.trainer.data.batches import Mixture
from skmol3d.trainer.data.fragments import Augmentation, Augmented, suitable, truncate
from skmol3d.trainer.data.sets import PackedSet, Row, stack
from skmol3d.trainer.data.xtb import read_xtb
from skmol3d.trainer.kinds.mo3enet import deviations, evaluated
from skmol3d.trainer.objectives.reconstruction import Reconstruction
from skmol3d.trainer.pretrain import read_recipe

LONG = ["CCCCCCCCCCCC", "CC(=O)Nc1ccc(CCOCCN(C)C)cc1", "OC(=O)CCCc1ccc(OCCF)cc1", "c1ccc2cc3ccccc3cc2c1"]
SIZES = {"width": 12, "vectors": 5, "messages": 6, "radial": 10, "pooled": 8, "context": 16, "embedding": 24}
RECIPE = {
    "kind": "mo3enet",
    "name": "tiny-mo3enet",
    "seed": 0,
    "data": [{"path": "labels.npz", "share": 0.5}, {"path": "corpus", "share": 0.5}],
    "held_out": 0.2,
    "atoms": 80,
    "augment": {"heavy": 4, "torsions": 0.5, "noise": 0.01, "low": 0.9, "high": 1.25},
    "objective": {"sigma": 2.0, "threshold": 0.15, "blur": 0.1},
    "model": {**SIZES, "swarm": 24, "decoder": {"kind": "emlp", "width": 16, "layers": 1}},
    "weights": {
        "mixture": 0.3,
        "confinement": 0.01,
        "balance": 0.0,
        "nearest": 0.1,
        "position": 1.0,
        "element": 0.3,
        "presence": 0.3,
    },
    "schedule": {"steps": 6, "learning_rate": 1.0e-3, "warmup": 2, "ema": 0.5},
}


def packed(smiles, conformers=1):
    """Conformers without targets, positions unrounded."""
    rows = []
    for group, text in enumerate(smiles):
        for seed in range(conformers):
            mol, positions = embedded(text, seed)
            numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
            rows.append(Row(numbers, (positions - positions.mean(0)).astype(np.float32), 0.0, group))
    return stack(rows)


def augmented(data, seed=0, **settings):
    mixture = Mixture([data], [1.0], [np.arange(len(data))], atoms=150, seed=seed)
    plain = {"heavy": 9, "torsions": 0.0, "noise": 0.0, "low": 1.0, "high": 1.0}
    return Augmented(mixture, Augmentation(**(plain | settings)))


@pytest.mark.parametrize("text", SMILES + LONG)
def test_bonds_are_those_of_the_molecule(text):
    mol, positions = embedded(text)
    numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    expected = {tuple(sorted((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))) for b in mol.GetBonds()}
    assert set(map(tuple, perceive_bonds(numbers, positions).tolist())) == expected


@pytest.mark.parametrize("text", LONG[:3])
@pytest.mark.parametrize("seed", range(5))
def test_truncated_molecules_are_whole_and_capped(text, seed):
    mol, positions = embedded(text)
    numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    z, x = truncate(numbers, positions, 6, np.random.default_rng(seed))
    assert 1 <= (z > 1).sum() <= 6
    # What was kept has not moved; the rest are caps, each a hydrogen bonded to one kept atom.
    distance = np.linalg.norm(x[:, None] - positions, axis=-1)
    kept = distance.min(1) < 1e-12
    assert (numbers[distance.argmin(1)][kept] == z[kept]).all()
    assert (z[~kept] == 1).all()
    bonds = perceive_bonds(z, x)
    degree = np.bincount(bonds.ravel(), minlength=len(z))
    assert (degree[z == 1] == 1).all()
    before = np.bincount(perceive_bonds(numbers, positions).ravel(), minlength=len(numbers))
    assert (degree[kept] == before[distance.argmin(1)[kept]]).all()  # every valence is filled as before
    assert len(bonds) == len(z) - 1 + ring_bonds(z, x)


def ring_bonds(numbers, positions):
    """Rings, by RDKit."""
    mol = Chem.RWMol()
    for z in numbers:
        mol.AddAtom(Chem.Atom(int(z)))
    for i, j in perceive_bonds(numbers, positions).tolist():
        mol.AddBond(i, j, Chem.BondType.SINGLE)
    assert len(Chem.GetMolFrags(mol)) == 1
    return len(Chem.GetSSSR(mol))


def test_molecules_without_rotatable_bonds_stay_whole():
    mol, positions = embedded(LONG[3])
    numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    z, x = truncate(numbers, positions, 5, np.random.default_rng(0))
    assert (z == numbers).all()
    assert (x == positions).all()


def test_batches_are_a_function_of_seed_and_step():
    data = packed(LONG[:3] * 2)
    make = augmented(data, heavy=6, torsions=0.5, noise=0.01, low=0.9, high=1.25)
    first = list(islice(make(), 5))
    later = list(islice(make(1, 2), 2))
    for (batch, source), (again, same) in zip([first[1], first[3]], later, strict=True):
        torch.testing.assert_close(batch.positions, again.positions, rtol=0, atol=0)
        assert source["row"].tolist() == same["row"].tolist()
    other = next(augmented(data, seed=1, heavy=6, torsions=0.5, noise=0.01)())[0]
    assert len(other.positions) != len(first[0][0].positions) or not torch.equal(
        other.positions, first[0][0].positions
    )


def test_torsions_noise_and_scale():
    data = packed(["CCCCO"] * 6)
    reference = data.batch(np.arange(6))[0]
    bonds = perceive_bonds(reference.numbers[:15].numpy(), reference.positions[:15].numpy())

    def spans(batch):
        x = batch.positions.view(6, 15, 3)
        return (x[:, bonds[:, 0]] - x[:, bonds[:, 1]]).norm(dim=-1), torch.cdist(x, x)

    lengths, distances = spans(reference)
    turned = next(augmented(data, torsions=1.0)())[0]
    assert (turned.counts == 15).all()
    found, moved = spans(turned)
    torch.testing.assert_close(found, lengths, rtol=0, atol=1e-4)  # bond lengths stay, shapes do not
    assert (moved - distances).abs().amax((1, 2)).min() > 0.2
    scaled = next(augmented(data, low=0.9, high=1.25)())[0]
    factors = spans(scaled)[0] / lengths
    assert factors.std(1).max() < 1e-4
    assert 0.9 <= factors.min() < factors.max() <= 1.2501
    assert factors.mean(1).std() > 0.02
    noisy = next(augmented(data, noise=0.02)())[0]
    assert (noisy.positions - reference.positions).std().item() == pytest.approx(0.02, rel=0.2)


def test_suitable_molecules():
    data = packed(["CCO", "CCCl", "CCCCCC", "CS"])
    found = suitable(data, np.arange(4), (1, 6, 7, 8, 9), 12)
    assert found.tolist() == [0]
    assert suitable(data, np.array([3, 2, 1]), (1, 6, 17, 16), 100).tolist() == [3, 2, 1]


def test_qm9_geometries_are_held_out(tmp_path, data_root):
    with np.load(data_root / "labels.npz") as arrays:
        kinds = np.tile([3, 1, 1], len(SMILES)).astype(np.uint8)
        np.savez(tmp_path / "labels.npz", **{k: arrays[k] for k in arrays.files if k != "kind"}, kind=kinds)
    data = read_xtb(tmp_path / "labels.npz")
    train, held = data.split(0.2, 0)
    measured = evaluated(data, held)
    assert (kinds[measured] == 3).all()
    assert len(measured) == 2
    assert set(data.group[train]).isdisjoint(data.group[held])
    assert len(train) == 24
    other = read_xtb(data_root / "labels.npz")  # without any
    assert evaluated(other, held).tolist() == held.tolist()


@pytest.fixture
def one_thread():
    """Rounding depends on the number of threads, and where so short a run ends on rounding."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_learns_a_few_molecules():
    """From wrong elements and weights to molecules that are right, also where nothing is known of them."""
    data: PackedSet = packed(["CCO", "CC=O", "CN", "OCC#N"])
    batch = data.batch(np.arange(4))[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = EMLPDecoderConfig(width=32, layers=1)
        objective = Reconstruction(
            Mo3ENet(Mo3ENetConfig(**{**SIZES, "width": 32}, swarm=24, decoder=decoder))
        )
    before = deviations(objective.encoder, [batch])
    weights = RECIPE["weights"]
    optimiser = torch.optim.Adam(objective.parameters(), 5e-3)
    objective.train()
    for _ in range(250):
        optimiser.zero_grad()
        losses = objective(batch, {})
        sum(weights[name] * loss for name, loss in losses.items()).backward()
        optimiser.step()
    after = deviations(objective.encoder, [batch])
    assert before["exact"] == before["decoded"] == 0.0
    assert after["matched_atoms"] > 0.95
    assert min(after["exact"], after["decoded"]) >= 0.75
    assert after["deviation_atoms"] < 0.15
    assert after["molecules"] == 4


def run(recipe, data_root, out, *options):
    path = out / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    parser = argparse.ArgumentParser()
    pretrain.add_arguments(parser)
    pretrain.run(
        parser.parse_args(
            [str(path), "--data", str(data_root), "--out", str(out), "--device", "cpu", *options]
        )
    )


def test_recipe_to_checkpoint_and_back(data_root, tmp_path):
    run(RECIPE, data_root, tmp_path)
    encoder = hub.from_pretrained(str(tmp_path / "tiny-mo3enet"))
    assert isinstance(encoder, Mo3ENet)
    batch = read_xtb(data_root / "labels.npz").batch(np.arange(2))[0]
    assert encoder(batch).shape == (2, sum(encoder.output_blocks().values()))
    metrics = json.loads((tmp_path / "tiny-mo3enet.run" / "metrics.json").read_text())
    assert list(metrics) == ["labels.npz", "corpus"]
    assert metrics["labels.npz"]["molecules"] > 0
    for found in metrics.values():
        assert 0 <= found["matched_molecules"] <= found["matched_atoms"] <= 1
    card = (tmp_path / "tiny-mo3enet" / "README.md").read_text(encoding="utf-8")
    assert "Mo3ENet autoencoder" in card
    assert "matched_molecules" in card


def test_sets_of_other_elements_are_refused(data_root, tmp_path):
    recipe = RECIPE | {"model": RECIPE["model"] | {"elements": [9, 17]}}
    with pytest.raises(ValueError, match=r"none of \d+ conformers to train on has at most .* elements 9, 17"):
        run(recipe, data_root, tmp_path)


def test_resumed_runs_keep_sigma(data_root, tmp_path):
    """Six steps at once, and three and then three: the same state, σ and its running loss included."""
    recipe = RECIPE | {"objective": {"sigma": 2.0, "threshold": 100.0, "blur": 0.1}}
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    run(recipe, data_root, whole)
    state = {}
    run(recipe | {"schedule": RECIPE["schedule"] | {"steps": 3}}, data_root, parts)
    run(recipe, data_root, parts, "--resume")
    for folder in (whole, parts):
        file = folder / "tiny-mo3enet.run" / "state.pt"
        state[folder] = torch.load(file, weights_only=True)["state_dict"]
    assert state[whole]["objective.sigma"].item() == pytest.approx(2.0 * 0.99**6)
    for name in ("objective.sigma", "average.module.sigma"):
        assert state[parts][name] == state[whole][name]


def test_shipped_recipe_is_complete():
    recipe = read_recipe("mo3enet-small", [])
    encoder = Mo3ENet(recipe.model)
    size = sum(p.numel() for p in encoder.parameters()) * 2
    assert size < 16e6  # bytes as float16
    assert set(recipe.weights) == set(RECIPE["weights"])


def test_all_losses_have_weights():
    some = {name: weight for name, weight in RECIPE["weights"].items() if name not in ("nearest", "balance")}
    with pytest.raises(ValueError, match=r"weights: balance, nearest missing \(0 leaves one out\)"):
        pretrain.parse_recipe(RECIPE | {"weights": some})
