"""Errors of potentials by the kind of conformers."""

import numpy as np
import pytest
import torch
from objective_examples import BACKBONES

from skmol3d.encoders import Potential, PotentialConfig
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.sources import read_set
from skmol3d.trainer.data.xtb import read_xtb
from skmol3d.trainer.kinds.potential_errors import errors_by_kind
from skmol3d.trainer.objectives.potential import PotentialObjectives


def test_errors_of_each_kind_of_conformers(data_root):
    data = read_xtb(data_root / "labels.npz")
    index = np.arange(3, 12)
    objective = PotentialObjectives(Potential(PotentialConfig(BACKBONES[0])), ["forces"])
    found = errors_by_kind(objective, data, index)
    assert list(found) == ["mmff", "relaxed"]
    chosen = index[data.molecule_targets["kind"][index] == ConformerKind.RELAXED]
    each = []
    for m in chosen:
        batch, targets = data.batch(np.array([m]))
        _, forces = objective.potential.energy_and_forces(batch)
        each.append(((forces - targets["forces"]).abs(), targets["forces"].abs()))
    wrong, size = (torch.cat([pair[k] for pair in each]).mean().item() for k in (0, 1))
    assert found["relaxed"] == {
        "force_mae": pytest.approx(wrong, rel=1e-4),
        "zero_force_mae": pytest.approx(size, rel=1e-4),
        "molecules": 3,
    }
    assert errors_by_kind(objective, read_set(data_root / "corpus"), np.arange(3)) == {}
