"""Atom environments: which Morgan environment each atom is the centre of."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from skmol3d.encoders.rem3di import Tokens
from skmol3d.encoders.rem3di.words import Words
from skmol3d.trainer.data.corpus import CorpusStatistics
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

    def __init__(self, words: Words, statistics: CorpusStatistics | None = None) -> None:
        super().__init__()
        self.heads, self.statistics = words.heads, statistics

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> AtomEnvironments:
        """Train the words of an encoder."""
        return cls(setting.encoder.words, setting.statistics)

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch with target ``environments``, the identifiers of its atoms."""
        assert self.statistics is not None
        return {"environments": self(view.tokens, self.statistics.classified(view.targets["environments"]))}

    def forward(self, tokens: Tokens, labels: Tensor) -> Tensor:
        encoded = tokens.encoded[tokens.real]
        labels = labels[tokens.index].long()
        if self.training:
            asked = torch.rand(len(labels), device=labels.device) < ASKED
            encoded, labels = encoded[asked], labels[asked]
        losses = []
        for k, head in enumerate(self.heads):
            known = labels[:, k] != IGNORED
            total = cross_entropy(head(encoded[known]), labels[known, k], reduction="sum")
            losses.append(total / known.sum().clamp(min=1))
        return torch.stack(losses).mean()
