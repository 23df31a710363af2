"""A batch in double precision and small encoders for the tests of single objectives."""

import dataclasses

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from skmol3d.encoders import (
    REM3DI,
    AtomBatch,
    EGNNConfig,
    EquivariantTransformerConfig,
    Potential,
    PotentialConfig,
    REM3DIConfig,
)

BACKBONES = [
    EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=6),
    EGNNConfig(width=8, layers=2, channels=3, radial=6),
]
SIZES = (6, 9, 4)
GRID = np.stack(np.meshgrid(*[range(3)] * 3), -1).reshape(-1, 3) * 1.3


def random_batch(sizes=SIZES, seed=0):
    """Atoms on a rattled grid, in double precision; the second molecule is charged."""
    rng = np.random.default_rng(seed)
    molecules = [
        (rng.choice([1, 6, 7, 8], n, p=[0.1, 0.4, 0.2, 0.3]), rng.permutation(GRID)[:n], k == 1, None)
        for k, n in enumerate(sizes)
    ]
    made = AtomBatch.from_arrays(molecules)
    rattled = made.positions.double() + torch.from_numpy(rng.normal(0, 0.1, made.positions.shape))
    return dataclasses.replace(made, positions=rattled, charge=made.charge.double())


def transformed(batch, seed=0, mirror=False):
    """Each molecule turned and shifted by its own amount, and mirrored."""
    matrices = torch.from_numpy(Rotation.random(len(batch), rng=seed).as_matrix())
    if mirror:
        matrices = matrices @ torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
    shifts = torch.from_numpy(np.random.default_rng(seed).normal(0, 5, (len(batch), 3)))
    matrices, shifts = matrices[batch.molecule], shifts[batch.molecule]
    positions = (matrices @ batch.positions[:, :, None])[:, :, 0] + shifts
    return dataclasses.replace(batch, positions=positions), matrices


def permuted(batch, seed=0):
    """Molecules and their atoms in another order: (batch, order of atoms, order of molecules)."""
    rng = np.random.default_rng(seed)
    molecules = rng.permutation(len(batch))
    atoms = np.concatenate([rng.permutation(np.flatnonzero(batch.molecule.numpy() == m)) for m in molecules])
    atoms, molecules = torch.from_numpy(atoms), torch.from_numpy(molecules)
    made = AtomBatch(
        batch.numbers[atoms], batch.positions[atoms], batch.counts[molecules], batch.charge[molecules]
    )
    return made, atoms, molecules


def small_potential(backbone):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Potential(PotentialConfig(backbone)).double()


def small_rem3di(backbone=BACKBONES[0], **settings):
    """Random `REM3DI` in double precision whose features have been given typical means and spreads."""
    sizes = {"width": 8, "layers": 1, "heads": 2, "pair_width": 4, "radial": 6, "readout": 12, "chiral": 4}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        made = REM3DI(REM3DIConfig(backbone, **(sizes | settings))).double()
        features = made.backbone(random_batch())
    made.scalar_mean.copy_(features.scalars.mean(0))
    made.scalar_std.copy_(features.scalars.std(0))
    made.vector_rms.copy_(features.vectors.square().mean((0, 1)).sqrt())
    return made
