"""The network that is fine-tuned: a frozen row, and pooled tokens of an encoder that learns in part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from skmol3d.encoders.atoms import AtomBatch, AtomFeatures
from skmol3d.estimators.finetuning.records import Record

CLIP = 6.0
"""Standard deviations, beyond which a pooled column of a new molecule is not followed."""


@dataclass(frozen=True)
class RecordBatch(AtomBatch):
    """Tokens of several conformers with the scalars [N, S] that the potential gave them."""

    scalars: Tensor | None = None

    @classmethod
    def from_records(cls, records: Sequence[Record], device: torch.device) -> RecordBatch:
        """Collate records, which all have bonds or none."""
        plain = AtomBatch.from_arrays([(r.numbers, r.positions, 0.0, r.bonds) for r in records]).to(device)
        scalars = torch.from_numpy(np.concatenate([r.scalars for r in records])).to(device)
        return cls(plain.numbers, plain.positions, plain.counts, plain.charge, plain.bonds, None, scalars)


class Recalled(nn.Module):
    """A backbone that recalls what another one computed: a potential that does not learn runs once."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.sizes: tuple[int, int] = backbone.sizes
        self.energy_scalars: range = backbone.energy_scalars

    def forward(self, batch: RecordBatch) -> AtomFeatures:
        """The recorded scalars; vectors, which invariant columns do not read, are zero."""
        assert batch.scalars is not None
        zeros = batch.scalars.new_zeros(1, 1, 1).expand(len(batch.scalars), 3, self.sizes[1])
        return AtomFeatures(batch.scalars, zeros)


class LowRank(nn.Module):
    """A frozen linear layer plus a trained product of two thin matrices, zero at first (arXiv:2106.09685)."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) * linear.in_features**-0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]."""
        found: Tensor = self.linear(x)
        return found + functional.linear(functional.linear(x, self.down), self.up)


class FineTuned(nn.Module):
    """Predictions from frozen rows and, unless only the head is trained, from tokens.

    Parameters
    ----------
    encoder : REM3DI
        Copied, without its potential.
    train : {"head", "adapters", "all"}
        What learns besides the head: nothing, low-rank adapters of the transformer's linear layers, or all
        weights between the potential and the pooled columns.
    rank : int
        Of the adapters.
    columns, outputs : int
        Columns of a standardised row; predictions for a molecule.
    width : int
        Of the two hidden layers of the head.
    dropout : float
        Before each of its layers.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, encoder: Any, train: str, rank: int, columns: int, outputs: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.encoder = None if train == "head" else _prepared(encoder, train, rank)
        pooled = 0 if self.encoder is None else self.encoder.pool.size
        self.register_buffer("mean", torch.zeros(pooled))
        self.register_buffer("scale", torch.ones(pooled))
        last = nn.Linear(width, outputs)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(columns + pooled, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            last,
        )

    def forward(self, rows: Tensor, batch: RecordBatch | None) -> Tensor:
        """Outputs [B, T] of rows [B, columns] and of the tokens of the same molecules."""
        if self.encoder is None:
            return self.head(rows)
        standard = (self.pooled(batch) - self.mean) / self.scale
        return self.head(torch.cat([rows, standard.clamp(-CLIP, CLIP)], 1))

    def pooled(self, batch: RecordBatch | None) -> Tensor:
        """Pooled tokens [B, P], before they are standardised."""
        assert self.encoder is not None
        assert batch is not None
        found: Tensor = self.encoder.invariant(self.encoder.tokens(batch))
        return found

    def standardise(self, pooled: Tensor) -> None:
        """Take means and scales from pooled tokens [M, P] of training molecules."""
        deviation = pooled.std(0)
        self.mean.copy_(pooled.mean(0))
        self.scale.copy_(torch.where(deviation > 1e-6, deviation, 1.0))

    def groups(self, learning_rate: float) -> list[dict[str, Any]]:
        """Parameters that learn, for an optimiser: pretrained weights at a tenth of the learning rate."""
        learns = [(name, p) for name, p in self.named_parameters() if p.requires_grad]
        new = [p for name, p in learns if not _pretrained(name)]
        old = [p for name, p in learns if _pretrained(name)]
        return [{"params": new, "lr": learning_rate}, {"params": old, "lr": learning_rate / 10}]

    def state(self) -> dict[str, NDArray[np.float32]]:
        """What training changed, by name."""
        learned = {name for name, p in self.named_parameters() if p.requires_grad} | {"mean", "scale"}
        return {
            name: value.detach().cpu().numpy().copy()
            for name, value in self.state_dict().items()
            if name in learned
        }

    def restore(self, state: dict[str, NDArray[np.float32]]) -> None:
        """Undo `state`."""
        self.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()}, strict=False)


def _pretrained(name: str) -> bool:
    return name.startswith("encoder.") and not name.endswith((".down", ".up"))


def _prepared(encoder: Any, train: str, rank: int) -> Any:
    """A copy of the encoder that reads records, with the weights that learn marked."""
    with torch.random.fork_rng(devices=[]):
        made = type(encoder)(encoder.config, backbone=Recalled(encoder.backbone))
    kept = {name: value for name, value in encoder.state_dict().items() if not name.startswith("backbone.")}
    made.load_state_dict(kept)
    made.requires_grad_(False)
    made.scalar_mean.zero_()  # the records are standardised
    made.scalar_std.fill_(1.0)
    if train == "all":
        for module in (made.project, made.pair, made.blocks, made.norm, made.readout, made.pool):
            module.requires_grad_(True)
        return made
    for part in (made.blocks, made.readout):
        for module in [m for m in part.modules() if not isinstance(m, nn.Linear)]:
            for name, child in module.named_children():
                if isinstance(child, nn.Linear):
                    setattr(module, name, LowRank(child, min(rank, *child.weight.shape)))
    return made
