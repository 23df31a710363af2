"""Many correlated columns as few that serve any head: principal directions, mixed evenly, on a few levels."""

from __future__ import annotations

import torch
from scipy.linalg import hadamard
from torch import Tensor, nn

CLIP = 5.0  # standard deviations
STEP = 0.5  # standard deviations: coarser costs kernels and ridge more than it gives forests


def rounded(columns: Tensor) -> Tensor:
    """Columns in standard deviations to whole multiples of `STEP`: few places for trees to split."""
    return (columns / STEP).round() * STEP


class Compression(nn.Module):
    """A linear map from ``columns`` standardised columns to ``size``, rounded to half standard deviations.

    The principal directions of the columns keep their variances, so that a ridge regression on standardised
    columns weighs them as it would weigh the original ones; they are mixed by a Hadamard matrix, so that all
    columns have the same variance and standardising them again changes nothing. Rounding leaves trees few
    places to split.

    Parameters
    ----------
    columns, size : int
        ``size`` is a power of two, or 0 for no compression.

    Raises
    ------
    ValueError
        If there are fewer columns than are to be made of them.
    """

    mean: Tensor
    scale: Tensor
    matrix: Tensor

    def __init__(self, columns: int, size: int) -> None:
        super().__init__()
        if size > columns:
            raise ValueError(f"{columns} columns cannot be compressed to {size}")
        self.size = size
        self.register_buffer("mean", torch.zeros(columns if size else 0))
        self.register_buffer("scale", torch.ones(columns if size else 0))
        self.register_buffer("matrix", torch.zeros(columns, size) if size else torch.zeros(0, 0))

    def forward(self, standard: Tensor) -> Tensor:
        """Compressed rows [B, size] of `standardised` ones [B, columns]."""
        return rounded(standard @ self.matrix)

    def standardised(self, rows: Tensor) -> Tensor:
        """Rows [B, columns] in standard deviations, bounded."""
        return ((rows - self.mean) / self.scale).clamp(-CLIP, CLIP)

    @torch.no_grad()
    def fit(self, rows: Tensor) -> None:
        """Measure over ``rows`` [M, columns] of training molecules.

        Raises
        ------
        ValueError
            If there are not more rows than columns to make.
        """
        if len(rows) <= self.size:
            raise ValueError(f"{self.size} columns cannot be fitted to {len(rows)} molecules")
        rows = rows.double()
        mean, deviation = rows.mean(0), rows.std(0)
        # A column that is constant tells nothing, and must not when it moves by rounding.
        varies = deviation > 1e-5 * (1 + mean.abs())
        scale = torch.where(varies, deviation, 1.0)
        standard = ((rows - mean) / scale).clamp(-CLIP, CLIP) * varies
        values, vectors = torch.linalg.eigh(standard.T @ standard / len(rows))
        values, vectors = values.flip(0)[: self.size], vectors.flip(1)[:, : self.size]
        # Directions have no sign of their own: a fit to the same molecules must find the same columns.
        vectors = vectors * vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
        mixing = torch.from_numpy(hadamard(self.size)).double() / self.size**0.5
        matrix = vectors @ mixing / values.mean().sqrt() * varies[:, None]
        self.mean.copy_(mean)
        self.scale.copy_(scale)
        self.matrix.copy_(matrix)
