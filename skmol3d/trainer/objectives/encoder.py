"""All losses a `REM3DI` encoder can be pretrained on; a recipe's weights say which are computed."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.trainer.data.corpus import CorpusStatistics, fingerprint_counts
from skmol3d.trainer.objectives.atom_denoising import AtomDenoising
from skmol3d.trainer.objectives.global_frame import GlobalFrame
from skmol3d.trainer.objectives.regularisation import variance_covariance
from skmol3d.trainer.objectives.substructures import MASK, SubstructureMembership, mask_elements
from skmol3d.trainer.objectives.targets import AtomEnvironments, Handedness, MolecularTargets

GEOMETRY = ("distances", "angles", "dihedrals")
LOSSES = (
    "denoising",
    "environments",
    "descriptors",
    "fingerprint",
    "electronic",
    "handedness",
    "substructures",
    *GEOMETRY,
    "variance",
    "covariance",
)
ELECTRONIC = 3  # HOMO, LUMO and dipole


class EncoderObjective(nn.Module):
    """Pretraining losses of a `REM3DI` encoder over a frozen backbone.

    Parameters
    ----------
    encoder : REM3DI
    statistics : CorpusStatistics
    losses : collection of str
        Names out of `LOSSES`.
    masked : float
        Share of heavy atoms whose elements ``substructures`` hides, in a pass of its own.
    """

    def __init__(
        self, encoder: REM3DI, statistics: CorpusStatistics, losses: Collection[str], masked: float = 0.15
    ) -> None:
        super().__init__()
        unknown = sorted(set(losses) - set(LOSSES))
        if unknown:
            raise ValueError(f"recipe.weights: no such losses {unknown}; there are {', '.join(LOSSES)}")
        self.encoder = encoder
        self.encoder.backbone.requires_grad_(False)
        self.statistics, self.losses, self.masked = statistics, frozenset(losses), masked
        size, config = encoder.pool.size, encoder.config
        # Read-outs see standardised columns, as a user's ridge regression does.
        self.standardise = RunningStandardiser(size)
        parts: dict[str, nn.Module] = {
            "denoising": AtomDenoising(encoder, size),
            "environments": AtomEnvironments(encoder.words),
            "descriptors": MolecularTargets(size, statistics.descriptors),
            "fingerprint": MolecularTargets(size, statistics.bits),
            "electronic": MolecularTargets(size, ELECTRONIC),
            "handedness": Handedness(config.chiral),
            "substructures": SubstructureMembership(config.width),
        }
        self.parts = nn.ModuleDict({name: part for name, part in parts.items() if name in losses})
        if not self.losses.isdisjoint(GEOMETRY):
            self.parts["frame"] = GlobalFrame(config.width, config.chiral)
        if "substructures" in losses:
            give_mask_an_embedding(encoder)

    def forward(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        parts, labels = self.parts, self.statistics
        tokens = self.encoder.tokens(batch)
        raw = self.encoder.invariant(tokens).float()  # statistics, also in mixed precision
        descriptor = self.standardise(raw)
        found: dict[str, Tensor] = {}
        if "denoising" in parts:
            found["denoising"] = parts["denoising"](tokens, descriptor)
        if "environments" in parts:
            found["environments"] = parts["environments"](tokens, labels.classified(targets["environments"]))
        if "descriptors" in parts:
            wanted = labels.standardised(targets["descriptors"])
            found["descriptors"] = parts["descriptors"](descriptor, wanted)
        if "fingerprint" in parts:
            counts = labels.scaled(fingerprint_counts(batch, targets["environments"], labels.bits))
            found["fingerprint"] = parts["fingerprint"](descriptor, counts)
        if "electronic" in parts:
            found["electronic"] = parts["electronic"](descriptor, targets["electronic"])
        if "handedness" in parts:
            found["handedness"] = parts["handedness"](tokens, targets["handedness"])
        if "substructures" in parts:
            hidden, _ = mask_elements(batch, self.masked)
            found["substructures"] = parts["substructures"](
                self.encoder.tokens(hidden), targets["membership"]
            )
        if "frame" in parts:
            found |= {k: v for k, v in parts["frame"](tokens).items() if k in self.losses}
        if not self.losses.isdisjoint(("variance", "covariance")):
            both = zip(("variance", "covariance"), variance_covariance(raw, joint=self.training), strict=True)
            found |= {k: v for k, v in both if k in self.losses}
        return found


class RunningStandardiser(nn.Module):
    """Standardise columns by running statistics, also in training: batches are too small for their own."""

    mean: Tensor
    variance: Tensor

    def __init__(self, size: int, momentum: float = 0.02) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))

    def forward(self, rows: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(rows.mean(0), self.momentum)
                self.variance.lerp_((rows - self.mean).square().mean(0), self.momentum)
        return (rows - self.mean) / (self.variance + 1e-4).sqrt()


def give_mask_an_embedding(encoder: REM3DI) -> None:
    """Make the masked element an average one: the frozen backbone never saw it, and cannot learn it now."""
    elements = list(encoder.elements)
    for module in encoder.backbone.modules():
        if isinstance(module, nn.Embedding):
            with torch.no_grad():
                module.weight[MASK] = module.weight[elements].mean(0)
