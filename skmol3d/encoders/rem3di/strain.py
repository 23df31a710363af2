"""What a conformer's energy is above what its atoms and substructures let expect."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import MAX_NUMBER, AtomBatch, full_precision
from skmol3d.encoders.potential import energy_head

STEP = 0.02  # eV: finer than conformers differ, coarser than rounding
LIMIT = 4.0  # eV: beyond it a molecule is foreign to the potential or to the words, and the rest is no strain
PENALTY = 0.1
FOREIGN = 5.0  # median absolute deviations, beyond which a molecule does not count in the fit
ROUNDS = 4


class Strain(nn.Module):
    """Energy of the potential, less a linear function of the elements and words counted in the molecule.

    Between molecules it is what additivity misses, their strain and conjugation; between the conformers of
    one molecule, whose counts are the same, differences are those of the potential's energy. Both are of a
    few tenths of an electron volt, where energies themselves are thousands.

    Parameters
    ----------
    width : int
        Scalars that the potential's energy head reads.
    words : int
        Columns of the block `words`.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        self.head = energy_head(width).requires_grad_(False)
        self.register_buffer("weight", torch.zeros(MAX_NUMBER + words))
        self.register_buffer("bias", torch.zeros(1))

    @full_precision
    def energy(self, batch: AtomBatch, scalars: Tensor) -> Tensor:
        """Energies [B] without those of free atoms, eV, from the scalars [N, width] the head reads."""
        learned = self.head(scalars)[:, 0]
        return learned.new_zeros(len(batch)).index_add(0, batch.molecule, learned)

    def counts(self, batch: AtomBatch, words: Tensor) -> Tensor:
        """Numbers of atoms of each element and of each word [B, MAX_NUMBER + words]."""
        elements = words.new_zeros(len(batch), MAX_NUMBER)
        ones = words.new_ones(len(batch.numbers))
        elements.index_put_((batch.molecule, batch.numbers), ones, accumulate=True)
        return torch.cat([elements, words], 1)

    @full_precision
    def forward(self, batch: AtomBatch, scalars: Tensor, words: Tensor) -> Tensor:
        """Rows [B, 1], eV, in whole multiples of `STEP` up to `LIMIT`."""
        expected = self.counts(batch, words) @ self.weight + self.bias
        above = (self.energy(batch, scalars) - expected).clamp(-LIMIT, LIMIT)
        return (above / STEP).round()[:, None] * STEP

    @torch.no_grad()
    def fit(self, counts: Tensor, energies: Tensor) -> None:
        """Learn what is expected from counts [M, ...] and energies [M] of training molecules."""
        x, y = counts.double(), energies.double()
        kept = torch.ones(len(y), dtype=torch.bool, device=y.device)
        for _ in range(ROUNDS):
            mean, centre = x[kept].mean(0), y[kept].mean()
            own = x[kept] - mean
            penalty = PENALTY * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
            weight = torch.linalg.solve(own.T @ own + penalty, own.T @ (y[kept] - centre))
            left = (y - centre - (x - mean) @ weight).abs()
            kept = left <= FOREIGN * left.median()
        self.weight.copy_(weight)
        self.bias.copy_(centre - mean @ weight)
