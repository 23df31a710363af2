"""Recipe kind ``potential``: an energy-and-force network on GFN2-xTB labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from skmol3d.encoders.config import config_from_dict
from skmol3d.encoders.equivariant_transformer import Potential, PotentialConfig
from skmol3d.trainer.data import PackedSet, bucketed, element_energies, read_xtb
from skmol3d.trainer.loop import Schedule, main_process, train
from skmol3d.trainer.objectives.forces import PotentialObjective
from skmol3d.trainer.stream import Mixture


def run(recipe: dict[str, Any], data: Path, out: Path, resume: bool, **hardware: Any) -> Potential:
    """Train the potential a recipe describes; ``out`` receives logs and ``metrics.json``.

    The recipe's ``data`` names npz sets below ``data`` with their sampling shares; ``held_out`` is the share
    of molecules kept for the reported errors; the evaluation curve is measured on some of the first set's.
    ``hardware`` is any of ``device``, ``devices``, ``nodes`` and ``precision`` of `train`.
    """
    torch.manual_seed(recipe["seed"])
    names, shares = list(recipe["data"]), list(recipe["data"].values())
    sets = [read_xtb(data / name) for name in names]
    splits = [s.split(recipe["held_out"], recipe["seed"]) for s in sets]
    potential = Potential(config_from_dict(PotentialConfig, recipe["model"], "recipe.model"))
    references = reference_energies([(s, index) for s, (index, _) in zip(sets, splits, strict=True)])
    potential.element_energy.copy_(torch.from_numpy(references))

    batches = Mixture(sets, shares, [t for t, _ in splits], recipe["atoms"], recipe["seed"])

    def evaluate(objective: nn.Module) -> dict[str, float]:
        held = splits[0][1]
        return errors(objective, sets[0], np.random.default_rng(0).permutation(held)[:300])

    schedule = config_from_dict(Schedule, recipe["schedule"], "recipe.schedule")
    objective = PotentialObjective(potential)
    best = train(
        objective,
        batches,
        recipe["weights"],
        schedule,
        out,
        evaluate=evaluate,
        resume=resume,
        seed=recipe["seed"],
        **hardware,
    )
    if main_process():
        scored = zip(names, sets, splits, strict=True)
        metrics = {name: errors(best, s, held) for name, s, (_, held) in scored}
        (out / "metrics.json").write_text(json.dumps(metrics, indent=1))
    assert isinstance(best.potential, Potential)
    return best.potential.eval()


def reference_energies(parts: list[tuple[PackedSet, np.ndarray]]) -> np.ndarray:
    """Reference energies [119] of the first set, completed by those of the others for elements it lacks."""
    energies = np.zeros(119)
    for data, index in reversed(parts):
        fit = element_energies(data, index)
        energies = np.where(fit != 0, fit, energies)
    return energies


def errors(objective: Any, data: PackedSet, index: np.ndarray) -> dict[str, float]:
    """Held-out mean absolute errors: energies (eV), force components (eV/Å), charges (e), orbitals (eV)."""
    objective.eval()
    device = next(objective.parameters()).device
    sums: dict[str, float] = {}
    totals = {"molecules": 0, "atoms": 0}
    for part in bucketed(data.sizes, index, 1024, np.random.default_rng(0)):
        batch, targets = data.batch(part)
        batch, targets = batch.to(device), {k: v.to(device) for k, v in targets.items()}
        energy, forces = objective.potential.energy_and_forces(batch)
        losses = {k: v.detach() for k, v in objective(batch, targets).items()}
        row = {
            "force_mae": (forces - targets["forces"]).abs().mean(1).sum(),
            "energy_mae": (energy.detach() - targets["energy"]).abs().sum(),
            "energy_mae_per_atom": ((energy.detach() - targets["energy"]).abs() / batch.counts).sum(),
            "charge_mae": losses["charges"] * len(batch.numbers),
            "homo_mae": losses["homo"] * len(batch),
            "lumo_mae": losses["lumo"] * len(batch),
        }
        for name, value in row.items():
            sums[name] = sums.get(name, 0.0) + float(value)
        totals["molecules"] += len(batch)
        totals["atoms"] += len(batch.numbers)
    per_atom = {"force_mae", "charge_mae"}
    return {k: v / totals["atoms" if k in per_atom else "molecules"] for k, v in sums.items()} | {
        "molecules": float(totals["molecules"])
    }
