"""Sizes and choices of REM3DI."""

from __future__ import annotations

from dataclasses import dataclass, field

from skmol3d.encoders.backbones import AnyBackboneConfig, EquivariantTransformerConfig
from skmol3d.encoders.config import check_positive
from skmol3d.encoders.layers import Pooling
from skmol3d.encoders.rem3di.words import HEAVIEST, WordsConfig


@dataclass(frozen=True)
class REM3DIConfig:
    """Sizes and choices of a `REM3DI` encoder.

    Attributes
    ----------
    backbone : config
        The network that turns atoms into scalars and vectors.
    width, layers, heads : int
        Token width, transformer blocks and attention heads.
    pair_width : int
        Channels of the pair representation.
    structure : {"3d", "2d", "none"}
        What attention knows about a pair of atoms: radial functions of the distance, random walks on the bond
        graph, or nothing.
    radial, radial_length : int, float
        Bessel functions of the 3d encoding and their longest half-wavelength in Å.
    readout : int
        Channels each token is expanded to, by a linear layer and GELU, before pooling: a linear model on the
        descriptor then reaches as many functions of the atoms as there are channels, not as the tokens are
        wide.
    pooling : tuple of {"mean", "std", "max", "min", "sum", "attention", "pma"}
        Statistics over the tokens, side by side: the invariant columns.
    backbone_pooling : tuple of {"mean", "std", "max", "min", "sum"}
        Statistics of the backbone's own invariants over all atoms, hydrogens included: what the potential
        knows reaches linear models past the attention.
    seeds : int
        Learned queries of ``pma``.
    dense : int
        Columns that the invariant ones and the backbone's statistics are compressed to, a power of two. With
        0 they stand in the row as they are.
    properties : int
        Estimates of RDKit's 2D descriptors, which need ``dense``.
    words : WordsConfig
        Counts of substructures, absent without vocabularies.
    surface : bool
        Whether there is a block ``surface``.
    strain : bool
        Whether there is a block ``strain``.
    chiral : int
        Pseudoscalar channels, and columns of the chiral block where ``dense`` is 0.
    hydrogens : bool
        Whether hydrogens are tokens. The backbone sees them in any case; without them pairs are four times
        fewer.
    """

    backbone: AnyBackboneConfig = field(default_factory=EquivariantTransformerConfig)
    width: int = 256
    layers: int = 4
    heads: int = 8
    pair_width: int = 64
    structure: str = "3d"
    radial: int = 16
    radial_length: float = 32.0
    readout: int = 384
    pooling: tuple[str, ...] = ("mean",)
    backbone_pooling: tuple[str, ...] = ()
    seeds: int = 4
    dense: int = 0
    properties: int = 0
    words: WordsConfig = field(default_factory=WordsConfig)
    surface: bool = False
    strain: bool = False
    chiral: int = 64
    hydrogens: bool = False

    def __post_init__(self) -> None:
        if self.structure not in ("3d", "2d", "none"):
            raise ValueError(f"structure must be '3d', '2d' or 'none', got {self.structure!r}")
        wrong = [p for p in self.pooling if p not in Pooling.KINDS]
        if wrong or not self.pooling or len(set(self.pooling)) < len(self.pooling):
            raise ValueError(f"pooling must be distinct names from {Pooling.KINDS}, got {self.pooling}")
        own = self.backbone_pooling
        if not set(own) <= set(Pooling.PLAIN) or len(set(own)) < len(own):
            raise ValueError(f"backbone_pooling must be distinct names from {Pooling.PLAIN}, got {own}")
        check_positive(self, "width", "layers", "heads", "pair_width", "radial", "radial_length")
        check_positive(self, "readout", "seeds", "chiral")
        if (self.words.classes or self.surface) and max(self.backbone.elements) > HEAVIEST:
            raise ValueError("words and surface know bonds up to curium; the backbone has heavier elements")
        if self.dense < 0 or self.dense & (self.dense - 1):
            raise ValueError(f"dense must be a power of two or 0, got {self.dense}")
        if self.properties < 0 or (self.properties and not self.dense):
            raise ValueError(f"properties must be 0, or a number beside dense columns, got {self.properties}")
        if self.strain and not self.words.classes:
            raise ValueError("strain is relative to words, of which there are none")
        if self.width % self.heads or self.readout % self.heads:
            raise ValueError(
                f"width ({self.width}) and readout ({self.readout}) must be multiples of heads ({self.heads})"
            )
