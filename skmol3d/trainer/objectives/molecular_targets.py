"""Targets of whole molecules by linear read-outs of the descriptor: a ridge regression finds them too."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from skmol3d.trainer.data.corpus import ELECTRONIC, CorpusStatistics, fingerprint_counts
from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective


class MolecularTargets(EncoderPart):
    """Linear prediction of standardised molecular targets [B, T]; NaN where one is unknown."""

    def __init__(self, descriptor: int, targets: int) -> None:
        super().__init__()
        self.head = nn.Linear(descriptor, targets)

    def forward(self, descriptor: Tensor, targets: Tensor) -> Tensor:
        known = torch.isfinite(targets)
        error = self.head(descriptor) - torch.where(known, targets, 0.0)
        return (error.square() * known).sum() / known.sum().clamp(min=1)


@objective(KIND, Loss("descriptors", "RDKit's 2D descriptors (standardised)", "descriptors"))
class Descriptors(MolecularTargets):
    """Linear prediction of standardised 2D descriptors."""

    statistics: CorpusStatistics

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> Descriptors:
        """For the columns of an encoder."""
        made = cls(setting.encoder.pool.size, setting.statistics.descriptors)
        made.statistics = setting.statistics
        return made

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch with the target ``descriptors``."""
        wanted = self.statistics.standardised(view.targets["descriptors"])
        return {"descriptors": self(view.descriptor, wanted)}


@objective(KIND, Loss("fingerprint", "folded counts of ECFP environments", "environments"))
class Fingerprint(MolecularTargets):
    """Linear prediction of folded counts of environments."""

    statistics: CorpusStatistics

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> Fingerprint:
        """For the columns of an encoder."""
        made = cls(setting.encoder.pool.size, setting.statistics.bits)
        made.statistics = setting.statistics
        return made

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch with the target ``environments``."""
        counts = fingerprint_counts(view.batch, view.targets["environments"], self.statistics.bits)
        return {"fingerprint": self(view.descriptor, self.statistics.scaled(counts))}


@objective(KIND, Loss("electronic", "GFN2-xTB frontier orbitals and dipole (standardised)", "electronic"))
class Electronic(MolecularTargets):
    """Linear prediction of HOMO, LUMO and the norm of the dipole; unknown ones do not count."""

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> Electronic:
        """For the columns of an encoder."""
        return cls(setting.encoder.pool.size, ELECTRONIC)

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch with the target ``electronic``."""
        return {"electronic": self(view.descriptor, view.targets["electronic"])}
