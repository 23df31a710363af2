"""GFN2-xTB labels: what the file says reaches the batch."""

import numpy as np
import torch

from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.xtb import read_xtb


def test_read_xtb(data_root):
    data = read_xtb(data_root / "labels.npz")
    assert len(data) == 30
    assert data.group.tolist()[:4] == [0, 0, 0, 1]
    batch, targets = data.batch(np.array([18]))  # ethyl(trimethyl)ammonium
    assert batch.charge.tolist() == [1.0]
    assert targets["forces"].shape == batch.positions.shape
    assert torch.pdist(batch.positions).min() > 0.9  # Å
    assert set(targets) == {"forces", "charges", "energy", "dipole", "homo", "lumo", "kind"}
    kinds = [ConformerKind(kind) for kind in data.molecule_targets["kind"][:3]]
    assert kinds == [ConformerKind.RELAXED, ConformerKind.MMFF, ConformerKind.MMFF]
