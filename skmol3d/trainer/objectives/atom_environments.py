"""Atom environments: which Morgan environment each atom is the centre of."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from skmol3d.encoders.rem3di import Tokens
from skmol3d.encoders.rem3di.words import Words
from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective

IGNORED = -1
ASKED = 0.25  # of the atoms of a training batch: ten thousand classes cost more than the encoder itself


@objective(KIND, Loss("environments", "classes of ECFP and FCFP environments of atoms", "environments"))
class AtomEnvironments(EncoderPart):
    """Which Morgan environment an atom is the centre of: cross-entropy of the encoder's words.

    The substructure membership of context-aware self-supervision, with environments enumerated from the
    corpus by frequency. Labels [N, vocabularies] hold class indices, -1 for hydrogens and environments too
    rare to have a class.
    """

    def __init__(self, words: Words) -> None:
        super().__init__()
        self.heads = words.heads
        self.looked_up = words.looked_up  # a method: the words themselves are the encoder's, in states too

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> AtomEnvironments:
        """Train the words of an encoder."""
        return cls(setting.encoder.words)

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch with target ``environments``, the identifiers of its atoms."""
        classes = self.looked_up(view.targets["environments"].long())
        return {"environments": self(view.tokens, classes)}

    def forward(self, tokens: Tokens, labels: Tensor) -> Tensor:
        encoded = tokens.atoms.unpad(tokens.encoded)
        labels = labels[tokens.index]
        if self.training:
            asked = (torch.rand(len(labels), device=labels.device) < ASKED).nonzero()[:, 0]
            encoded, labels = encoded[asked], labels[asked]
        losses = []
        for head, own in zip(self.heads, labels.T, strict=True):
            # Not by selecting the known ones: a GPU waits for every selection, as its size is not known.
            total = cross_entropy(head(encoded), own, reduction="sum", ignore_index=IGNORED)
            losses.append(total / (own != IGNORED).sum().clamp(min=1))
        return torch.stack(losses).mean()
