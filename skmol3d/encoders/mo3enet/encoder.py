"""Mo3ENet: a molecule's conformation and pose as vectors that turn with it, and back to atoms."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from skmol3d.encoders.atoms import AtomBatch, full_precision
from skmol3d.encoders.config import check_elements, check_positive
from skmol3d.encoders.mo3enet.autoencoder import Autoencoder
from skmol3d.encoders.mo3enet.axes import molecular_axes
from skmol3d.encoders.mo3enet.decoder import DecoderConfig, Embedding, EMLPDecoderConfig
from skmol3d.encoders.mo3enet.layers import (
    EquivariantMLP,
    GaussianRadial,
    GraphConvolution,
    assign,
    exact_assignment,
    pair_distances,
)

WAVES = 8  # of the coordinates along each axis: half-wavelengths from 1 to 8 Å
KEY = 24
BLUR = 0.05  # of the assignment in training; costs are at most twice the learned `contrast`


@dataclass(frozen=True)
class Mo3ENetConfig:
    """Sizes and choices of a `Mo3ENet`.

    Attributes
    ----------
    width, vectors : int
        Scalars and vectors per atom.
    layers : int
        Graph convolutions, each after an equivariant layer.
    radial, cutoff : int, float
        Gaussian functions of the distance, and the largest distance (Å) of neighbours.
    messages : int
        Channels of a message.
    pooled : int
        Scalars that are pooled, as sum and as maximum; both are columns of a row.
    context : int
        Width of the network that chooses, by molecule, what the channels of the embedding attend to.
    embedding : int
        K: the embedding has K vectors and K scalars.
    swarm : int
        Points of the decoder; a molecule with more atoms is refused.
    decoder : config
        ``kind: emlp`` (equivariant layers on the embedding) or ``kind: egnn`` (on a graph of the points).
    hydrogens : bool
        Whether hydrogens are encoded; without them they are not even looked at.
    radius : float
        Å; positions are divided by it.
    elements : tuple of int
        Atomic numbers it can encode; others are refused.
    """

    width: int = 96
    vectors: int = 32
    layers: int = 2
    radial: int = 50
    cutoff: float = 4.0
    messages: int = 32
    pooled: int = 128
    context: int = 384
    embedding: int = 64
    swarm: int = 64
    decoder: DecoderConfig = field(default_factory=EMLPDecoderConfig)
    hydrogens: bool = True
    radius: float = 5.0
    elements: tuple[int, ...] = (1, 6, 7, 8, 9)

    def __post_init__(self) -> None:
        check_positive(self, "width", "vectors", "layers", "radial", "cutoff", "messages")
        check_positive(self, "pooled", "context", "embedding", "swarm", "radius")
        check_elements(self.elements)
        if self.embedding < self.swarm:  # every atom has a vector of its own
            raise ValueError(f"embedding must be at least swarm ({self.swarm}), got {self.embedding}")
        if not self.elements or list(self.elements) != sorted(set(self.elements)):
            raise ValueError(f"elements must ascend without repeats, got {self.elements}")


class Mo3ENet(Autoencoder):
    """Equivariant autoencoder of molecules as point clouds (arXiv:2405.13791).

    ``embed`` gives K vectors and K scalars per molecule; ``decode`` turns them into a swarm of weighted
    points, and ``atoms`` a swarm into atoms; no other information passes. Rotating, reflecting or inverting
    a molecule does the same to its vectors and to what is decoded from them, and leaves scalars alone;
    translation and the order of atoms change nothing, but for symmetric molecules, whose vectors depend on
    the order of equivalent atoms by a symmetry operation of the molecule (`molecular_axes` says why they
    must; what is decoded is the same molecule). The vectors of a single atom are zero.

    Building blocks, loss and data are the paper's. Ours, for convergence in minutes instead of days: atoms
    know their coordinates along `molecular_axes`; in place of the softmax of the last aggregation, which
    leaves out an atom here and there, the cheapest assignment by learned costs gives every atom a vector of
    its own, which is its position and a learned correction; and the decoder's points start at these vectors.

    Parameters
    ----------
    config : Mo3ENetConfig
    """

    name: ClassVar[str] = "mo3enet"
    version: ClassVar[int] = 1
    Config: ClassVar[type] = Mo3ENetConfig
    wave: Tensor

    def __init__(self, config: Mo3ENetConfig) -> None:
        super().__init__(config)
        width, vectors, channels = config.width, config.vectors, config.embedding
        self.register_buffer("wave", math.pi / 8 * torch.arange(1.0, WAVES + 1), persistent=False)
        self.element = nn.Embedding(len(config.elements), 32)
        features = 32 + 1 + 6 * WAVES
        self.scalar_start = nn.Linear(features, width)
        self.vector_start = nn.Linear(4, vectors, bias=False)
        self.vector_gate = nn.Linear(features, vectors)
        self.radial = GaussianRadial(config.radial, config.cutoff)
        self.layers = nn.ModuleList(EquivariantMLP(width, vectors) for _ in range(config.layers + 2))
        self.convolutions = nn.ModuleList(
            GraphConvolution(width, vectors, config.radial, config.messages) for _ in range(config.layers)
        )
        self.pool = nn.Linear(width, config.pooled)
        self.context = nn.Sequential(
            nn.LayerNorm(2 * config.pooled),
            nn.Linear(2 * config.pooled, config.context),
            nn.GELU(),
            nn.Linear(config.context, config.context),
            nn.GELU(),
        )
        self.query = nn.Linear(config.context, channels * KEY)
        # Channels must begin by looking at different atoms, or many end up at the same ones.
        nn.init.normal_(self.query.bias, std=0.5)
        self.key = nn.Linear(width, KEY)
        self.contrast = nn.Parameter(torch.tensor(10.0))
        self.content = nn.Linear(vectors, channels, bias=False)
        self.content.weight.data.mul_(0.1)
        self.label = nn.Linear(width, channels)
        self.scalars = nn.Linear(config.context, channels)
        self.decoder = self.build_decoder()

    def output_blocks(self) -> dict[str, int]:
        """Names and sizes of the columns of a row: the embedding's scalars, and the pooled atom scalars."""
        return {"scalar": self.config.embedding, "pooled": 2 * self.config.pooled}

    @full_precision
    def embed_and_pool(self, batch: AtomBatch) -> tuple[Embedding, Tensor]:
        """The embedding, and the pooled atom scalars [B, 2 · pooled] that it was made from.

        Raises
        ------
        ValueError
            As `embed`.
        """
        atoms = self.encoded_atoms(batch)
        x, real = atoms.pad(atoms.positions), atoms.flat_index >= 0
        scalars, vectors = self._start(x, atoms.pad(atoms.numbers), real)
        distances = pair_distances(x)
        pairs = (distances < self.config.cutoff) & real[:, :, None] & real[:, None]
        radial = self.radial(distances)
        for layer, convolution in zip(self.layers, self.convolutions, strict=False):
            scalars, vectors = convolution(*layer(scalars, vectors), radial, pairs)
        scalars, vectors = self.layers[-2](scalars, vectors)
        every = real[..., None]
        each = self.pool(scalars)
        pooled = torch.cat(
            [(gelu(each) * every).sum(1) / 10.0, each.masked_fill(~every, -torch.inf).amax(1)], 1
        )
        context = self.context(pooled)
        scalars, vectors = self.layers[-1](scalars, vectors)
        query = normalize(self.query(context).unflatten(-1, (-1, KEY)), dim=-1)
        cosine = normalize(self.key(scalars), dim=-1) @ query.transpose(1, 2)
        cost = self.contrast * (1.0 - cosine)
        # Blurred in training, for a gradient. Exact ones with the gradient of blurred ones do not train: the
        # share of molecules that are found again fell from 99 to 69 % in 1000 steps.
        shares = assign(cost, real, BLUR) if self.training else exact_assignment(cost, real)
        kept = self.scalars(context) + (shares * self.label(scalars)).sum(1)
        # The vector of a channel that one atom took is this atom's position, and a learned correction; the
        # vectors of the channels that are left over vanish.
        values = x[..., None] + self.content(vectors)
        return Embedding(kept, (shares[:, :, None] * values).sum(1)), pooled

    def _start(self, x: Tensor, numbers: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        axes, coordinates = molecular_axes(x, numbers, real)
        phase = (coordinates[..., None] * self.wave).flatten(-2)
        distance = x.norm(dim=-1, keepdim=True) / self.config.radius
        types = self.element(self.place[numbers].clamp(min=0))
        features = torch.cat([types, distance, phase.sin(), phase.cos()], -1)
        given = torch.cat(
            [x[..., None] / self.config.radius, axes[:, None].expand(-1, x.shape[1], -1, -1)], -1
        )
        return self.scalar_start(features), self.vector_start(given) * self.vector_gate(features)[:, :, None]
