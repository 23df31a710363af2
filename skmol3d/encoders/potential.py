"""A potential: a backbone with an energy head, whose gradient is the force."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import MAX_NUMBER, AtomBatch, AtomFeatures, full_precision
from skmol3d.encoders.backbones import AnyBackboneConfig, EquivariantTransformerConfig, build_backbone


@dataclass(frozen=True)
class PotentialConfig:
    """Config of a `Potential`: its backbone."""

    backbone: AnyBackboneConfig = field(default_factory=EquivariantTransformerConfig)


def energy_head(width: int) -> nn.Sequential:
    """The perceptron from ``width`` scalars of an atom to its energy, eV; ValueError if there are none."""
    if not width:
        raise ValueError("a backbone that gives energies itself has no scalars for another energy head")
    return nn.Sequential(nn.Linear(width, width // 2), nn.SiLU(), nn.Linear(width // 2, 1))


class Potential(nn.Module):
    """A backbone with an energy head; forces are the exact negative gradient of the energy.

    The energy of a molecule is the sum of a reference energy per element (fixed, from a least-squares fit on
    the training set) and a learned energy per atom. A backbone without `energy_scalars` has a head of its own
    and gives these energies with its features.
    """

    name: ClassVar[str] = "potential"
    version: ClassVar[int] = 1
    Config: ClassVar[type] = PotentialConfig
    element_energy: Tensor

    def __init__(self, config: PotentialConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone)
        width = len(self.backbone.energy_scalars)
        self.head = energy_head(width) if width else None
        self.register_buffer("element_energy", torch.zeros(MAX_NUMBER))

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers the weights were trained on."""
        return self.config.backbone.elements

    def output_blocks(self) -> dict[str, int]:
        """One column: the energy."""
        return {"energy": 1}

    def forward(self, batch: AtomBatch) -> Tensor:
        """Energies [B, 1], eV."""
        return self.energy(batch)[:, None]

    @full_precision
    def energy(self, batch: AtomBatch, features: AtomFeatures | None = None) -> Tensor:
        """Energies [B], eV; ``features`` saves the backbone's work where it has been done."""
        features = self.backbone(batch) if features is None else features
        learned = features.energies
        if self.head is not None:
            learned = self.head(self.energy_scalars(features))[:, 0]
        if learned is None:
            raise TypeError(f"{type(self.backbone).__name__} has neither energy_scalars nor energies")
        atomic = batch.only_atoms(learned + self.element_energy[batch.numbers])
        return atomic.new_zeros(len(batch)).index_add(0, batch.molecule, atomic)

    def energy_scalars(self, features: AtomFeatures) -> Tensor:
        """What the energy head reads of a backbone's features [N, width]."""
        read = self.backbone.energy_scalars
        return features.scalars[:, read.start : read.stop]

    def energy_and_forces(self, batch: AtomBatch) -> tuple[Tensor, Tensor]:
        """Energies [B] in eV and forces [N, 3] in eV/Å."""
        with torch.enable_grad():
            positions = batch.positions.detach().requires_grad_()
            moved = AtomBatch(batch.numbers, positions, batch.counts, batch.charge, batch.bonds)
            energy = self.energy(moved)
            (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=self.training)
        return energy, -gradient

    @classmethod
    def upgrade(
        cls, config: dict[str, Any], state: dict[str, Tensor], version: int
    ) -> tuple[dict[str, Any], dict]:
        """Nothing to upgrade: this is the first version."""
        return config, state
