"""Variance and covariance regularisation of a descriptor, and its effective dimension."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, distributed

from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective


@objective(
    KIND,
    Loss("variance", "no column of the descriptor is constant (VICReg)"),
    Loss("covariance", "columns of the descriptor are not correlated (VICReg)"),
)
class Regularisation(EncoderPart):
    """Losses ``variance`` and ``covariance`` of the invariant columns."""

    def __init__(self, names: Collection[str]) -> None:
        super().__init__()
        self.names = names

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> Regularisation:
        """For any encoder."""
        return cls(names)

    def compute(self, view: View) -> dict[str, Tensor]:
        """Losses of a batch; in training, of all processes together."""
        both = zip(("variance", "covariance"), variance_covariance(view.rows, self.training), strict=True)
        return {name: loss for name, loss in both if name in self.names}


def variance_covariance(rows: Tensor, joint: bool = False) -> tuple[Tensor, Tensor]:
    """Terms of VICReg (arXiv:2105.04906) for rows [B, D].

    Parameters
    ----------
    rows : Tensor of shape [B, D]
        One descriptor per molecule.
    joint : bool
        Whether, where several processes train together, the statistics are those of all their rows; then all
        of them must call.

    Returns
    -------
    variance : Tensor
        Mean over columns of relu(1 − standard deviation).
    covariance : Tensor
        Sum of squared off-diagonal covariances over D².
    """
    joint = joint and distributed.is_available() and distributed.is_initialized()
    # Half precision cannot count beyond 256, nor tell a small variance from a large mean.
    with torch.autocast(rows.device.type, enabled=False):
        rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
        count, total = rows.new_tensor(len(rows)), rows.sum(0)
        if joint:
            count, total = _Sum.apply(count), _Sum.apply(total)
        centred = rows - total / count
        scatter = centred.T @ centred
        if joint:
            scatter = _Sum.apply(scatter)
    variance = torch.relu(1.0 - (scatter.diagonal() / count + 1e-4).sqrt()).mean()
    covariance = scatter / (count - 1).clamp(min=1)
    off_diagonal = covariance.square().sum() - covariance.diagonal().square().sum()
    return variance, off_diagonal / rows.shape[1] ** 2


class _Sum(torch.autograd.Function):
    """Sum over processes. DDP takes the mean of their gradients, of which each holds a part: hence sums."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient


def effective_dimension(rows: Tensor) -> float:
    """(Σλ)²/Σλ² of the covariance of rows [B, D]: how many directions carry variance."""
    singular = torch.linalg.svdvals(rows - rows.mean(0)).square()
    return float(singular.sum().square() / singular.square().sum())
