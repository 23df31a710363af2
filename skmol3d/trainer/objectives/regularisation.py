"""Variance and covariance regularisation of a descriptor, and its effective dimension."""

from __future__ import annotations

import torch
from torch import Tensor


def variance_covariance(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Terms of VICReg (arXiv:2105.04906) for rows [B, D].

    Returns
    -------
    variance : Tensor
        Mean over columns of relu(1 − standard deviation).
    covariance : Tensor
        Sum of squared off-diagonal covariances over D².
    """
    centred = rows - rows.mean(0)
    variance = torch.relu(1.0 - (centred.square().mean(0) + 1e-4).sqrt()).mean()
    covariance = centred.T @ centred / max(len(rows) - 1, 1)
    off_diagonal = covariance.square().sum() - covariance.diagonal().square().sum()
    return variance, off_diagonal / rows.shape[1] ** 2


def effective_dimension(rows: Tensor) -> float:
    """(Σλ)²/Σλ² of the covariance of rows [B, D]: how many directions carry variance."""
    singular = torch.linalg.svdvals(rows - rows.mean(0)).square()
    return float(singular.sum().square() / singular.square().sum())
