"""Networks that turn atoms into scalars and vectors."""

from typing import Any

from skmol3d.encoders.backbones.egnn import EGNN, EGNNConfig
from skmol3d.encoders.backbones.equivariant_transformer import (
    EquivariantTransformer,
    EquivariantTransformerConfig,
)

__all__ = [
    "BACKBONES",
    "EGNN",
    "BackboneConfig",
    "EGNNConfig",
    "EquivariantTransformer",
    "EquivariantTransformerConfig",
]

BackboneConfig = EquivariantTransformerConfig | EGNNConfig
BACKBONES: dict[str, type[Any]] = {"equivariant-transformer": EquivariantTransformer, "egnn": EGNN}
