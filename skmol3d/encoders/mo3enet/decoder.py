"""From Mo3ENet's embedding to a swarm of weighted points, and from the swarm to atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skmol3d.encoders.config import check_positive
from skmol3d.encoders.mo3enet.layers import (
    EquivariantMLP,
    GaussianRadial,
    GraphConvolution,
    Scalarizer,
    pair_distances,
)

UNIT = 3.0  # Å: networks see the embedding's vectors in this unit
REACH = 0.5  # Å from the centre of a cluster to its farthest point
MASS = 0.35  # least weight of a cluster that counts as an atom: lower ones find points between atoms


class Embedding(NamedTuple):
    """What the encoder knows of each molecule, and all that the decoder is given.

    Attributes
    ----------
    scalars : Tensor of shape [B, K]
        Unchanged when the molecule is rotated, reflected or translated.
    vectors : Tensor of shape [B, 3, K]
        In Å; rotate, and change sign under inversion, with the molecule.
    """

    scalars: Tensor
    vectors: Tensor


class Swarm(NamedTuple):
    """The decoder's weighted points: a Gaussian mixture in space and element.

    Attributes
    ----------
    positions : Tensor of shape [B, M, 3]
        In Å, relative to the centroid of the atoms that were encoded.
    presence : Tensor of shape [B, M]
        Log-odds that a point is (part of) an atom.
    elements : Tensor of shape [B, M, E]
        Unnormalised log-probabilities of the encoder's elements, in the order of ``config.elements``.
    """

    positions: Tensor
    presence: Tensor
    elements: Tensor

    @property
    def weights(self) -> Tensor:
        """Weights [B, M]; those of a molecule sum to its number of atoms if it is perfectly decoded.

        The paper's are a softmax times the number of atoms of the input, which nothing but the input tells.
        """
        return torch.sigmoid(self.presence)

    @property
    def types(self) -> Tensor:
        """Probabilities of the elements [B, M, E]."""
        return self.elements.softmax(-1)


class DecodedAtoms(NamedTuple):
    """Atoms found in swarms, ragged as in `AtomBatch`.

    Attributes
    ----------
    types : LongTensor of shape [N]
        Places in ``config.elements``.
    positions : Tensor of shape [N, 3]
        Å.
    mass : Tensor of shape [N]
        Weight of each atom's cluster: 1 where the swarm is sure.
    counts : LongTensor of shape [B]
    """

    types: Tensor
    positions: Tensor
    mass: Tensor
    counts: Tensor


@dataclass(frozen=True)
class EMLPDecoderConfig:
    """Sizes of an `EMLPDecoder`: width of its scalars and number of equivariant layers."""

    kind: str = "emlp"
    width: int = 384
    layers: int = 3

    def __post_init__(self) -> None:
        check_positive(self, "width", "layers")


@dataclass(frozen=True)
class MixingDecoderConfig:
    """Sizes of a `MixingDecoder`: width of its perceptron and number of its residual blocks."""

    kind: str = "mixing"
    width: int = 512
    layers: int = 3

    def __post_init__(self) -> None:
        check_positive(self, "width", "layers")


@dataclass(frozen=True)
class EGNNDecoderConfig:
    """Sizes of an `EGNNDecoder`.

    Attributes
    ----------
    width, vectors, messages : int
        Scalars and vectors per point, and channels of a message.
    layers : int
        Equivariant layers, each followed by a graph convolution over all pairs of points.
    radial, length : int, float
        Gaussian functions of the distance, and the largest distance (Å) they resolve.
    """

    kind: str = "egnn"
    width: int = 64
    vectors: int = 16
    messages: int = 32
    layers: int = 4
    radial: int = 50
    length: float = 12.0

    def __post_init__(self) -> None:
        check_positive(self, "width", "vectors", "messages", "layers", "radial", "length")


DecoderConfig = EMLPDecoderConfig | MixingDecoderConfig | EGNNDecoderConfig


class _Anchors(nn.Module):
    """Where the points start: point k at vector k of the embedding, in turns if there are more points."""

    def __init__(self, embedding: int, swarm: int) -> None:
        super().__init__()
        self.mix = nn.Linear(embedding, swarm, bias=False)
        with torch.no_grad():
            turns = torch.arange(swarm) % embedding
            self.mix.weight.mul_(0.1).add_(torch.eye(embedding)[turns])

    def forward(self, vectors: Tensor) -> Tensor:
        return self.mix(vectors).transpose(1, 2)


class EMLPDecoder(nn.Module):
    """Equivariant layers on the embedding itself; points are linear in the resulting vectors."""

    def __init__(self, config: EMLPDecoderConfig, embedding: int, swarm: int, elements: int) -> None:
        super().__init__()
        self.swarm = swarm
        self.start = nn.Linear(embedding, config.width)
        self.scalarize = Scalarizer(embedding, config.width)
        layers = [EquivariantMLP(config.width, embedding) for _ in range(config.layers)]
        for layer in layers:
            # Vectors pass nearly unchanged at first: they are the points already.
            layer.gate.weight.data.mul_(0.1)
            layer.gate.bias.data.mul_(0.1)
        self.layers = nn.ModuleList(layers)
        self.anchors = _Anchors(embedding, swarm)
        self.head = nn.Linear(config.width, swarm * (1 + elements))

    def forward(self, embedding: Embedding) -> Swarm:
        vectors = embedding.vectors / UNIT
        scalars = self.start(embedding.scalars) + self.scalarize(vectors)
        for layer in self.layers:
            scalars, vectors = layer(scalars, vectors)
        out = self.head(scalars).unflatten(-1, (self.swarm, -1))
        return Swarm(self.anchors(vectors) * UNIT, out[..., 0], out[..., 1:])


class MixingDecoder(nn.Module):
    """A perceptron on invariants of the embedding says how much of which vector goes into which point."""

    def __init__(self, config: MixingDecoderConfig, embedding: int, swarm: int, elements: int) -> None:
        super().__init__()
        self.swarm = swarm
        self.start = nn.Linear(embedding, config.width)
        self.scalarize = Scalarizer(embedding, config.width)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(config.width),
                nn.Linear(config.width, config.width),
                nn.GELU(),
                nn.Linear(config.width, config.width),
            )
            for _ in range(config.layers)
        )
        self.norm = nn.LayerNorm(config.width)
        self.anchors = _Anchors(embedding, swarm)
        self.mixing = nn.Linear(config.width, swarm * embedding)
        self.mixing.weight.data.mul_(0.1)
        self.head = nn.Linear(config.width, swarm * (1 + elements))

    def forward(self, embedding: Embedding) -> Swarm:
        vectors = embedding.vectors / UNIT
        scalars = self.start(embedding.scalars) + self.scalarize(vectors)
        for layer in self.layers:
            scalars = scalars + layer(scalars)
        scalars = self.norm(scalars)
        shares = self.mixing(scalars).unflatten(-1, (self.swarm, -1))
        points = self.anchors(vectors) + shares @ vectors.transpose(1, 2)
        out = self.head(scalars).unflatten(-1, (self.swarm, -1))
        return Swarm(points * UNIT, out[..., 0], out[..., 1:])


class EGNNDecoder(nn.Module):
    """Points as nodes of a complete graph, whose positions every layer moves."""

    def __init__(self, config: EGNNDecoderConfig, embedding: int, swarm: int, elements: int) -> None:
        super().__init__()
        self.swarm = swarm
        self.start = nn.Linear(embedding, swarm * config.width)
        self.scalarize = Scalarizer(embedding, swarm * config.width)
        self.spread = nn.Linear(embedding, swarm * config.vectors, bias=False)
        self.anchors = _Anchors(embedding, swarm)
        self.radial = GaussianRadial(config.radial, config.length)
        self.layers = nn.ModuleList(
            EquivariantMLP(config.width, config.vectors) for _ in range(config.layers)
        )
        self.convolutions = nn.ModuleList(
            GraphConvolution(config.width, config.vectors, config.radial, config.messages)
            for _ in range(config.layers)
        )
        moves = [nn.Linear(config.vectors, 1, bias=False) for _ in range(config.layers)]
        for move in moves:
            nn.init.normal_(move.weight, std=1e-2)
        self.moves = nn.ModuleList(moves)
        self.head = nn.Linear(config.width, 1 + elements)

    def forward(self, embedding: Embedding) -> Swarm:
        given = embedding.vectors / UNIT
        scalars = self.start(embedding.scalars) + self.scalarize(given)
        scalars = scalars.unflatten(-1, (self.swarm, -1))
        vectors = self.spread(given).unflatten(-1, (self.swarm, -1)).transpose(1, 2)
        positions = self.anchors(given)
        pairs = torch.ones(1, self.swarm, self.swarm, dtype=torch.bool, device=given.device)
        for layer, convolution, move in zip(self.layers, self.convolutions, self.moves, strict=True):
            scalars, vectors = layer(scalars, vectors)
            radial = self.radial(pair_distances(positions * UNIT))
            scalars, vectors = convolution(scalars, vectors, radial, pairs)
            positions = positions + move(vectors).squeeze(-1)
        out = self.head(scalars)
        return Swarm(positions * UNIT, out[..., 0], out[..., 1:])


DECODERS: dict[str, type[nn.Module]] = {"emlp": EMLPDecoder, "mixing": MixingDecoder, "egnn": EGNNDecoder}


@torch.no_grad()
def find_atoms(swarm: Swarm) -> DecodedAtoms:
    """Cluster swarms into atoms, without knowing what was encoded.

    Again and again, the point with the most weight around it takes the free points within 0.5 Å into its
    cluster; clusters with a weight of 0.35 or more become atoms, at the weighted mean of their points and of
    the element with the largest weighted probability. Nothing depends on the frame, and ties go to the first
    point: rotated swarms give rotated atoms in the same order. Like the paper's clustering (section 3.3) it
    makes sense only of swarms that are nearly converged; lighter clusters, which the paper merges into their
    neighbours, would shift these and are left out.
    """
    positions, weights, types = swarm.positions, swarm.weights, swarm.types
    distances = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")
    near = (distances <= REACH).to(weights.dtype)
    kernel = torch.exp(-0.5 * (distances / (0.5 * REACH)).square())
    free = torch.ones_like(weights)
    found = []
    for _ in range(weights.shape[1]):
        left = weights * free
        centre = (kernel @ left[..., None])[..., 0].masked_fill(free == 0, -1.0).argmax(1)
        own = near[torch.arange(len(centre), device=centre.device), centre] * free
        share = own * weights
        mass = share.sum(1)
        if not (left.sum(1) >= MASS).any():
            break
        mean = (share[:, None] @ positions)[:, 0] / mass.clamp(min=1e-9)[:, None]
        kind = (share[:, None] @ types)[:, 0].argmax(1)
        found.append((mass, mean, kind))
        free = free - own
    if not found:
        empty = positions.new_zeros(0)
        none = torch.zeros_like(weights[:, 0], dtype=torch.long)
        return DecodedAtoms(empty.long(), empty.view(0, 3), empty, none)
    masses, means, kinds = (torch.stack(part, 1) for part in zip(*found, strict=True))
    atom = masses >= MASS
    return DecodedAtoms(kinds[atom], means[atom], masses[atom], atom.sum(1))
