"""Molecules of one padded size: all shapes are known beforehand, and a GPU can replay what it recorded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch, Edges, radius_edges


@dataclass(frozen=True)
class GridBatch(AtomBatch):
    """An `AtomBatch` that keeps its padding: ``numbers`` [B · L] are 0 where there is no atom.

    Attributes
    ----------
    counts : LongTensor of shape [B]
        Atoms per molecule, without padding; molecule m owns the first ``counts[m]`` of its L places.
    """

    def __post_init__(self) -> None:
        if len(self.numbers) % len(self.counts) or self.bonds is not None or self.environments is not None:
            raise ValueError("a grid has equally many places for all molecules, and neither bonds nor words")

    def to(self, device: torch.device | str) -> GridBatch:
        """Copy to ``device``."""
        return GridBatch(*(v.to(device) for v in (self.numbers, self.positions, self.counts, self.charge)))

    @cached_property
    def _grid(self) -> tuple[int, int]:
        return len(self), len(self.numbers) // len(self)

    @cached_property
    def molecule(self) -> Tensor:
        """LongTensor [B · L]."""
        molecules = torch.arange(len(self), device=self.counts.device)
        return molecules[:, None].expand(self._grid).reshape(-1)

    @cached_property
    def slot(self) -> Tensor:
        """LongTensor [B · L]."""
        places = torch.arange(self._grid[1], device=self.counts.device)
        return places.expand(self._grid).reshape(-1)

    @cached_property
    def real(self) -> Tensor:
        """BoolTensor [B, L]: places that hold an atom."""
        return self.slot.view(self._grid) < self.counts[:, None]

    @cached_property
    def flat_index(self) -> Tensor:
        """LongTensor [B, L]."""
        own = torch.arange(len(self.numbers), device=self.counts.device).view(self._grid)
        return torch.where(self.real, own, -1)

    def only_atoms(self, values: Tensor) -> Tensor:
        """Values [B · L, ...] with zeros for padding."""
        return values * self.real.view(-1, *(1,) * (values.dim() - 1))


@radius_edges.register
def _(batch: GridBatch, cutoff: float) -> Edges:
    """All pairs of places [B · L · L]; ``itself`` is true of padding, too, and far pairs are there."""
    molecules, longest = batch._grid
    places = torch.arange(len(batch.numbers), device=batch.counts.device).view(molecules, longest)
    target = places[:, :, None].expand(-1, -1, longest).reshape(-1)
    source = places[:, None].expand(-1, longest, -1).reshape(-1)
    positions = batch.positions.view(molecules, longest, 3)
    difference = (positions[:, :, None] - positions[:, None]).view(-1, 3)
    other = batch.real[:, :, None] & batch.real[:, None]
    other = other & ~torch.eye(longest, dtype=torch.bool, device=other.device)
    itself = ~other.view(-1)
    distance = torch.where(itself, 1.0, difference.square().sum(-1)).sqrt()
    # Between padding and an atom there is a difference, but no direction.
    direction = torch.where(itself[:, None], 0.0, difference / distance[:, None])
    return Edges(source, target, torch.where(itself, 0.0, distance), direction, itself)
