"""Properties of the molecule that the network has learned to estimate, as columns of their own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skmol3d.encoders.rem3di.dense import rounded

PENALTY = 0.03  # of the ridge regression, per molecule
PLAIN = 132  # of RDKit's list come first; the others count functional groups, which words do
TEST = 5  # one molecule in so many judges which descriptors are estimated well


class Properties(nn.Module):
    """Estimates of RDKit's 2D descriptors, linear in the pooled columns and rounded.

    The same knowledge as in `Compression`, along directions that mean something: a tree finds in one column
    what it would have to put together from many mixed ones.

    Parameters
    ----------
    columns, size : int
        ``size`` estimates of ``columns`` standardised columns; those that are best on molecules left out.
    """

    index: Tensor
    matrix: Tensor
    offset: Tensor

    def __init__(self, columns: int, size: int) -> None:
        super().__init__()
        self.size = size
        kept = size > 0  # checkpoints of before have none of it
        self.register_buffer("index", torch.arange(size), persistent=kept)
        self.register_buffer("matrix", torch.zeros(columns if size else 0, size), persistent=kept)
        self.register_buffer("offset", torch.zeros(size), persistent=kept)

    def forward(self, standard: Tensor) -> Tensor:
        """Estimates [B, size] in standard deviations, of standardised columns [B, columns]."""
        return rounded(standard @ self.matrix + self.offset)

    @torch.no_grad()
    def fit(self, standard: Tensor, descriptors: Tensor) -> None:
        """Learn from columns [M, columns] and descriptors [M, T] of training molecules."""
        x, y = standard.double(), descriptors[:, :PLAIN].double()
        # Single molecules must not rule a column, nor those for which it is undefined.
        low, high = (torch.nanquantile(y[:: 1 + len(y) // 4096], q, 0) for q in (0.01, 0.99))
        y = torch.minimum(torch.maximum(y, low), high)
        y = torch.where(y.isfinite(), y - y.nanmean(0), 0.0)
        spread = y.std(0)
        y = y / spread.clamp(min=1e-6)
        test = torch.arange(len(x)) % TEST == 0
        missed = (x[test] @ _ridge(x[~test], y[~test]) - y[test]).square().mean(0)
        missed[spread <= 1e-6] = torch.inf  # nothing to estimate, which is easy
        best = missed.argsort(stable=True)[: self.size].sort().values
        matrix = _ridge(x, y[:, best])
        found = x @ matrix
        scale = found.std(0).clamp(min=1e-6)
        self.index.copy_(best)
        self.matrix.copy_(matrix / scale)
        self.offset.copy_(-(found / scale).mean(0))


def _ridge(x: Tensor, y: Tensor) -> Tensor:
    penalty = PENALTY * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    return torch.linalg.solve(x.T @ x + penalty, x.T @ y)
