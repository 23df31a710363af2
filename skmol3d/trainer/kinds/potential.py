"""Recipe kind ``potential``: a backbone with an energy head, trained on any of the objectives for it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skmol3d import hub
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.config import config_from_dict, config_to_dict
from skmol3d.encoders.potential import Potential, PotentialConfig
from skmol3d.trainer.data.batches import Mixture
from skmol3d.trainer.data.packed import read_packed
from skmol3d.trainer.data.sets import PackedSet, bucketed, element_energies, read_xtb
from skmol3d.trainer.loop import Schedule, main_process, train
from skmol3d.trainer.objectives.force_centric import ForceCentric
from skmol3d.trainer.objectives.forces import LABELLED, PotentialObjective
from skmol3d.trainer.objectives.riemann_gaussian import RiemannGaussian

NOISE = ("efp", "inp")
#: The label each loss needs; noise losses need none.
LABELS = {name: name for name in LABELLED} | {"force_centric": "forces"}
#: Losses that are errors in themselves, and what `errors` calls them.
LOSSES = {"charges": "charge_mae", "homo": "homo_mae", "lumo": "lumo_mae"} | {
    name: name for name in ("force_centric", *NOISE)
}
FEW = 10  # molecules of a trajectory
PER_ATOM = ("force_mae", "charge_mae", "force_centric")  # means over atoms; others over molecules


class Objectives(nn.Module):
    """Losses ``names`` over one potential; only these are computed.

    Names are those of `PotentialObjective`, ``force_centric`` (`ForceCentric`: conformers are at equilibrium
    where the target ``equilibrium`` says so, none are in sets without it), ``efp`` and ``inp``
    (`RiemannGaussian`).
    """

    def __init__(self, potential: Potential, names: Collection[str]) -> None:
        super().__init__()
        self.potential = potential
        self.names = names
        labelled, noise = [n for n in LABELLED if n in names], [n for n in NOISE if n in names]
        self.labelled = PotentialObjective(potential, labelled) if labelled else None
        self.force_centric = ForceCentric(potential) if "force_centric" in names else None
        self.noise = RiemannGaussian(potential, names=noise) if noise else None

    def forward(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        if self.labelled is not None:
            losses |= self.labelled(batch, targets)
        if self.force_centric is not None:
            equilibrium = targets.get("equilibrium", torch.zeros_like(batch.charge)).bool()
            losses["force_centric"] = self.force_centric(batch, targets["forces"], equilibrium)
        if self.noise is not None:
            losses |= self.noise(batch)
        return losses


def run(recipe: dict[str, Any], data: Path, out: Path, resume: bool, **hardware: Any) -> Potential:
    """Train the potential a recipe describes; ``out`` receives logs and ``metrics.json``.

    The recipe's ``data`` names sets below ``data`` (see `read_set`) with their sampling shares; ``held_out``
    is the share of molecules (or frames) kept for the reported errors, which those of the files in ``test``
    join; the evaluation curve is measured on some of the first set's. ``initial`` is a checkpoint to start
    from. ``hardware`` is any of ``device``, ``devices``, ``nodes`` and ``precision`` of `train`.
    """
    torch.manual_seed(recipe["seed"])
    weights = recipe["weights"]
    check_weights(weights)
    config = config_from_dict(PotentialConfig, recipe["model"], "recipe.model")
    names, shares = list(recipe["data"]), list(recipe["data"].values())
    sets = [read_set(data / name) for name in names]
    tests = {name: read_set(data / name) for name in recipe["test"]}
    for name, s in [*zip(names, sets, strict=True), *tests.items()]:
        check_elements(name, s, config.backbone.elements)
    for name, s in zip(names, sets, strict=True):
        check_labels(name, s, weights)
    splits = [s.split(recipe["held_out"], recipe["seed"]) for s in sets]
    train_rows = [rows for rows, _ in splits]

    initial = recipe["initial"]
    potential = Potential(config) if initial is None else start_from(config, initial)
    references = np.zeros(len(potential.element_energy))
    if "energy" in weights:
        references = reference_energies(list(zip(sets, train_rows, strict=True)), potential)
        # Losses and errors are measured without the references: a molecule's total energy in single precision
        # is rounded to some meV.
        sets = [relative_energies(s, references) for s in sets]
        tests = {name: relative_energies(s, references) for name, s in tests.items()}

    def evaluate(objective: nn.Module) -> dict[str, float]:
        held = splits[0][1]
        return errors(objective, sets[0], np.random.default_rng(0).permutation(held)[:300])

    best = train(
        Objectives(potential, weights),
        Mixture(sets, shares, train_rows, recipe["atoms"], recipe["seed"]),
        weights,
        config_from_dict(Schedule, recipe["schedule"], "recipe.schedule"),
        out,
        evaluate=evaluate,
        resume=resume,
        seed=recipe["seed"],
        **hardware,
    )
    if main_process():
        scored = zip(names, sets, splits, strict=True)
        metrics = {name: errors(best, s, held) for name, s, (_, held) in scored}
        metrics |= {f"test {name}": errors(best, s, np.arange(len(s))) for name, s in tests.items()}
        (out / "metrics.json").write_text(json.dumps(metrics, indent=1))
    assert isinstance(best.potential, Potential)
    best.potential.element_energy.copy_(torch.from_numpy(references))
    return best.potential.eval()


def check_weights(weights: Any) -> None:
    """Raise ValueError unless ``weights`` maps some known losses to numbers."""
    known = [*LABELS, *NOISE]
    if not isinstance(weights, dict) or not weights:
        raise ValueError(f"recipe.weights: expected weights of some of {', '.join(known)}; got {weights!r}")
    unknown = sorted(set(weights) - set(known))
    if unknown:
        raise ValueError(f"recipe.weights: no such losses {unknown}; there are {', '.join(known)}")


def read_set(path: Path) -> PackedSet:
    """Read labelled npz (`read_xtb`), extxyz trajectories (`read_extxyz`) or a packed folder (`read_packed`).

    Trajectories of fewer than `FEW` molecules are split by frame, all other sets by molecule.
    """
    if path.is_dir():
        return read_packed(path)
    if path.name.endswith(".npz"):
        return read_xtb(path)
    if not path.name.removesuffix(".gz").endswith((".xyz", ".extxyz")):
        raise ValueError(f"{path}: neither a packed folder nor .npz, .xyz, .extxyz, .xyz.gz or .extxyz.gz")
    from skmol3d.trainer.data.readers import read_extxyz  # needs rdkit, which other training does not

    data = read_extxyz(path)
    if len(np.unique(data.group)) < FEW:
        data.group = np.arange(len(data))
    return data


def check_elements(name: str, data: PackedSet, elements: Collection[int]) -> None:
    """Raise ValueError if the set has atoms that the model's config does not list."""
    missing = sorted(set(np.unique(data.numbers).tolist()) - set(elements))
    if missing:
        raise ValueError(f"{name}: has atomic numbers {missing}, which recipe.model.backbone.elements lacks")


def check_labels(name: str, data: PackedSet, weights: Collection[str]) -> None:
    """Raise ValueError if a loss needs labels that the set does not have."""
    labels = data.atom_targets.keys() | data.molecule_targets.keys()
    missing = [loss for loss in weights if loss in LABELS and LABELS[loss] not in labels]
    if missing:
        found = ", ".join(sorted(labels)) or "none"
        raise ValueError(f"{name}: no labels for {', '.join(missing)} of recipe.weights; it has {found}")


def start_from(config: PotentialConfig, checkpoint: str) -> Potential:
    """The potential of a checkpoint, its reference energies set to zero.

    Raises
    ------
    ValueError
        The checkpoint is no potential, or not that of ``config``.
    """
    potential = hub.from_pretrained(checkpoint)
    if not isinstance(potential, Potential):
        raise ValueError(f"recipe.initial: {checkpoint} is a {type(potential).__name__}, not a potential")
    if potential.config != config:
        own, found = (config_to_dict(c.backbone) for c in (config, potential.config))
        differing = ", ".join(
            f"{k} ({found.get(k)} there, {own.get(k)} here)"
            for k in found | own
            if found.get(k) != own.get(k)
        )
        raise ValueError(f"recipe.initial: {checkpoint} differs from recipe.model.backbone in {differing}")
    potential.element_energy.zero_()
    return potential


def reference_energies(
    parts: list[tuple[PackedSet, np.ndarray]], potential: Potential, sample: int = 2000
) -> np.ndarray:
    """Reference energies [119] of the first set, completed by those of the others for elements it lacks.

    They fit what ``potential``, whose own are zero, leaves of the energies, so that training starts with
    energies that are right on average. Its part is fitted on at most ``sample`` conformers of each set.
    """
    energies = np.zeros(119)
    for data, index in reversed(parts):
        learned = np.zeros(len(data))
        chosen = np.random.default_rng(0).permutation(index)[:sample]
        for part in bucketed(data.sizes, chosen, 4096, np.random.default_rng(0)):
            with torch.no_grad():
                learned[part] = potential.energy(data.batch(part)[0]).numpy()
        predicted = dataclasses.replace(data, molecule_targets={"energy": learned})
        fit = element_energies(data, index) - element_energies(predicted, chosen)
        energies = np.where(fit != 0, fit, energies)
    return energies


def element_energies(data: PackedSet, index: np.ndarray, largest: int = 119) -> np.ndarray:
    """Reference energy of each element (eV) [largest] by least squares over the conformers ``index``."""
    composition = np.zeros((len(data), largest))
    owner = np.repeat(np.arange(len(data)), data.sizes)
    np.add.at(composition, (owner, data.numbers), 1.0)
    seen = composition[index].sum(0) > 0
    fit, *_ = np.linalg.lstsq(composition[index][:, seen], data.molecule_targets["energy"][index], rcond=None)
    energies = np.zeros(largest)
    energies[seen] = fit
    return energies


def relative_energies(data: PackedSet, references: np.ndarray) -> PackedSet:
    """The set with energies less those of its atoms, subtracted in double precision."""
    if "energy" not in data.molecule_targets:
        return data
    owner = np.repeat(np.arange(len(data)), data.sizes)
    atoms = np.bincount(owner, references[data.numbers], len(data))
    energy = data.molecule_targets["energy"] - atoms
    return dataclasses.replace(data, molecule_targets={**data.molecule_targets, "energy": energy})


def errors(objective: Any, data: PackedSet, index: np.ndarray) -> dict[str, float]:
    """Errors on conformers ``index`` in what ``objective`` (`Objectives`) trains and the set has labels for.

    ``force_mae`` (components, eV/Å), ``energy_mae`` and ``energy_mae_per_atom`` (eV), ``charge_mae`` (e),
    ``homo_mae`` and ``lumo_mae`` (eV); the losses ``force_centric``, ``efp`` and ``inp``, each time under the
    same noise; and the number of ``molecules`` (conformers).
    """
    objective.eval()
    device = next(objective.parameters()).device
    names, labels = set(objective.names), data.atom_targets.keys() | data.molecule_targets.keys()
    with_forces = "forces" in labels and not names.isdisjoint(("forces", "force_centric"))
    with_energy = "energy" in labels and "energy" in names
    others = names & LOSSES.keys() if {LABELS[n] for n in names & LABELS.keys()} <= labels else set()
    sums: dict[str, float] = {}
    atoms = 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for part in bucketed(data.sizes, index, 1024, np.random.default_rng(0)):
            batch, targets = data.batch(part)
            batch, targets = batch.to(device), {k: v.to(device) for k, v in targets.items()}
            row: dict[str, Any] = {}
            if with_forces or with_energy:
                energy, forces = objective.potential.energy_and_forces(batch)
            if with_forces:
                row["force_mae"] = (forces - targets["forces"]).abs().mean(1).sum()
            if with_energy:
                wrong = (energy.detach() - targets["energy"]).abs()
                row |= {"energy_mae": wrong.sum(), "energy_mae_per_atom": (wrong / batch.counts).sum()}
            losses = objective(batch, targets) if others else {}
            for name in sorted(others):
                metric = LOSSES[name]
                row[metric] = losses[name].detach() * len(batch.numbers if metric in PER_ATOM else batch)
            for name, value in row.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            atoms += len(batch.numbers)
    found = {
        name: value / (atoms if name in PER_ATOM else len(index)) for name, value in sorted(sums.items())
    }
    return found | {"molecules": float(len(index))}
