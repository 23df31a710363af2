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


MOST_IMAGES = 20_000
"""Images of a cell that a sum may run over. Where molecules have room, some hundreds are enough."""

AT_ONCE = 4_000_000
"""Distances that are looked at together; `MORE` on a CUDA device, where it is the calls that take time."""

MORE = 100_000_000


def inverse_cells(cells: Tensor) -> Tensor:
    """Reciprocal vectors [B, 3, 3] as columns; not finite for flat cells, where `torch.linalg.inv` raises."""
    a, b, c = cells.unbind(1)
    columns = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    return torch.stack(columns, 2) / torch.linalg.det(cells)[:, None, None]


def refuse_flat_cells(cells: Tensor, extents: Tensor) -> None:
    """Raise ValueError if a sum over -extents ... extents [B, 3] images of cells [B, 3, 3] would not end."""
    images = (2 * extents.double() + 1).prod(1)
    flat = ~(images <= MOST_IMAGES)  # NaN is flat, too
    if flat.any():
        k = int(flat.nonzero()[0, 0])
        sides = ", ".join(f"{length:.3g}" for length in cells[k].norm(dim=1).tolist())
        volume = abs(torch.linalg.det(cells[k]).item())
        raise ValueError(
            f"crystal {k}: its cell (sides of {sides} Å, {volume:.3g} Å³) is too flat, or too skewed:"
            f" more than {MOST_IMAGES:,} images of it would have to be looked at"
        )


@radius_edges.register
def _(batch: PeriodicBatch, cutoff: float) -> Edges:
    with torch.no_grad():
        inverse = inverse_cells(batch.cells)
        # Planes of the lattice that a sphere of this radius touches, around the nearest image.
        extents = (cutoff * inverse.norm(dim=1) + 0.5).floor()
        refuse_flat_cells(batch.cells, extents)
        most = extents.amax(0, keepdim=True)
        refuse_flat_cells(batch.cells[extents.prod(1).argmax()][None], most)
        steps = [torch.arange(-int(n), int(n) + 1, device=inverse.device) for n in most[0]]
        images = torch.cartesian_prod(*steps).to(inverse)
        index, padded = batch.flat_index, batch.pad(batch.positions)
        real = index >= 0
        both = real[:, :, None] & real[:, None]
        ways = padded[:, :, None] - padded[:, None]
        nearest = (ways @ inverse[:, None]).round()
        ways = ways - nearest @ batch.cells[:, None]
        found = []
        at_once = MORE if images.is_cuda else AT_ONCE
        for part in images.split(max(1, at_once // both.numel())):
            moves = part @ batch.cells
            close = (ways[:, :, :, None] + moves[:, None, None]).square().sum(-1) < cutoff**2
            crystal, i, j, image = (close & both[..., None]).nonzero(as_tuple=True)
            found.append((crystal, i, j, part[image] - nearest[crystal, i, j]))
        crystal, i, j, step = (torch.cat(each) for each in zip(*found, strict=True))
        target, source = index[crystal, i], index[crystal, j]
        itself = (target == source) & (step == 0).all(1)
    move = (step[:, None] @ batch.cells.index_select(0, crystal))[:, 0]
    difference = batch.positions.index_select(0, target) - batch.positions.index_select(0, source) + move
    squared = difference.square().sum(-1)
    distance = torch.where(itself, 1.0, squared).sqrt()
    direction = torch.where(itself[:, None], 0.0, difference / distance[:, None])
    return Edges(source, target, torch.where(itself, 0.0, distance), direction, itself)
