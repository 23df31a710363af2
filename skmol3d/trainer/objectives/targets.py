"""Informative targets by linear read-outs of tokens and descriptors: a ridge regression finds them too."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from skmol3d.encoders.rem3di import Tokens
from skmol3d.encoders.rem3di.words import Words

IGNORED = -1


class AtomEnvironments(nn.Module):
    """Which Morgan environment an atom is the centre of: cross-entropy of the encoder's words.

    The substructure membership of context-aware self-supervision, with environments enumerated from the
    corpus by frequency. Labels [N, vocabularies] hold class indices, -1 for hydrogens and environments too
    rare to have a class.
    """

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.heads = words.heads

    def forward(self, tokens: Tokens, labels: Tensor) -> Tensor:
        encoded = tokens.encoded[tokens.real]
        labels = labels[tokens.index].long()
        losses = []
        for k, head in enumerate(self.heads):
            known = labels[:, k] != IGNORED
            total = cross_entropy(head(encoded[known]), labels[known, k], reduction="sum")
            losses.append(total / known.sum().clamp(min=1))
        return torch.stack(losses).mean()


class MolecularTargets(nn.Module):
    """Linear prediction of standardised molecular targets [B, T]; NaN where one is unknown."""

    def __init__(self, descriptor: int, targets: int) -> None:
        super().__init__()
        self.head = nn.Linear(descriptor, targets)

    def forward(self, descriptor: Tensor, targets: Tensor) -> Tensor:
        known = torch.isfinite(targets)
        error = self.head(descriptor) - torch.where(known, targets, 0.0)
        return (error.square() * known).sum() / known.sum().clamp(min=1)


class Handedness(nn.Module):
    """CIP label of stereocentres (+1 R, -1 S) from the pseudoscalars alone, through an odd map.

    The logit changes sign under reflection as the label does; labels [N] are 0 where there is no
    stereocentre.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels, 1, bias=False)

    def forward(self, tokens: Tokens, labels: Tensor) -> Tensor:
        labels = labels[tokens.index].float()
        logits = self.head(tokens.pseudoscalars[tokens.real])[:, 0]
        return (softplus(-labels * logits) * labels.abs()).sum() / labels.abs().sum().clamp(min=1)
