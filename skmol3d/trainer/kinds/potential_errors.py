"""Errors of potentials: of a set as a whole, and of each kind of conformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from skmol3d.trainer.data.batches import bucketed
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.objectives import registry


def errors(objective: Any, data: PackedSet, index: np.ndarray) -> dict[str, float]:
    """Errors on conformers ``index`` in what ``objective`` (`PotentialObjectives`) trains and the set labels.

    ``force_mae`` (components, eV/Å), ``energy_mae`` and ``energy_mae_per_atom`` (eV), ``charge_mae`` (e),
    ``homo_mae`` and ``lumo_mae`` (eV), ``dipole_mae`` (length of the difference, e·Å, if all molecules of a
    batch are neutral); the losses ``force_centric``, ``efp`` and ``inp``, each time under the
    same noise; and the number of ``molecules`` (conformers).
    """
    objective.eval()
    device = next(objective.parameters()).device
    names, labels = set(objective.names), data.atom_targets.keys() | data.molecule_targets.keys()
    with_forces = "forces" in labels and not names.isdisjoint(("forces", "force_centric"))
    with_energy = "energy" in labels and "energy" in names
    known = {name: registry.losses("potential")[name] for name in names}
    # All are computed at once, so that one missing label leaves out every loss.
    complete = {loss.label for loss in known.values()} - {None} <= labels
    others = {name: loss for name, loss in known.items() if loss.metric} if complete else {}
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
            for name, loss in sorted(others.items()):
                row[str(loss.metric)] = losses[name].detach() * len(batch.numbers if loss.per_atom else batch)
            for name, value in row.items():
                sums[name] = sums.get(name, 0.0) + float(value)
            atoms += len(batch.numbers)
    per_atom = {"force_mae"} | {loss.metric for loss in known.values() if loss.per_atom}
    found = {
        name: value / (atoms if name in per_atom else len(index)) for name, value in sorted(sums.items())
    }
    return found | {"molecules": float(len(index))}


def errors_by_kind(objective: Any, data: PackedSet, index: np.ndarray) -> dict[str, dict[str, float]]:
    """`errors` on the conformers ``index`` of each `ConformerKind`, if the set knows them.

    Beside ``force_mae`` stands ``zero_force_mae`` (eV/Å), the error of predicting no force: at minima it is
    small, and a potential that is no better does not know where they are.
    """
    if "kind" not in data.molecule_targets:
        return {}
    kinds, found = data.molecule_targets["kind"][index], {}
    for kind in np.unique(kinds).tolist():
        chosen = index[kinds == kind]
        row = errors(objective, data, chosen)
        if "force_mae" in row:
            atoms = np.concatenate([np.arange(*data.offsets[[m, m + 1]]) for m in chosen])
            row["zero_force_mae"] = float(np.abs(data.atom_targets["forces"][atoms].astype(float)).mean())
        found[ConformerKind(kind).name.lower()] = row
    return found
