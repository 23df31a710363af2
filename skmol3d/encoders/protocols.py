"""What a backbone and an encoder must offer, as types."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch, AtomFeatures


class BackboneConfig(Protocol):
    """Sizes of a backbone: a frozen dataclass whose field ``kind`` names it (`config_from_dict`)."""

    @property
    def kind(self) -> str:
        """Name among the `skmol3d.encoders.backbones.BACKBONES`; the field's default."""

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers the weights were trained on."""


@runtime_checkable
class Backbone(Protocol):
    """A module that turns atoms into invariant scalars and vectors; made from its config alone."""

    Config: ClassVar[type]
    """Class of its config."""

    def __init__(self, config: Any) -> None: ...

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of scalars S and of vectors V per atom."""

    @property
    def energy_scalars(self) -> range:
        """Places of those scalars, side by side, that an energy head reads; none if `energies` come with the
        features, as of a potential that has been trained elsewhere."""

    def __call__(self, batch: AtomBatch) -> AtomFeatures:
        """Features of all atoms: scalars [N, S], vectors [N, 3, V] and, where it knows them, energies [N]."""


@runtime_checkable
class Encoder(Protocol):
    """A module that turns atoms into one row per molecule, and that a checkpoint can hold.

    Its name is its key among the `skmol3d.encoders.ENCODERS` and stands in the checkpoint's ``config.json``,
    as do the version and the config.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    """Of config and weights, from 1; a newer one needs a way from each older (`upgrade`)."""
    Config: ClassVar[type]
    """A frozen dataclass, read from JSON by `config_from_dict`."""
    config: Any

    def __init__(self, config: Any) -> None: ...

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers it can encode."""

    def output_blocks(self) -> dict[str, int]:
        """Names and sizes of the blocks of a row, in column order."""

    def __call__(self, batch: AtomBatch) -> Tensor:
        """Rows [B, columns]."""

    @classmethod
    def upgrade(
        cls, config: dict[str, Any], state: dict[str, Tensor], version: int
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Config and weights of an older ``version`` as the current version has them."""
