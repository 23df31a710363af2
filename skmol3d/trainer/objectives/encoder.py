"""Objectives of kind ``rem3di`` together, over one encoder; a recipe's weights say which."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.encoders.rem3di.encoder import Tokens
from skmol3d.trainer.data.corpus import CorpusStatistics
from skmol3d.trainer.objectives import registry

KIND = "rem3di"


@dataclass(frozen=True)
class Setting:
    """What objectives over an encoder are made from.

    Attributes
    ----------
    encoder : REM3DI
    statistics : CorpusStatistics
        Of the targets.
    masked : float
        Share of heavy atoms whose elements ``substructures`` hides, in a pass of its own.
    """

    encoder: REM3DI
    statistics: CorpusStatistics
    masked: float


@dataclass(frozen=True)
class View:
    """What objectives see of a batch.

    Attributes
    ----------
    encoder : REM3DI
    batch : AtomBatch
    targets : dict of Tensors
    tokens : Tokens
    rows : Tensor [B, D]
        The encoder's invariant columns.
    descriptor : Tensor [B, D]
        The same, standardised.
    """

    encoder: REM3DI
    batch: AtomBatch
    targets: dict[str, Tensor]
    tokens: Tokens
    rows: Tensor
    descriptor: Tensor


class EncoderPart(nn.Module):
    """An objective over an encoder, and its marks: numbers that mean something by themselves."""

    def compute(self, view: View) -> dict[str, Tensor]:
        """Losses of a batch."""
        raise NotImplementedError

    def observe(self, view: View) -> dict[str, Tensor]:
        """What `marks` wants to know of a batch, rows by name."""
        return {}

    def marks(self, observed: dict[str, Tensor]) -> dict[str, float]:
        """Marks from the joined rows of all batches."""
        return {}


class EncoderObjective(nn.Module):
    """Pretraining losses of a `REM3DI` encoder over a frozen backbone.

    Parameters
    ----------
    encoder : REM3DI
    statistics : CorpusStatistics
    losses : collection of str
        Names out of ``registry.losses("rem3di")``.
    masked : float
        See `Setting`.

    Attributes
    ----------
    parts : ModuleDict of EncoderPart
        The objectives that have these losses.
    """

    def __init__(
        self, encoder: REM3DI, statistics: CorpusStatistics, losses: Collection[str], masked: float = 0.15
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.encoder.backbone.requires_grad_(False)
        # Read-outs see standardised columns, as a user's ridge regression does.
        self.standardise = RunningStandardiser(encoder.pool.size)
        self.parts = registry.build(KIND, losses, Setting(encoder, statistics, masked))

    def forward(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.compute(self.view(batch, targets))

    def view(self, batch: AtomBatch, targets: dict[str, Tensor]) -> View:
        """What the encoder makes of a batch."""
        tokens = self.encoder.tokens(batch)
        rows = self.encoder.invariant(tokens).float()  # statistics, also in mixed precision
        return View(self.encoder, batch, targets, tokens, rows, self.standardise(rows))

    def compute(self, view: View) -> dict[str, Tensor]:
        """Losses of all parts."""
        found: dict[str, Tensor] = {}
        for part in self.parts.values():
            assert isinstance(part, EncoderPart)
            found |= part.compute(view)
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
