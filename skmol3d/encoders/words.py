"""Counts of learned words: which substructure each atom is the centre of, as whole numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Words(nn.Module):
    """Count how many atoms take each class of several vocabularies.

    A linear map per vocabulary names the class of every atom; the counts of the classes are the columns. They
    are whole numbers on purpose: trees split on sparse counts far better than on dense columns, of which
    every one tells all molecules apart. An atom whose surroundings are too rare to have a class would count
    as some other: atoms without a clear class do not count.

    Parameters
    ----------
    width : int
        Channels of an atom.
    classes : tuple of int
        Classes of each vocabulary, the most frequent first.
    columns : int
        Most columns of a vocabulary. Class k counts in column k % columns: frequent classes have a column of
        their own or share it with rare ones.
    confidence : float
        Probability that an atom's class must exceed to count.
    """

    def __init__(self, width: int, classes: tuple[int, ...], columns: int, confidence: float) -> None:
        super().__init__()
        self.confidence = confidence
        self.heads = nn.ModuleList(nn.Linear(width, n) for n in classes)
        self.columns = tuple(min(n, columns) for n in classes)

    def forward(self, atoms: Tensor, molecule: Tensor, size: int) -> Tensor:
        """Counts [size, sum(columns)] of atoms [N, width] that belong to ``molecule`` [N]."""
        blocks = []
        for head, columns in zip(self.heads, self.columns, strict=True):
            probability, word = head(atoms).softmax(1).max(1)
            clear = (probability > self.confidence).to(atoms)
            counts = atoms.new_zeros(size * columns)
            counts = counts.index_add(0, molecule * columns + word % columns, clear)
            blocks.append(counts.view(size, columns))
        return torch.cat(blocks, 1)
