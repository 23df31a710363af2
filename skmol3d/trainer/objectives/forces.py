"""Supervised potential: reference energies, forces, charges, dipoles and frontier orbitals."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.equivariant_transformer import Potential


class PotentialObjective(nn.Module):
    """Losses of a `Potential` on labelled conformers.

    ``forces`` is the mean norm of the force error per atom (eV/Å): the norm keeps the loss rotation-invariant
    and, being linear far from zero, is not ruled by the few conformers with forces of tens of eV/Å.
    ``energy`` is the mean absolute error per square root of the atom number (eV). The other heads (charges e,
    HOMO and LUMO eV, dipole e·Å) exist only here, so that the features know electrons too.
    """

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = potential
        scalars, vectors = potential.backbone.sizes
        self.charges = nn.Linear(scalars, 1)
        self.atomic_dipole = nn.Linear(vectors, 1, bias=False)
        self.orbitals = nn.Sequential(nn.Linear(scalars, 128), nn.SiLU(), nn.Linear(128, 4))

    def forward(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        batch = AtomBatch(batch.numbers, batch.positions.requires_grad_(), batch.counts, batch.charge)
        features = self.potential.backbone(batch)
        energy = self.potential.energy(batch, features)
        (gradient,) = torch.autograd.grad(energy.sum(), batch.positions, create_graph=True)
        charges = self.charges(features.scalars)[:, 0]
        molecule, size = batch.molecule, len(batch)
        dipole = charges[:, None] * batch.positions + self.atomic_dipole(features.vectors)[:, :, 0]
        dipole = dipole.new_zeros(size, 3).index_add(0, molecule, dipole)
        neutral = batch.charge == 0  # an ion's dipole depends on the origin
        homo, lumo = self._orbitals(batch, features.scalars)
        return {
            "forces": (gradient + targets["forces"]).norm(dim=1).mean(),
            "energy": ((energy - targets["energy"]).abs() / batch.counts.sqrt()).mean(),
            "charges": (charges - targets["charges"]).abs().mean(),
            "dipole": ((dipole - targets["dipole"]).norm(dim=1) * neutral).sum() / neutral.sum().clamp(min=1),
            "homo": (homo - targets["homo"]).abs().mean(),
            "lumo": (lumo - targets["lumo"]).abs().mean(),
        }

    def _orbitals(self, batch: AtomBatch, scalars: Tensor) -> tuple[Tensor, Tensor]:
        # A frontier orbital sits on some of the atoms: softmax-weighted mean of atomic levels.
        padded = batch.pad(self.orbitals(scalars))
        weights = padded[..., 2:].masked_fill((batch.flat_index < 0)[..., None], -torch.inf).softmax(1)
        homo, lumo = (weights * padded[..., :2]).sum(1).unbind(1)
        return homo - 10.0, lumo - 7.0
