"""Encoders from atoms to rows of numbers: torch only, no rdkit, no scikit-learn, no files."""

from skmol3d.encoders.atoms import AtomBatch, AtomFeatures
from skmol3d.encoders.backbones import (
    EGNN,
    AIMNet2Config,
    EGNNConfig,
    EquivariantTransformer,
    EquivariantTransformerConfig,
    MACEConfig,
    register_backbone,
)
from skmol3d.encoders.config import ConfigError, config_from_dict, config_to_dict
from skmol3d.encoders.crystal_energy import CrystalEnergy, CrystalEnergyConfig
from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
from skmol3d.encoders.potential import Potential, PotentialConfig
from skmol3d.encoders.published_rem3di import PublishedREM3DI, PublishedREM3DIConfig
from skmol3d.encoders.registry import ENCODERS
from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig

__all__ = [
    "EGNN",
    "ENCODERS",
    "REM3DI",
    "AIMNet2Config",
    "AtomBatch",
    "AtomFeatures",
    "ConfigError",
    "CrystalEnergy",
    "CrystalEnergyConfig",
    "EGNNConfig",
    "EquivariantTransformer",
    "EquivariantTransformerConfig",
    "MACEConfig",
    "Mo3ENet",
    "Mo3ENetConfig",
    "Potential",
    "PotentialConfig",
    "PublishedREM3DI",
    "PublishedREM3DIConfig",
    "REM3DIConfig",
    "config_from_dict",
    "config_to_dict",
    "register_backbone",
]
