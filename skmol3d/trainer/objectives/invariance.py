"""Conformers of one molecule have the same descriptor, as far as other losses allow."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective


@objective(KIND, Loss("invariance", "conformers of one molecule have the same descriptor (VICReg)"))
class Invariance(EncoderPart):
    """Loss ``invariance`` (arXiv:2105.04906) of the standardised invariant columns."""

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> Invariance:
        """For any encoder."""
        return cls()

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch whose targets tell ``group`` [B]; 0 if they do not."""
        if "group" not in view.targets:
            return {"invariance": 0.0 * view.descriptor.sum()}
        return {"invariance": invariance(view.descriptor, view.targets["group"])}

    def observe(self, view: View) -> dict[str, Tensor]:
        """Descriptors and molecules of a batch."""
        if "group" not in view.targets:
            return {}
        return {"rows": view.descriptor, "group": view.targets["group"]}

    def marks(self, observed: dict[str, Tensor]) -> dict[str, float]:
        """``conformer_ratio``, if molecules have several conformers."""
        ratio = conformer_ratio(observed["rows"], observed["group"]) if observed else None
        return {} if ratio is None else {"conformer_ratio": ratio}


def invariance(descriptor: Tensor, group: Tensor) -> Tensor:
    """Mean squared difference of columns [B, D] between conformers of one ``group`` [B]; 0 without pairs."""
    one, other = torch.nonzero(torch.triu(group[:, None] == group, diagonal=1), as_tuple=True)
    squared = (descriptor[one] - descriptor[other]).square().sum()
    return squared / max(len(one) * descriptor.shape[1], 1)


def conformer_ratio(rows: Tensor, group: Tensor) -> float | None:
    """Mean squared distance between conformers of one molecule over that between molecules.

    Parameters
    ----------
    rows : Tensor of shape [B, D]
        Columns; they are standardised here.
    group : Tensor of shape [B]
        The molecule of each row.

    Returns
    -------
    float or None
        None if no molecule has several conformers, or there is one molecule alone.
    """
    rows = (rows - rows.mean(0)) / rows.std(0).clamp(min=1e-6)
    squared = torch.cdist(rows, rows).square()
    same = group[:, None] == group
    pairs = torch.triu(torch.ones_like(same), diagonal=1)
    if not (same & pairs).any() or same.all():
        return None
    return float(squared[same & pairs].mean() / squared[~same & pairs].mean())
