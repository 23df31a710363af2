"""Mo3ENet over a potential: its vectors are learned sums over all atoms, and change smoothly with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from skmol3d.encoders.atoms import AtomBatch, full_precision
from skmol3d.encoders.backbones import AnyBackboneConfig, EquivariantConvolutionConfig, build_backbone
from skmol3d.encoders.config import check_positive
from skmol3d.encoders.layers import Pooling
from skmol3d.encoders.mo3enet.autoencoder import Autoencoder
from skmol3d.encoders.mo3enet.decoder import DecoderConfig, Embedding, MixingDecoderConfig, Swarm
from skmol3d.encoders.mo3enet.layers import EquivariantMLP, GaussianRadial, GraphConvolution, pair_distances

KEY = 24
EVEN = 0.5  # variance below which differences between the atoms of a molecule fade
CONTRAST = 15.0  # of the attention at the start
LEAST = 0.2  # atoms: channels that attend to fewer fade out
CLIP = 6.0  # standard deviations of the potential's features
SHORT = 0.3  # below this, directions of an atom's vectors fade: where they cancel, they are noise
LONGEST = 6.0  # of an atom's vectors
TEN = 10.0  # sums over atoms are in units of so many
STATISTICS = ("mean", "std", "max")


@dataclass(frozen=True)
class PooledMo3ENetConfig:
    """Sizes and choices of a `PooledMo3ENet`.

    Attributes
    ----------
    backbone : config
        The potential's network, which turns atoms into scalars and vectors.
    width, vectors : int
        Scalars and vectors per encoded atom.
    layers : int
        Graph convolutions between all pairs of encoded atoms, each after an equivariant layer.
    radial, reach : int, float
        Gaussian functions of the distance, and the largest distance (Å) they resolve.
    messages : int
        Channels of a message.
    readout : int
        Channels that are pooled, of the encoded atoms and as many of the potential's features of all atoms;
        their means, deviations and maxima are columns of a row.
    context : int
        Width of the network that chooses, by molecule, what the channels of the embedding attend to.
    embedding : int
        K: the embedding has K vectors and K scalars.
    swarm : int
        Points of the decoder; a molecule with more atoms to decode is refused.
    decoder : config
        ``kind: mixing``, ``emlp`` or ``egnn``.
    hydrogens : bool
        Whether hydrogens are to be decoded. The potential sees them in any case.
    """

    backbone: AnyBackboneConfig = field(default_factory=EquivariantConvolutionConfig)
    width: int = 128
    vectors: int = 48
    layers: int = 2
    radial: int = 24
    reach: float = 18.0
    messages: int = 32
    readout: int = 192
    context: int = 256
    embedding: int = 24
    swarm: int = 40
    decoder: DecoderConfig = field(default_factory=MixingDecoderConfig)
    hydrogens: bool = False

    def __post_init__(self) -> None:
        check_positive(self, "width", "vectors", "layers", "radial", "reach", "messages")
        check_positive(self, "readout", "context", "embedding", "swarm")

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers it can encode: the potential's."""
        return self.backbone.elements

    @property
    def pooled(self) -> int:
        """Columns of the pooled block."""
        return 2 * len(STATISTICS) * self.readout


class PooledMo3ENet(Autoencoder):
    """Equivariant autoencoder (arXiv:2405.13791) whose K vectors are sums over all atoms.

    ``embed`` gives K vectors and K scalars per molecule; ``decode`` turns them into a swarm of weighted
    points, and ``atoms`` a swarm into atoms; no other information passes. Rotating, reflecting or inverting
    a molecule does the same to its vectors and leaves scalars alone; translation and the order of atoms
    change nothing. All of it is continuous in the coordinates: atoms are described by a frozen potential's
    features (ours; the paper's network starts from elements and positions) and by messages between all
    pairs, and vector k is

        Σ_i (a_ki + b_ki) x_i + Σ_i c_ki u_i,

    with the positions x from the centroid, attention a (for each atom a softmax over the K channels, whose
    queries depend on the molecule; for each channel a mean over the atoms), weights b linear in the scalars
    of an atom, and combinations of its vectors u. There is no assignment and no molecular frame.

    The price: like every equivariant sum, the vectors of a molecule with a symmetry are left alone by it. Of
    benzene, methane or CO2 they are zero, and of a molecule with a twofold axis they lie on it, so that the
    decoder cannot tell where its atoms are; the scalars do not suffer.

    Parameters
    ----------
    config : PooledMo3ENetConfig
    """

    name: ClassVar[str] = "mo3enet-pooled"
    version: ClassVar[int] = 1
    Config: ClassVar[type] = PooledMo3ENetConfig
    scalar_mean: Tensor
    scalar_std: Tensor
    vector_rms: Tensor
    kept_mean: Tensor
    kept_std: Tensor

    def __init__(self, config: PooledMo3ENetConfig) -> None:
        super().__init__(config)
        width, vectors, channels = config.width, config.vectors, config.embedding
        self.backbone: Any = build_backbone(config.backbone)
        known, turning = self.backbone.sizes
        self.register_buffer("scalar_mean", torch.zeros(known))
        self.register_buffer("scalar_std", torch.ones(known))
        self.register_buffer("vector_rms", torch.ones(turning))
        self.register_buffer("kept_mean", torch.zeros(channels))
        self.register_buffer("kept_std", torch.ones(channels))
        self.scalar_start = nn.Linear(known + config.radial, width)
        self.vector_start = nn.Linear(turning + 1, vectors, bias=False)
        self.vector_gate = nn.Linear(width, vectors)
        self.radial = GaussianRadial(config.radial, config.reach)
        self.layers = nn.ModuleList(EquivariantMLP(width, vectors, SHORT) for _ in range(config.layers + 1))
        self.convolutions = nn.ModuleList(
            GraphConvolution(width, vectors, config.radial, config.messages, TEN)
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(width)
        self.read_atoms = nn.Linear(width, config.readout)
        self.read_backbone = nn.Linear(known, config.readout)
        self.pool = Pooling(STATISTICS, config.readout, 1, 1)
        self.context = nn.Sequential(
            nn.LayerNorm(config.pooled),
            nn.Linear(config.pooled, config.context),
            nn.GELU(),
            nn.Linear(config.context, config.context),
            nn.GELU(),
        )
        self.query = nn.Linear(config.context, channels * KEY)
        # Channels must begin by looking at different atoms.
        nn.init.normal_(self.query.bias, std=0.5)
        self.key = nn.Linear(width, KEY)
        self.contrast = nn.Parameter(torch.tensor(CONTRAST))
        self.share = nn.Linear(width, channels)
        self.content = nn.Linear(vectors, channels, bias=False)
        self.label = nn.Linear(width, channels)
        self.scalars = nn.Linear(config.context, channels)
        self.decoder = self.build_decoder()

    def output_blocks(self) -> dict[str, int]:
        """Names and sizes of the columns of a row: the embedding's scalars, and the pooled columns."""
        return {"scalar": self.config.embedding, "pooled": self.config.pooled}

    @full_precision
    def embed_and_pool(self, batch: AtomBatch) -> tuple[Embedding, Tensor]:
        """The embedding, and means, deviations and maxima of what is read of atoms [B, 6 · readout].

        Raises
        ------
        ValueError
            As `embed`.
        """
        atoms = self.encoded_atoms(batch)
        features = self.backbone(batch)
        standard = ((features.scalars - self.scalar_mean) / self.scalar_std).clamp(-CLIP, CLIP)
        places = self.encoded_places(batch)
        x, real = atoms.pad(atoms.positions), atoms.flat_index >= 0
        scalars, vectors = self._start(
            x, atoms.pad(standard[places]), atoms.pad(features.vectors[places] / self.vector_rms)
        )
        radial = self.radial(pair_distances(x))
        pairs = real[:, :, None] & real[:, None]
        for layer, convolution in zip(self.layers, self.convolutions, strict=False):
            scalars, vectors = convolution(*layer(scalars, vectors), radial, pairs)
            vectors = limited(vectors)
        scalars, vectors = self.layers[-1](scalars, vectors)
        scalars, vectors = self.norm(scalars), limited(vectors)
        everything = batch.pad(gelu(self.read_backbone(standard)))
        pooled = torch.cat(
            [
                self.pool(gelu(self.read_atoms(scalars)), real),
                self.pool(everything, batch.flat_index >= 0),
            ],
            1,
        )
        context = self.context(pooled)
        query = normalize(self.query(context).unflatten(-1, (-1, KEY)), dim=-1)
        cosine = normalize(self.key(contrasted(scalars, real)), dim=-1) @ query.transpose(1, 2)
        every = real[..., None]
        # Channels compete for atoms, so that none is left out.
        won = (self.contrast * cosine).softmax(2) * every
        mass = won.sum(1)
        attention = won / (mass + LEAST)[:, None]
        weights = attention + self.share(scalars) * every / TEN
        kept = self.scalars(context) + mass + (attention * self.label(scalars)).sum(1)
        kept = (kept - self.kept_mean) / self.kept_std
        own = self.content(vectors) * (attention + every / TEN)[:, :, None]
        return Embedding(kept, x.transpose(1, 2) @ weights + own.sum(1)), pooled

    @torch.no_grad()
    def standardise(self, scalars: Tensor) -> None:
        """Give the embedding's scalars mean zero and variance one over ``scalars`` [M, K] as they are now.

        Training does not care about their scale, distances between rows do. What is decoded stays the same.
        """
        self.kept_mean.add_(self.kept_std * scalars.mean(0))
        self.kept_std.mul_(scalars.std(0).clamp(min=1e-6))

    def decode(self, embedding: Embedding) -> Swarm:
        """Swarm of an embedding; positions are relative to the centroid of the encoded atoms."""
        return super().decode(embedding._replace(scalars=embedding.scalars * self.kept_std + self.kept_mean))

    def _start(self, x: Tensor, standard: Tensor, turning: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars [B, L, S] and vectors [B, L, 3, V] of the encoded atoms."""
        # Squares: a norm has no derivative at the centroid.
        outwards = self.radial((x.square().sum(-1) + 1e-4).sqrt())
        scalars = self.scalar_start(torch.cat([standard, outwards], -1))
        given = torch.cat([turning, x[..., None] / (0.5 * self.config.reach)], -1)
        return scalars, limited(self.vector_start(given) * self.vector_gate(scalars)[:, :, None])


def contrasted(scalars: Tensor, real: Tensor) -> Tensor:
    """Scalars [B, L, S] by what tells an atom from the others of its molecule: centred, of like variance."""
    count, every = real.sum(1)[:, None, None], real[..., None]
    mean = (scalars * every).sum(1, keepdim=True) / count
    centred = (scalars - mean) * every
    variance = centred.square().sum(1, keepdim=True) / count
    return centred / (variance + EVEN).sqrt()


def limited(vectors: Tensor) -> Tensor:
    """Vectors [..., 3, V] that are shorter than `LONGEST`, smoothly: products of theirs must not explode."""
    return vectors / (1.0 + vectors.square().sum(-2, keepdim=True) / LONGEST**2).sqrt()
