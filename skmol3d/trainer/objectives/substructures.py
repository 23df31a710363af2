"""Context-aware self-supervision: which substructures an atom belongs to, with masked elements."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from skmol3d.encoders.atoms import MAX_NUMBER, AtomBatch
from skmol3d.encoders.rem3di import Tokens

MASK = MAX_NUMBER - 1
"""Atomic number of a masked atom: oganesson, which no molecule has; not 0, so that it counts as heavy."""


class Substructure(NamedTuple):
    """One line of ``substructures.csv``."""

    name: str
    smarts: str
    example: str


def read_substructures() -> list[Substructure]:
    """The shipped list, frozen: labels of packed sets are its columns.

    Functional groups, rings and environments written down by hand; kept are those that occur in 0.85 % or
    more of 4,000 molecules of the pretraining corpus and whose atoms are not nearly those of another (Jaccard
    index at most 0.85). Each comes with the SMILES of an example.
    """
    path = Path(__file__).with_name("substructures.csv")
    with path.open(newline="", encoding="utf-8") as file:
        return [Substructure(**row) for row in csv.DictReader(file)]


class SubstructureMembership(nn.Module):
    """Binary cross-entropy of each atom's membership in each substructure, through a linear read-out.

    The context task of context- and geometry-aware self-supervision of 3D conformers (the poster that also
    gives `global_frame` its task; 304 SMARTS there, their list unpublished). Mean over heavy atoms and
    substructures.

    Parameters
    ----------
    width : int
        Channels of an encoded token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.substructures = len(read_substructures())
        self.head = nn.Linear(width, self.substructures)

    def forward(self, tokens: Tokens, membership: Tensor) -> Tensor:
        """Loss of labels ``membership``, uint8 [N, ⌈K/8⌉] for all atoms as `numpy.packbits` wrote them."""
        heavy = tokens.atoms.numbers != 1
        if not heavy.any():
            return self.head.weight.sum() * 0.0
        labels = unpack_bits(membership[tokens.index[heavy]], self.substructures)
        logits = self.logits(tokens)[heavy]
        return binary_cross_entropy_with_logits(logits, labels.to(logits))

    def logits(self, tokens: Tokens) -> Tensor:
        """Log-odds of membership [T, K] of the tokens ``tokens.index``."""
        return self.head(tokens.encoded[tokens.real])


def mask_elements(
    batch: AtomBatch, share: float, generator: torch.Generator | None = None
) -> tuple[AtomBatch, Tensor]:
    """Hide the element of a random ``share`` of the heavy atoms; BoolTensor [N] says of which.

    Hydrogens keep theirs: a bond length of 1 Å gives it away, and encoders leave them out of the tokens.
    """
    drawn = torch.rand(len(batch.numbers), device=batch.numbers.device, generator=generator)
    masked = (drawn < share) & (batch.numbers > 1)
    return dataclasses.replace(batch, numbers=torch.where(masked, MASK, batch.numbers)), masked


def unpack_bits(packed: Tensor, count: int) -> Tensor:
    """The first ``count`` bits of rows that `numpy.packbits` packed: uint8 [N, ⌈count/8⌉] -> [N, count]."""
    if packed.shape[1] != -(-count // 8):
        raise ValueError(
            f"labels of {count} substructures take {-(-count // 8)} bytes per atom, got {packed.shape[1]}: "
            "pack the set again with the shipped list"
        )
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=packed.device)
    return (packed[:, :, None] >> shifts & 1).flatten(1)[:, :count]


def auroc(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Area under the ROC curve of each column of ``scores`` [N, K] against 0/1 ``labels`` [N, K].

    From the ranks of the positives (Mann-Whitney), ties sharing theirs; NaN for columns of one class.
    """
    labels = np.asarray(labels, bool)
    ranks = np.stack([_ranks(column) for column in np.asarray(scores).T], 1)
    positives = labels.sum(0)
    pairs = positives * (len(labels) - positives)
    wins = (ranks * labels).sum(0) - positives * (positives + 1) / 2
    return np.divide(wins, pairs, out=np.full(labels.shape[1], np.nan), where=pairs > 0)


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (below + up_to + 1) / 2
