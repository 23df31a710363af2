"""Networks that turn atoms into scalars and vectors: one file each, registered here.

A new one is a module as `skmol3d.encoders.protocols.Backbone` describes it, with a frozen dataclass as its
``Config`` whose field ``kind`` has the backbone's name as its default. Registered, it can be named in recipes
and checkpoints, pooled by REM3DI, and it carries a potential.
"""

from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

from skmol3d.encoders.backbones.aimnet2 import AIMNet2, AIMNet2Config
from skmol3d.encoders.backbones.egnn import EGNN, EGNNConfig
from skmol3d.encoders.backbones.equivariant_convolution import (
    EquivariantConvolution,
    EquivariantConvolutionConfig,
)
from skmol3d.encoders.backbones.equivariant_transformer import (
    EquivariantTransformer,
    EquivariantTransformerConfig,
)
from skmol3d.encoders.backbones.mace import MACE, MACEConfig
from skmol3d.encoders.config import Registered
from skmol3d.encoders.protocols import Backbone, BackboneConfig

__all__ = [
    "BACKBONES",
    "EGNN",
    "MACE",
    "AIMNet2",
    "AIMNet2Config",
    "AnyBackboneConfig",
    "EGNNConfig",
    "EquivariantConvolution",
    "EquivariantConvolutionConfig",
    "EquivariantTransformer",
    "EquivariantTransformerConfig",
    "MACEConfig",
    "build_backbone",
    "register_backbone",
]

BACKBONES: dict[str, type[Backbone]] = {}
AnyBackboneConfig = Annotated[BackboneConfig, Registered(BACKBONES)]
"""Type of a config's field that holds the config of any registered backbone."""

_B = TypeVar("_B", bound=type[Backbone])


def register_backbone(backbone: _B) -> _B:
    """Make a class known as the backbone of its config's ``kind``; also as a decorator.

    A checkpoint with this backbone loads only where the same registration has been made.

    Parameters
    ----------
    backbone : class
        A `skmol3d.encoders.protocols.Backbone`.

    Returns
    -------
    class
        The same.

    Raises
    ------
    TypeError
        If its ``Config`` is no frozen dataclass with a name as the default of ``kind``, and ``elements``.
    ValueError
        If another class has taken the name.
    """
    config: Any = getattr(backbone, "Config", None)
    defaults = {field.name: field.default for field in fields(config)} if is_dataclass(config) else {}
    kind = defaults.get("kind")
    if not isinstance(kind, str) or not ("elements" in defaults or hasattr(config, "elements")):
        raise TypeError(
            f"{backbone.__name__}.Config must be a frozen dataclass with the fields kind: str = 'its name' "
            "and elements: tuple[int, ...]"
        )
    if BACKBONES.setdefault(kind, backbone) is not backbone:
        raise ValueError(f"{kind!r} is already the name of the backbone {BACKBONES[kind].__name__}")
    return backbone


def build_backbone(config: BackboneConfig) -> Any:
    """The backbone of a config, with random weights; a `torch.nn.Module` too, for which there is no type."""
    return BACKBONES[config.kind](config)


register_backbone(EquivariantTransformer)
register_backbone(EGNN)
register_backbone(EquivariantConvolution)
register_backbone(MACE)
register_backbone(AIMNet2)
