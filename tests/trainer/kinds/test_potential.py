"""Recipes of kind ``potential``: any objectives, any backbone, a checkpoint to start from, trajectories."""

import argparse
import dataclasses
import json

import ase.io
import numpy as np
import pytest
import torch
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from objective_examples import BACKBONES
from trainer_examples import embedded

from skmol3d import hub
from skmol3d.encoders import Potential, PotentialConfig, REM3DIConfig
from skmol3d.encoders.config import config_to_dict
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.trainer import pretrain
from skmol3d.trainer.data.batches import Mixture
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.energies import relative_energies
from skmol3d.trainer.data.packed import write_packed
from skmol3d.trainer.data.sources import read_set
from skmol3d.trainer.data.xtb import read_xtb
from skmol3d.trainer.kinds.potential import (
    check_elements,
    check_labels,
    reference_energies,
    start_from,
)
from skmol3d.trainer.kinds.potential_errors import errors
from skmol3d.trainer.objectives.force_centric import ForceCentric
from skmol3d.trainer.objectives.forces import PotentialObjective
from skmol3d.trainer.objectives.potential import PotentialObjectives
from skmol3d.trainer.objectives.registry import check_weights

ET, EGNN = (config_to_dict(b) for b in BACKBONES)
RECIPE = {
    "kind": "potential",
    "name": "tiny",
    "seed": 0,
    "initial": None,
    "data": {"labels.npz": 1.0},
    "held_out": 0.2,
    "test": [],
    "atoms": 80,
    "model": {"backbone": ET},
    "weights": {"forces": 1.0, "energy": 0.5},
    "schedule": {"steps": 4, "learning_rate": 1.0e-3, "warmup": 2, "ema": 0.5},
}
ENERGIES = {1: -16.0, 6: -1030.0, 8: -2040.0}


def well(numbers, positions):
    """Energy (eV), far below zero, and forces (eV/Å) of a harmonic trap of 0.1 eV/Å² per proton."""
    centred = positions - positions.mean(0)
    stiffness = 0.1 * np.asarray(numbers, float)[:, None]
    energy = sum(ENERGIES[z] for z in numbers) + 0.5 * (stiffness * centred**2).sum()
    gradient = stiffness * centred
    return energy, -(gradient - gradient.mean(0))


def write_trajectory(path, smiles, frames, forces=True, seed=0):
    rng = np.random.default_rng(seed)
    made = []
    for text in smiles:
        mol, positions = embedded(text)
        numbers = [a.GetAtomicNum() for a in mol.GetAtoms()]
        for _ in range(frames):
            atoms = Atoms(numbers, positions + rng.normal(0, 0.05, positions.shape))
            energy, force = well(numbers, atoms.positions)
            atoms.calc = SinglePointCalculator(atoms, energy=energy, **({"forces": force} if forces else {}))
            made.append(atoms)
    ase.io.write(path, made, format="extxyz")


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory):
    root = tmp_path_factory.mktemp("md")
    write_trajectory(root / "train.xyz", ["CCO"], 20)
    write_trajectory(root / "test.xyz", ["CCO"], 6, seed=1)
    write_trajectory(root / "scan.xyz", ["CCO"], 3, forces=False, seed=2)
    return root


def trained(recipe, data, out):
    path = out / f"{recipe['name']}.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    parser = argparse.ArgumentParser()
    pretrain.add_arguments(parser)
    pretrain.run(parser.parse_args([str(path), "--data", str(data), "--out", str(out), "--device", "cpu"]))
    metrics = json.loads((out / f"{recipe['name']}.run" / "metrics.json").read_text())
    made = hub.from_pretrained(str(out / recipe["name"]))
    assert isinstance(made, Potential)
    return made, metrics, (out / recipe["name"] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("backbone", [ET, EGNN], ids=lambda b: b["kind"])
def test_all_objectives_at_once_over_either_backbone(backbone, data_root, tmp_path):
    names = ("forces", "energy", "charges", "dipole", "homo", "lumo", "force_centric", "efp", "inp")
    recipe = RECIPE | {"model": {"backbone": backbone}, "weights": dict.fromkeys(names, 0.5)}
    made, metrics, card = trained(recipe, data_root, tmp_path)
    assert made.config.backbone.kind == backbone["kind"]
    log = (tmp_path / "tiny.run" / "log.csv").read_text().splitlines()[0].split(",")
    assert set(names) <= set(log)
    mae = {f"{name}_mae" for name in ("force", "energy", "charge", "dipole", "homo", "lumo")}
    others = {"energy_mae_per_atom", "force_centric", "efp", "inp", "molecules"}
    assert set(metrics["labels.npz"]) == mae | others
    assert set(metrics["labels.npz, relaxed"]) == mae | others | {"zero_force_mae"}
    assert np.isfinite(list(metrics["labels.npz"].values())).all()
    assert ("EGNN" in card) == (backbone["kind"] == "egnn")


@pytest.mark.parametrize("name", ["et-oreo-small", "egnn-emgp-small"])
def test_shipped_pretraining_ends_in_a_checkpoint(name, data_root, tmp_path):
    """The recipe itself, with a smaller network, for a few steps on a few molecules."""
    small = "{width: 8, layers: 1, heads: 2}" if name.startswith("et-") else "{width: 8, layers: 2}"
    sizes = [f"model.backbone.{k}={v}" for k, v in yaml.safe_load(small).items()]
    changes = [*sizes, "data={labels.npz: 1.0}", "held_out=0.2", "schedule.steps=3"]
    recipe = config_to_dict(pretrain.read_recipe(name, changes))
    made, metrics, card = trained(recipe, data_root, tmp_path)
    assert (made.element_energy == 0).all()  # no energies were trained
    measured = {"force_mae", "force_centric"} if name == "et-oreo-small" else {"efp", "inp"}
    assert set(metrics["labels.npz"]) == measured | {"molecules"}
    claim = "not on energies" if name == "et-oreo-small" else "its energy is no physical one"
    assert claim in " ".join(card.split())


def test_only_losses_with_weights_are_computed(data_root, monkeypatch):
    data = read_xtb(data_root / "labels.npz")
    batch, targets = data.batch(np.arange(5))
    bare = {k: targets[k] for k in ("homo", "dipole")}
    made = Potential(PotentialConfig(BACKBONES[0]))
    losses = PotentialObjectives(made, ["homo", "dipole"])(batch, bare)
    assert set(losses) == {"homo", "dipole"}
    everything = PotentialObjective(made)
    objective = PotentialObjectives(made, everything.names)
    objective.parts["PotentialObjective"].load_state_dict(everything.state_dict())
    together = objective(batch, targets)
    for name, value in everything(batch, targets).items():
        torch.testing.assert_close(together[name], value)
    monkeypatch.setattr(Potential, "energy", None)  # not needed for the level of the noise
    assert set(PotentialObjectives(made, ["inp"])(batch, {})) == {"inp"}
    monkeypatch.undo()
    assert set(PotentialObjectives(made, ["efp"])(batch, {})) == {"efp"}


def test_force_centric_knows_the_relaxed_conformers(data_root, monkeypatch):
    data = read_xtb(data_root / "labels.npz")
    batch, targets = data.batch(np.array([0, 1, 5, 6]))
    seen = []
    monkeypatch.setattr(ForceCentric, "forward", lambda self, *inputs: seen.append(inputs))
    objective = PotentialObjectives(Potential(PotentialConfig(BACKBONES[0])), ["force_centric"])
    objective(batch, targets)
    del targets["kind"]
    objective(batch, targets)
    (_, forces, equilibrium), (*_, nowhere) = seen
    assert equilibrium.tolist() == [True, False, False, True]
    assert equilibrium.dtype == nowhere.dtype == torch.bool
    assert not nowhere.any()
    assert torch.equal(forces, targets["forces"])


def test_trajectories_with_test_files(trajectories, tmp_path):
    recipe = RECIPE | {"data": {"train.xyz": 1.0}, "test": ["test.xyz", "scan.xyz"]}
    made, metrics, card = trained(recipe, trajectories, tmp_path)
    assert {k: v["molecules"] for k, v in metrics.items()} == {
        "train.xyz": 4,
        "test test.xyz": 6,
        "test scan.xyz": 3,
    }
    assert "force_mae" not in metrics["test scan.xyz"]
    # Against the file, with the checkpoint as it was saved (half precision): energies of thousands of eV.
    energy, force = [], []
    for atoms in ase.io.read(trajectories / "test.xyz", ":"):
        batch, _ = read_set(trajectories / "test.xyz").batch(np.array([len(energy)]))
        found, forces = made.energy_and_forces(batch)
        energy.append(abs(found.item() - atoms.get_potential_energy()))
        force.append(np.abs(forces.numpy() - atoms.get_forces()).mean())
    assert metrics["test test.xyz"]["energy_mae"] == pytest.approx(np.mean(energy), abs=0.02)
    assert metrics["test test.xyz"]["force_mae"] == pytest.approx(np.mean(force), rel=0.01)
    assert made.element_energy[[1, 6, 8]] @ torch.tensor([6.0, 2.0, 1.0]) == pytest.approx(-4196, abs=10)
    assert "| test scan.xyz |" in card
    assert "xTB" not in card


@pytest.mark.slow
def test_fine_tuning_goes_on_where_the_checkpoint_is(trajectories, tmp_path):
    longer = RECIPE["schedule"] | {"steps": 100, "learning_rate": 0.01}
    recipe = RECIPE | {"data": {"train.xyz": 1.0}, "schedule": longer}
    first, before, _ = trained(recipe, trajectories, tmp_path)
    again = recipe | {"name": "again", "initial": str(tmp_path / "tiny"), "schedule": RECIPE["schedule"]}
    again["schedule"] = again["schedule"] | {"learning_rate": 1e-9}
    second, after, card = trained(again, trajectories, tmp_path)
    for name, value in first.backbone.state_dict().items():
        torch.testing.assert_close(second.backbone.state_dict()[name], value, atol=1e-6, rtol=1e-3)
    assert after["train.xyz"]["force_mae"] == pytest.approx(before["train.xyz"]["force_mae"], rel=0.01)
    # The references are fitted anew, to what the checkpoint leaves of the energies.
    torch.testing.assert_close(second.element_energy, first.element_energy, atol=0.1, rtol=1e-3)
    fresh = json.loads(json.dumps(again | {"name": "fresh", "initial": None}))
    _, random, _ = trained(fresh, trajectories, tmp_path)
    assert random["train.xyz"]["force_mae"] > 1.1 * after["train.xyz"]["force_mae"]
    assert f"started from `{tmp_path / 'tiny'}`" in card


def test_references_leave_no_mean_error(trajectories):
    data = read_set(trajectories / "train.xyz")
    torch.manual_seed(0)
    made = Potential(PotentialConfig(BACKBONES[0]))
    references = reference_energies([(data, np.arange(len(data)))], made)
    relative = relative_energies(data, references)
    batch, targets = relative.batch(np.arange(len(data)))
    difference = made.energy(batch).detach() - targets["energy"]
    assert abs(difference.mean().item()) < 1e-4
    assert difference.std() > 1e-3
    # Double precision: the differences between frames are those of the file.
    whole = data.molecule_targets["energy"]
    np.testing.assert_allclose(np.diff(relative.molecule_targets["energy"]), np.diff(whole), atol=1e-9)
    np.testing.assert_allclose(np.diff(targets["energy"]), np.diff(whole), atol=1e-5)


def test_a_potential_that_knows_its_labels_keeps_its_references(data_root):
    data = read_xtb(data_root / "labels.npz")
    torch.manual_seed(0)
    made = Potential(PotentialConfig(BACKBONES[0])).double()
    batch = data.batch(np.arange(len(data)))[0]
    double = dataclasses.replace(batch, positions=batch.positions.double(), charge=batch.charge.double())
    known = dataclasses.replace(data, molecule_targets={"energy": made.energy(double).detach().numpy()})
    expected = np.where(np.bincount(data.numbers, minlength=119) > 0, np.arange(119.0), 0.0)
    known = relative_energies(known, -expected)
    # Of few conformers, whose labels would be fitted with an error of their own.
    references = reference_energies([(known, np.arange(len(known)))], made.float(), sample=10)
    found = references[np.unique(data.numbers[: data.offsets[1]])]
    np.testing.assert_allclose(found, np.unique(data.numbers[: data.offsets[1]]), atol=0.01)


def test_errors_of_noise_losses_are_repeatable(data_root):
    data = read_xtb(data_root / "labels.npz")
    objective = PotentialObjectives(Potential(PotentialConfig(BACKBONES[0])), ["efp", "inp", "force_centric"])
    state = torch.get_rng_state()
    first, second = (errors(objective, data, np.arange(12)) for _ in range(2))
    assert first == second
    assert torch.equal(torch.get_rng_state(), state)
    assert set(first) == {"force_mae", "efp", "inp", "force_centric", "molecules"}


def test_sets_of_every_kind(data_root, trajectories, tmp_path):
    labels = read_set(data_root / "labels.npz")
    write_packed(tmp_path / "packed", labels)
    packed = read_set(tmp_path / "packed")
    assert packed.molecule_targets["kind"].tolist() == labels.molecule_targets["kind"].tolist()
    check_labels("packed", packed, RECIPE["weights"])
    assert len(set(read_set(trajectories / "train.xyz").group)) == 20  # one molecule: by frame
    write_trajectory(tmp_path / "many.xyz", ["C" * n for n in range(1, 11)], 2)
    assert len(set(read_set(tmp_path / "many.xyz").group)) == 10  # by molecule
    (tmp_path / "data.json").touch()
    with pytest.raises(ValueError, match=r"data.json: neither a packed folder, a folder of shards, .npz"):
        read_set(tmp_path / "data.json")
    with pytest.raises(FileNotFoundError, match=r"nowhere: no such file or folder"):
        read_set(tmp_path / "nowhere")


def test_start_from_something_else(tmp_path):
    made = Potential(PotentialConfig(BACKBONES[0]))
    hub.save_pretrained(made, tmp_path / "et", card="A potential.")
    wider = dataclasses.replace(BACKBONES[0], width=16)
    with pytest.raises(
        ValueError, match=r"et differs from recipe.model.backbone in width \(8 there, 16 here\)"
    ):
        start_from(PotentialConfig(wider), str(tmp_path / "et"))
    with pytest.raises(ValueError, match=r"in kind \(equivariant-transformer there, egnn here\)"):
        start_from(PotentialConfig(BACKBONES[1]), str(tmp_path / "et"))
    small = {"width": 8, "layers": 1, "heads": 2, "pair_width": 4, "radial": 6, "readout": 12, "chiral": 4}
    hub.save_pretrained(REM3DI(REM3DIConfig(BACKBONES[0], **small)), tmp_path / "rem3di", card="An encoder.")
    with pytest.raises(ValueError, match="rem3di is a REM3DI, not a potential"):
        start_from(PotentialConfig(BACKBONES[0]), str(tmp_path / "rem3di"))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"force": 1.0}, r"no such losses \['force'\]; there are .*forces, energy"),
        ({}, "expected weights of some of"),
    ],
)
def test_wrong_weights(weights, message):
    with pytest.raises(ValueError, match=message):
        check_weights("potential", weights)


def test_sets_that_do_not_fit(trajectories):
    data = read_set(trajectories / "scan.xyz")
    with pytest.raises(ValueError, match=r"scan: no labels for charges, force_centric of .*; it has energy"):
        check_labels("scan", data, ["charges", "energy", "force_centric", "efp"])
    with pytest.raises(ValueError, match=r"scan: has atomic numbers \[6, 8\]"):
        check_elements("scan", data, (1, 7))


def test_force_errors_are_recomputed_one_frame_at_a_time(trajectories):
    data = read_set(trajectories / "test.xyz")
    objective = PotentialObjectives(Potential(PotentialConfig(BACKBONES[1])), ["forces"])
    found = errors(objective, data, np.array([4, 1, 2]))
    each = []
    for m in (1, 2, 4):
        batch, targets = data.batch(np.array([m]))
        _, forces = objective.potential.energy_and_forces(batch)
        each.append((forces - targets["forces"]).abs().mean().item())
    assert found == {"force_mae": pytest.approx(np.mean(each), rel=1e-4), "molecules": 3}


def test_minima_may_be_drawn_more_often_and_the_same_molecules_are_held_out(data_root, tmp_path, monkeypatch):
    seen = []
    draw = Mixture.__call__
    monkeypatch.setattr(Mixture, "__call__", lambda self, *a: seen.append(self) or draw(self, *a))
    chosen = [
        {"path": "labels.npz", "share": 0.75},
        {"path": "labels.npz", "share": 0.25, "kinds": ["relaxed"]},
    ]
    whole = trained(RECIPE | {"data": chosen[:1]}, data_root, tmp_path)[1]
    both = trained(RECIPE | {"data": chosen}, data_root, tmp_path)[1]
    (first,), (all_kinds, minima) = seen[0].indices, seen[1].indices
    data = seen[1].sets[0]
    assert seen[1].sets[1] is data  # read once
    assert all_kinds.tolist() == first.tolist()
    expected = first[data.molecule_targets["kind"][first] == ConformerKind.RELAXED]
    assert minima.tolist() == expected.tolist()
    assert list(both) == list(whole) == ["labels.npz", "labels.npz, mmff", "labels.npz, relaxed"]
    assert [row["molecules"] for row in both.values()] == [row["molecules"] for row in whole.values()]
    held = set(data.group) - set(data.group[first])
    assert len(held) == 2
    assert not held & set(data.group[minima])
