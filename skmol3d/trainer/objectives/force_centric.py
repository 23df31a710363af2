"""ET-OREO: one force objective for equilibrium and off-equilibrium conformers."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.potential import Potential
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.objectives.potential import KIND
from skmol3d.trainer.objectives.registry import Loss, objective

BOLTZMANN = 8.617333262e-5  # eV/K


@objective(
    KIND,
    Loss(
        "force_centric",
        "forces (eV/Å) off equilibrium, zero and denoising forces at equilibrium (ET-OREO, arXiv:2308.14759)",
        "forces",
        "force_centric",
        per_atom=True,
    ),
)
class ForceCentric(nn.Module):
    """Mean norm of the force error per atom (eV/Å), one loss whatever the conformer (arXiv:2308.14759).

    Off equilibrium the target is the reference force; at equilibrium it is zero; half of the equilibrium
    conformers, drawn anew each time, are perturbed by δ and the target is the denoising force
    -(k_B T/σ²) δ: the force of the harmonic well in which every coordinate has spread σ at temperature T.
    The paper leaves the norm and the scale open: the norm is that of `PotentialObjective`, and at 300 K and
    σ = 0.04 Å (pretraining by denoising, arXiv:2206.00133) the well has 16 eV/Å², about the stiffness of
    bonds and angles.

    Parameters
    ----------
    potential : Potential
    noise : float
        σ, Å.
    temperature : float
        T, K.
    """

    def __init__(self, potential: Potential, noise: float = 0.04, temperature: float = 300.0) -> None:
        super().__init__()
        self.potential = potential
        self.noise = noise
        self.stiffness = BOLTZMANN * temperature / noise**2  # eV/Å²

    @classmethod
    def build(cls, names: Collection[str], potential: Potential) -> ForceCentric:
        """For a potential."""
        return cls(potential)

    def compute(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """Loss of a batch; without the target ``kind`` no conformer is at equilibrium."""
        unknown = torch.full_like(batch.counts, -1)
        equilibrium = targets.get("kind", unknown) == ConformerKind.RELAXED
        return {"force_centric": self(batch, targets["forces"], equilibrium)}

    def forward(self, batch: AtomBatch, forces: Tensor, equilibrium: Tensor) -> Tensor:
        """Loss of a batch.

        Parameters
        ----------
        batch : AtomBatch
            Conformers of both kinds.
        forces : Tensor [N, 3]
            Reference forces, eV/Å; not read where a conformer is at equilibrium.
        equilibrium : BoolTensor [B]
            Conformers that are minima of their energy.
        """
        perturbed = equilibrium & (torch.rand(len(batch), device=equilibrium.device) < 0.5)
        drawn = self.noise * torch.randn_like(batch.positions)
        shift = without_rigid_motion(batch, drawn) * perturbed[batch.molecule][:, None]
        at_rest = equilibrium[batch.molecule][:, None]
        target = torch.where(at_rest, -self.stiffness * shift, forces)
        moved = dataclasses.replace(batch, positions=batch.positions + shift)
        _, predicted = self.potential.energy_and_forces(moved)
        return (predicted - target).norm(dim=1).mean()


def without_rigid_motion(batch: AtomBatch, shift: Tensor) -> Tensor:
    """Part of ``shift`` [N, 3] that neither moves nor, to first order, turns the molecules.

    Forces of an isolated molecule sum to zero and exert no torque. With this part of the noise the denoising
    forces do so too, both about the original positions and about the shifted ones.
    """
    size, molecule = len(batch), batch.molecule
    share = 1.0 / batch.counts.to(shift)[molecule][:, None]

    def total(values: Tensor) -> Tensor:
        return values.new_zeros(size, *values.shape[1:]).index_add(0, molecule, values)

    arms = batch.positions - total(batch.positions * share)[molecule]
    shift = shift - total(shift * share)[molecule]
    momentum = total(torch.linalg.cross(arms, shift))
    squared = arms.square().sum(1)[:, None, None]
    inertia = total(squared * torch.eye(3).to(arms) - arms[:, :, None] * arms[:, None])
    # Linear molecules have no inertia about their axis, and single atoms none at all.
    inverse = torch.linalg.pinv(inertia, rtol=1e-5, hermitian=True)
    turn = (inverse @ momentum[:, :, None])[:, :, 0]
    return shift - torch.linalg.cross(turn[molecule], arms)
