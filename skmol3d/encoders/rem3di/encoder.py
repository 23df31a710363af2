"""REM3DI: attention over the atom features of an interatomic potential, pooled to one descriptor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch, select_atoms
from skmol3d.encoders.backbones import AnyBackboneConfig, EquivariantTransformerConfig, build_backbone
from skmol3d.encoders.config import check_positive
from skmol3d.encoders.layers import Bessel, PairBiasedBlock, PairRepresentation, Pooling, random_walks
from skmol3d.encoders.protocols import Backbone
from skmol3d.encoders.rem3di.words import HEAVIEST, Words, WordsConfig

WALK_STEPS = 16


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
        Statistics over the tokens that make up the invariant block, side by side.
    backbone_pooling : tuple of {"mean", "std", "max", "min", "sum"}
        Statistics of the backbone's own invariants over all atoms, hydrogens included, that make up the block
        ``potential``; absent without any. What the potential knows reaches linear models past the attention.
    seeds : int
        Learned queries of ``pma``.
    words : WordsConfig
        Counts of perceived substructures, absent without vocabularies.
    chiral : int
        Pseudoscalar channels, and columns of the chiral block.
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
    words: WordsConfig = field(default_factory=WordsConfig)
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
        if self.words.classes and max(self.backbone.elements) > HEAVIEST:
            raise ValueError("words know bonds up to curium; the backbone has heavier elements")
        if self.width % self.heads or self.readout % self.heads:
            raise ValueError(
                f"width ({self.width}) and readout ({self.readout}) must be multiples of heads ({self.heads})"
            )


@dataclass(frozen=True)
class Tokens:
    """REM3DI's view of a batch before pooling.

    Attributes
    ----------
    atoms : AtomBatch
        The atoms that are tokens.
    index : LongTensor [T]
        Their places among all atoms of the batch.
    real : BoolTensor [B, L]
        Padded places that hold a token.
    scalars : Tensor [B, L, S]
        Standardised invariants of the backbone.
    pairs : Tensor [B, L, L, P]
    encoded : Tensor [B, L, D]
        Output of the transformer: unchanged by rotation, translation and reflection.
    pseudoscalars : Tensor [B, L, K]
        Gated triple products: change sign under reflection.
    statistics : Tensor [B, A]
        Of the backbone's standardised invariants over all atoms: the block ``potential``.
    """

    atoms: AtomBatch
    index: Tensor
    real: Tensor
    scalars: Tensor
    pairs: Tensor
    encoded: Tensor
    pseudoscalars: Tensor
    statistics: Tensor


class REM3DI(nn.Module):
    """Molecular descriptor from the atom features of a potential (arXiv:2607.19977).

    The descriptor has up to five blocks: ``invariant`` is the same for a molecule and its mirror image,
    ``chiral`` changes sign between them, ``words`` and ``pairs`` (`Words`, ours) count which substructures
    atoms are the centres of, and pairs of these, and ``potential`` (ours) has plain statistics of the
    backbone's features; these three are the same for mirror images too. To keep the promises exact
    the pseudoscalars never enter the tokens (the authors' code concatenates them): they are gated by the
    tokens, which are parity-even, and pooled through odd maps alone.

    Parameters
    ----------
    config : REM3DIConfig
    backbone : Module, optional
        Built from the config if absent.
    """

    name: ClassVar[str] = "rem3di"
    version: ClassVar[int] = 2
    Config: ClassVar[type] = REM3DIConfig
    scalar_mean: Tensor
    scalar_std: Tensor
    vector_rms: Tensor

    def __init__(self, config: REM3DIConfig, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone: Any = build_backbone(config.backbone) if backbone is None else backbone
        scalars, vectors = self.backbone.sizes
        encoding = {"3d": config.radial, "2d": WALK_STEPS + 1, "none": 1}[config.structure]
        self.register_buffer("scalar_mean", torch.zeros(scalars))
        self.register_buffer("scalar_std", torch.ones(scalars))
        self.register_buffer("vector_rms", torch.ones(vectors))
        self.project = nn.Linear(scalars, config.width, bias=False)
        self.radial = Bessel(config.radial, config.radial_length)
        self.pair = PairRepresentation(encoding, scalars, config.pair_width)
        self.blocks = nn.ModuleList(
            PairBiasedBlock(config.width, config.heads, config.pair_width) for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.readout = nn.Sequential(nn.Linear(config.width, config.readout), nn.GELU())
        self.pool = Pooling(config.pooling, config.readout, config.heads, config.seeds)
        self.words = Words(config.width, config.words)
        self.pool_backbone = Pooling(config.backbone_pooling, scalars, config.heads, config.seeds)
        self.triple = nn.Linear(vectors, 3 * config.chiral, bias=False)
        self.chiral_gate = nn.Sequential(
            nn.Linear(config.width, config.chiral), nn.SiLU(), nn.Linear(config.chiral, config.chiral)
        )
        self.chiral_mix = nn.Linear(config.chiral, config.chiral, bias=False)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers the weights were trained on."""
        return self.config.backbone.elements

    def output_blocks(self) -> dict[str, int]:
        """Names and sizes of the descriptor's blocks, in column order."""
        blocks = {"invariant": self.pool.size, "chiral": self.config.chiral}
        blocks |= {name: size for name, size in self.words.sizes.items() if size}
        return blocks | ({"potential": self.pool_backbone.size} if self.config.backbone_pooling else {})

    def forward(self, batch: AtomBatch) -> Tensor:
        """Descriptors [B, columns]."""
        return self.pooled(self.tokens(batch))

    def pooled(self, tokens: Tokens) -> Tensor:
        """Descriptors [B, columns] of encoded tokens."""
        chiral = self.chiral_mix((tokens.pseudoscalars * tokens.real[..., None]).sum(1))
        blocks = [self.invariant(tokens), chiral]
        if sum(self.words.sizes.values()):
            blocks.append(self.words(tokens.encoded[tokens.real], tokens.atoms))
        blocks.append(tokens.statistics)
        return torch.cat(blocks, 1)

    def invariant(self, tokens: Tokens) -> Tensor:
        """The invariant block [B, invariant] of encoded tokens."""
        return self.pool(self.readout(tokens.encoded), tokens.real)

    def tokens(self, batch: AtomBatch) -> Tokens:
        """Encode the atoms of ``batch``."""
        features = self.backbone(batch)
        index = self._token_index(batch)
        atoms = select_atoms(batch, index)
        real = atoms.flat_index >= 0
        standardised = (features.scalars - self.scalar_mean) / self.scalar_std
        scalars = atoms.pad(standardised.index_select(0, index))
        pairs = self.pair(self._structure(atoms), scalars)
        x = self.project(scalars)
        for block in self.blocks:
            x = block(x, pairs, real)
        encoded = self.norm(x)
        vectors = atoms.pad(features.vectors.index_select(0, index) / self.vector_rms)
        odd = self._pseudoscalars(vectors, encoded)
        statistics = scalars.new_zeros(len(batch), 0)
        if self.config.backbone_pooling:
            statistics = self.pool_backbone(batch.pad(standardised), batch.flat_index >= 0)
        return Tokens(atoms, index, real, scalars, pairs, encoded, odd, statistics)

    def _pseudoscalars(self, vectors: Tensor, encoded: Tensor) -> Tensor:
        first, second, third = self.triple(vectors).chunk(3, -1)
        triple = (torch.linalg.cross(first, second, dim=2) * third).sum(2)
        # tanh is odd and bounds what few strained atoms could do to the sum over all.
        return torch.tanh(triple) * torch.sigmoid(self.chiral_gate(encoded))

    def _token_index(self, batch: AtomBatch) -> Tensor:
        if self.config.hydrogens:
            return torch.arange(len(batch.numbers), device=batch.numbers.device)
        heavy = batch.numbers > 1
        # H2 and H+ consist of hydrogens only: then these are the tokens.
        only_hydrogen = (
            heavy.new_zeros(len(batch), dtype=torch.long).index_add(0, batch.molecule, heavy.long()) == 0
        )
        return (heavy | only_hydrogen[batch.molecule]).nonzero()[:, 0]

    def _structure(self, atoms: AtomBatch) -> Tensor:
        if self.config.structure == "2d":
            return random_walks(atoms, WALK_STEPS)
        positions = atoms.pad(atoms.positions)
        squared = (positions[:, :, None] - positions[:, None]).square().sum(-1)
        if self.config.structure == "none":
            return torch.zeros_like(squared)[..., None]
        # The root has no gradient at zero, where atoms meet themselves and padding.
        zero = squared == 0
        return self.radial(torch.where(zero, 0.0, torch.where(zero, 1.0, squared).sqrt()))

    @classmethod
    def upgrade(
        cls, config: dict[str, Any], state: dict[str, Tensor], version: int
    ) -> tuple[dict[str, Any], dict]:
        """Version 1 did not say which environments the words name."""
        for k, n in enumerate(config.get("words", {}).get("classes", ())):
            state.setdefault(f"words.vocabulary_{k}", torch.zeros(n, dtype=torch.int64))
        return config, state
