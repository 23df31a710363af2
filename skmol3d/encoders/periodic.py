"""Atoms of a periodic cell as input of backbones that were trained on molecules."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch, Edges, radius_edges


@dataclass(frozen=True)
class PeriodicBatch(AtomBatch):
    """One crystal: an `AtomBatch` of one "molecule" that goes on in all directions.

    Attributes
    ----------
    cell : Tensor of shape [3, 3]
        Cell vectors as rows, Å. Opposite faces must be at least as far apart as the backbone's cutoff, so
        that no atom is its own neighbour: repeat the cell if they are closer.
    """

    cell: Tensor = field(kw_only=True)


@radius_edges.register
def _(batch: PeriodicBatch, cutoff: float) -> Edges:
    inverse = torch.linalg.inv(batch.cell)
    if (1 / inverse.norm(dim=0)).min() < cutoff:
        raise ValueError(f"the cell is narrower than the cutoff of {cutoff:g} Å; repeat it")
    with torch.no_grad():
        # The nearest image and those around it hold all neighbours in a cell as wide as the cutoff.
        ways = (batch.positions[:, None] - batch.positions) @ inverse
        steps = torch.tensor([-1.0, 0.0, 1.0], device=ways.device, dtype=ways.dtype)
        images = torch.cartesian_prod(steps, steps, steps)
        moves = (images - ways.round()[:, :, None]) @ batch.cell
        apart = batch.positions[:, None, None] - batch.positions[:, None] + moves
        target, source, image = (apart.square().sum(-1) < cutoff**2).nonzero(as_tuple=True)
        move = moves[target, source, image]
        itself = target == source
    difference = batch.positions.index_select(0, target) - batch.positions.index_select(0, source) + move
    squared = difference.square().sum(-1)
    distance = torch.where(itself, 1.0, squared).sqrt()
    direction = torch.where(itself[:, None], 0.0, difference / distance[:, None])
    return Edges(source, target, torch.where(itself, 0.0, distance), direction)
