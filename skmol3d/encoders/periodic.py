"""Atoms of periodic cells as input of backbones that were trained on molecules."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch, Edges, radius_edges


@dataclass(frozen=True)
class PeriodicBatch(AtomBatch):
    """Crystals: an `AtomBatch` whose "molecules" are cells that go on in all directions.

    Attributes
    ----------
    cells : Tensor of shape [B, 3, 3]
        Cell vectors as rows, Å.
    """

    cells: Tensor = field(kw_only=True)

    def to(self, device: torch.device | str) -> PeriodicBatch:
        """Copy to ``device``."""
        atoms = super().to(device)
        return PeriodicBatch(
            atoms.numbers, atoms.positions, atoms.counts, atoms.charge, cells=self.cells.to(device)
        )


@radius_edges.register
def _(batch: PeriodicBatch, cutoff: float) -> Edges:
    with torch.no_grad():
        inverse = torch.linalg.inv(batch.cells)
        # Planes of the lattice that a sphere of this radius touches, around the nearest image.
        reach = [int(x) for x in (cutoff * inverse.norm(dim=1) + 0.5).floor().amax(0)]
        steps = [torch.arange(-n, n + 1, device=inverse.device) for n in reach]
        images = torch.cartesian_prod(*steps).to(inverse)
        index, padded = batch.flat_index, batch.pad(batch.positions)
        real = index >= 0
        ways = padded[:, :, None] - padded[:, None]
        nearest = (ways @ inverse[:, None]).round()
        moves = (images - nearest[:, :, :, None]) @ batch.cells[:, None, None]
        close = (ways[:, :, :, None] + moves).square().sum(-1) < cutoff**2
        close &= (real[:, :, None] & real[:, None])[..., None]
        crystal, i, j, image = close.nonzero(as_tuple=True)
        move = moves[crystal, i, j, image]
        target, source = index[crystal, i], index[crystal, j]
        itself = (target == source) & (images[image] == 0).all(1)
    difference = batch.positions.index_select(0, target) - batch.positions.index_select(0, source) + move
    squared = difference.square().sum(-1)
    distance = torch.where(itself, 1.0, squared).sqrt()
    direction = torch.where(itself[:, None], 0.0, difference / distance[:, None])
    return Edges(source, target, torch.where(itself, 0.0, distance), direction, itself)
