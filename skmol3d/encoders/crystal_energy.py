"""A perceptron from rows of crystals to their energies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skmol3d.encoders.config import check_positive

ADDED = {1: 13 + 8, 2: 8, 3: 0}
"""Columns at the end of a row of `CrystalFeaturizer` that it did not have when these versions were trained:
of several molecules, and of the space group."""


@dataclass(frozen=True)
class CrystalEnergyConfig:
    """Sizes of a `CrystalEnergy`.

    Attributes
    ----------
    columns : int
        Of a row; the default is that of `CrystalFeaturizer`.
    targets : tuple of str
        Names of the energies.
    width, layers : int
        Of the hidden layers, and their number.
    dropout : float
        Share of their outputs that is dropped in training.
    embedding, output : str
        Checkpoint of Mo3ENet and the output of it, "scalar" or "vector", that stand for the molecule in a
        row; empty if the network does not say, as those before version 4 do not.
    """

    columns: int = 129
    targets: tuple[str, ...] = ("energy",)
    width: int = 256
    layers: int = 4
    dropout: float = 0.0
    embedding: str = ""
    output: str = ""

    def __post_init__(self) -> None:
        check_positive(self, "columns", "width", "layers")
        if not 0.0 <= self.dropout < 1.0:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")


class CrystalEnergy(nn.Module):
    """The crystal model of Mo3ENet: a multilayer perceptron with GELU and layer normalisation.

    The paper's has 32 layers of 512 and a dropout of 0.5; ours adds each layer to its input.

    Parameters
    ----------
    config : CrystalEnergyConfig

    References
    ----------
    M. Kilgour et al., arXiv:2405.13791, section 4.4 and appendix D.
    """

    name: ClassVar[str] = "crystal-energy"
    version: ClassVar[int] = 4
    Config: ClassVar[type] = CrystalEnergyConfig
    column_mean: Tensor
    column_scale: Tensor
    target_mean: Tensor
    target_scale: Tensor

    def __init__(self, config: CrystalEnergyConfig) -> None:
        super().__init__()
        self.config = config
        width, count = config.width, len(config.targets)
        # Fixed by the training set: standardisation of rows and targets.
        for name, size in (("column", config.columns), ("target", count)):
            self.register_buffer(f"{name}_mean", Tensor(size).zero_())
            self.register_buffer(f"{name}_scale", Tensor(size).fill_(1.0))
        self.start = nn.Linear(config.columns, width)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Dropout(config.dropout))
            for _ in range(config.layers)
        )
        self.end = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, count))

    def standard(self, rows: Tensor) -> Tensor:
        """Standardised energies [B, targets] of rows [B, columns]."""
        hidden = self.start((rows - self.column_mean) / self.column_scale)
        for layer in self.layers:
            hidden = hidden + layer(hidden)
        return self.end(hidden)

    def forward(self, rows: Tensor) -> Tensor:
        """Energies [B, targets] of rows [B, columns]."""
        return self.standard(rows) * self.target_scale + self.target_mean

    def output_blocks(self) -> dict[str, int]:
        """One column for each energy."""
        return {"energy": len(self.config.targets)}

    @classmethod
    def upgrade(
        cls, config: dict[str, Any], state: dict[str, Tensor], version: int
    ) -> tuple[dict[str, Any], dict]:
        """Give a network of an older version the columns that rows have had since, with weights of zero: what
        it says of a crystal stays the same."""
        added = ADDED[version]
        config = config | {"columns": config["columns"] + added}
        state = dict(state)
        for name, size, value in (
            ("start.weight", (len(state["start.weight"]), added), 0.0),
            ("column_mean", (added,), 0.0),
            ("column_scale", (added,), 1.0),
        ):
            state[name] = torch.cat([state[name], torch.full(size, value)], dim=-1)
        return config, state
