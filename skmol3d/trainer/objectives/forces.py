"""Supervised potential: reference energies, forces, charges, dipoles and frontier orbitals."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.potential import Potential
from skmol3d.trainer.objectives.potential import KIND
from skmol3d.trainer.objectives.registry import Loss, objective

LABELLED = ("forces", "energy", "charges", "dipole", "homo", "lumo")


@objective(
    KIND,
    Loss("forces", "forces (eV/Å)", "forces"),
    Loss("energy", "energies (eV)", "energy"),
    Loss("charges", "atomic charges (e)", "charges", "charge_mae", per_atom=True),
    Loss("dipole", "dipoles (e·Å) of neutral molecules", "dipole", "dipole_mae"),
    Loss("homo", "energies of the highest occupied orbital (eV)", "homo", "homo_mae"),
    Loss("lumo", "energies of the lowest unoccupied orbital (eV)", "lumo", "lumo_mae"),
)
class PotentialObjective(nn.Module):
    """Losses of a `Potential` on labelled conformers.

    ``forces`` is the mean norm of the force error per atom (eV/Å): the norm keeps the loss rotation-invariant
    and, being linear far from zero, is not ruled by the few conformers with forces of tens of eV/Å.
    ``energy`` is the mean absolute error per square root of the atom number (eV). The other heads (charges e,
    HOMO and LUMO eV, dipole e·Å) exist only here, so that the features know electrons too. Of these only
    ``names`` are computed, from targets of the same names.
    """

    def __init__(self, potential: Potential, names: Collection[str] = LABELLED) -> None:
        super().__init__()
        self.potential = potential
        self.names = names
        scalars, vectors = potential.backbone.sizes
        self.charges = nn.Linear(scalars, 1)
        self.atomic_dipole = nn.Linear(vectors, 1, bias=False)
        self.orbitals = nn.Sequential(nn.Linear(scalars, 128), nn.SiLU(), nn.Linear(128, 4))

    @classmethod
    def build(cls, names: Collection[str], potential: Potential) -> PotentialObjective:
        """For a potential."""
        return cls(potential, names)

    def compute(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses of a batch."""
        return self(batch, targets)

    def forward(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        positions = batch.positions.detach().requires_grad_()
        batch = replace(batch, positions=positions)
        features = self.potential.backbone(batch)
        losses = {}
        if "forces" in self.names or "energy" in self.names:
            energy = self.potential.energy(batch, features)
        if "forces" in self.names:
            (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=True)
            wrong = batch.only_atoms((gradient + targets["forces"]).norm(dim=1))
            losses["forces"] = wrong.sum() / batch.counts.sum()
        if "energy" in self.names:
            losses["energy"] = ((energy - targets["energy"]).abs() / batch.counts.sqrt()).mean()
        if "charges" in self.names or "dipole" in self.names:
            charges = batch.only_atoms(self.charges(features.scalars)[:, 0])
        if "charges" in self.names:
            wrong = batch.only_atoms((charges - targets["charges"]).abs())
            losses["charges"] = wrong.sum() / batch.counts.sum()
        if "dipole" in self.names:
            neutral = batch.charge == 0  # an ion's dipole depends on the origin
            # So does that of charges which do not add up to zero.
            excess = charges.new_zeros(len(batch)).index_add(0, batch.molecule, charges) / batch.counts
            parts = (charges - excess[batch.molecule])[:, None] * positions
            parts = batch.only_atoms(parts + self.atomic_dipole(features.vectors)[:, :, 0])
            dipole = parts.new_zeros(len(batch), 3).index_add(0, batch.molecule, parts)
            distance = (dipole - targets["dipole"]).norm(dim=1)
            losses["dipole"] = (distance * neutral).sum() / neutral.sum().clamp(min=1)
        if "homo" in self.names or "lumo" in self.names:
            homo, lumo = self._orbitals(batch, features.scalars)
            levels = {"homo": homo, "lumo": lumo}
            losses |= {k: (v - targets[k]).abs().mean() for k, v in levels.items() if k in self.names}
        return losses

    def _orbitals(self, batch: AtomBatch, scalars: Tensor) -> tuple[Tensor, Tensor]:
        # A frontier orbital sits on some of the atoms: softmax-weighted mean of atomic levels.
        padded = batch.pad(self.orbitals(scalars))
        weights = padded[..., 2:].masked_fill((batch.flat_index < 0)[..., None], -torch.inf).softmax(1)
        homo, lumo = (weights * padded[..., :2]).sum(1).unbind(1)
        return homo - 10.0, lumo - 7.0
