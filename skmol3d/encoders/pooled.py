"""A backbone's invariant features, pooled by plain statistics: an encoder without weights of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.protocols import Backbone


class PooledBackbone:
    """Statistics over all atoms of each molecule, hydrogens included.

    Parameters
    ----------
    backbone : Backbone
        On any device.
    elements : tuple of int
        Atomic numbers that the backbone was trained on.
    """

    STATISTICS: ClassVar[dict[str, Callable[[Tensor], Tensor]]] = {
        "mean": lambda scalars: scalars.mean(0),
        "std": lambda scalars: scalars.std(0, correction=0),
        "max": lambda scalars: scalars.amax(0),
        "min": lambda scalars: scalars.amin(0),
        "sum": lambda scalars: scalars.sum(0),
    }

    def __init__(self, backbone: Backbone, elements: tuple[int, ...]) -> None:
        self.backbone = backbone
        self.elements = elements

    def output_blocks(self) -> dict[str, int]:
        """Names and sizes of the blocks: each statistic of the S scalars."""
        return dict.fromkeys(self.STATISTICS, self.backbone.sizes[0])

    def __call__(self, batch: AtomBatch) -> Tensor:
        """Rows [B, 5 S]."""
        molecules = self.backbone(batch).scalars.split(batch.counts.tolist())
        return torch.stack(
            [torch.cat([pool(scalars) for pool in self.STATISTICS.values()]) for scalars in molecules]
        )
