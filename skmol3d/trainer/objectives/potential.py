"""Objectives of kind ``potential`` together, over one potential; a recipe's weights say which."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.potential import Potential
from skmol3d.trainer.objectives import registry

KIND = "potential"


class PotentialObjectives(nn.Module):
    """Losses ``names`` over one potential; only these are computed.

    Parameters
    ----------
    potential : Potential
    names : collection of str
        Out of ``registry.losses("potential")``.

    Attributes
    ----------
    parts : ModuleDict
        The objectives that have these losses.
    """

    def __init__(self, potential: Potential, names: Collection[str]) -> None:
        super().__init__()
        self.potential = potential
        self.names = names
        self.parts = registry.build(KIND, names, potential)

    def forward(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        losses: dict[str, Tensor] = {}
        part: Any
        for part in self.parts.values():
            losses |= part.compute(batch, targets)
        return losses
