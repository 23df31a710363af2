"""Equivariant convolutions over neighbouring atoms, as products of dense matrices."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import (
    MAX_NUMBER,
    ORGANIC,
    AtomBatch,
    AtomFeatures,
    full_precision,
    radius_edges,
)
from skmol3d.encoders.config import check_elements, check_positive
from skmol3d.encoders.grid import GridBatch
from skmol3d.encoders.layers import Bessel, cosine_cutoff
from skmol3d.encoders.periodic import PeriodicBatch

FILTER_SCALE = 0.3
"""Of the filters: sums over some ten neighbours then start with about unit variance."""


@dataclass(frozen=True)
class EquivariantConvolutionConfig:
    """Sizes of an `EquivariantConvolution`.

    Attributes
    ----------
    width : int
        Channels of the scalars of each layer.
    vectors : int
        Channels of the vectors, and of the messages.
    layers : int
        Convolutions.
    filters : int
        Learned functions of the distance that all layers convolve with.
    radial : int
        Bessel functions of the distance that they are made from.
    cutoff : float
        Neighbours farther than this (Å) do not interact in one layer.
    degree : int
        Highest degree L of the spherical harmonics of a neighbour's direction, 1 or 2.
    elements : tuple of int
        Atomic numbers the weights were trained on.
    """

    kind: str = "equivariant-convolution"
    width: int = 128
    vectors: int = 64
    layers: int = 3
    filters: int = 8
    radial: int = 16
    cutoff: float = 5.0
    degree: int = 2
    elements: tuple[int, ...] = ORGANIC

    def __post_init__(self) -> None:
        check_positive(self, "width", "vectors", "layers", "filters", "radial", "cutoff")
        if self.degree not in (1, 2):
            raise ValueError(f"degree must be 1 or 2, got {self.degree}")
        check_elements(self.elements)


class EquivariantConvolution(nn.Module):
    """Neighbour sums Σ_j Σ_k φ_k(r_ij) Y_L(r̂_ij) ⊗ W_k h_j, without nonlinearity in the filter.

    Without one, the sum over neighbours and filters is a single product of two matrices per molecule: the
    filters [atoms · (2L + 1), atoms · K], the same for all layers, times what the atoms send
    [atoms · K, channels]. The `EquivariantTransformer` forms arrays of channels for every pair instead and
    moves each of them through the memory some ten times per layer. Filters are shared, but each layer and
    channel mixes them with weights of its own, as in SchNet (arXiv:1706.08566) and NequIP (arXiv:2101.03164);
    invariants of the neighbour sums update the atoms as in PaiNN (arXiv:2102.03150).

    Returns the invariants of every layer side by side (S = layers · width) and the vectors of the last one
    (V = vectors). Memory grows with the square of the largest molecule of a batch. Inside, atoms are padded,
    and harmonics and components stand before them, so that layers need not gather or copy; filters lead
    neither to padding nor from it.
    """

    Config: ClassVar[type] = EquivariantConvolutionConfig

    def __init__(self, config: EquivariantConvolutionConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(MAX_NUMBER, config.width)
        self.charge = nn.Linear(1, config.width, bias=False)
        self.radial = RadialFilters(config.radial, config.filters, config.cutoff)
        self.layers = nn.ModuleList(Convolution(config, first=k == 0) for k in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of scalars S and of vectors V per atom."""
        return self.config.layers * self.config.width, self.config.vectors

    @property
    def energy_scalars(self) -> range:
        """Those of the last layer."""
        size, _ = self.sizes
        return range(size - self.config.width, size)

    @full_precision
    def forward(self, batch: AtomBatch) -> AtomFeatures:
        """Features of all atoms: scalars [N, layers · width], vectors [N, 3, vectors]."""
        filters = Filters.of(self._filters(batch))
        x = self.embedding(batch.pad(batch.numbers)) + self.charge(batch.charge[:, None])[:, None]
        vectors: Tensor | None = None
        taps = []
        for layer in self.layers:
            x, vectors = layer(filters, x, vectors)
            taps.append(x)
        taps[-1] = self.norm(x)
        assert vectors is not None  # there is at least one layer
        return AtomFeatures(batch.unpad(torch.cat(taps, 2)), batch.unpad(vectors.transpose(1, 2)))

    def _filters(self, batch: AtomBatch) -> Tensor:
        """φ_k(r_ij) Y_m(r̂_ij) as [B, harmonics, L, L · K]: molecule, m, target, source and filter."""
        edges = radius_edges(batch, self.config.cutoff)
        if isinstance(batch, GridBatch):  # all pairs are there, in their places
            harmonics = spherical_harmonics(edges.direction, self.config.degree)
            radial = self.radial(edges.distance) * ~edges.itself[:, None]
            return _products(harmonics, radial, *batch.flat_index.shape)
        others = (~edges.itself).nonzero()[:, 0]
        source, target = edges.source[others], edges.target[others]
        harmonics = spherical_harmonics(edges.direction.index_select(0, others), self.config.degree)
        radial = self.radial(edges.distance.index_select(0, others))
        count, filters = harmonics.shape[1], radial.shape[1]
        molecules, longest = batch.flat_index.shape
        size, slots = molecules * longest * longest, batch.slot[target] * longest + batch.slot[source]
        if isinstance(batch, PeriodicBatch):  # several images of one atom can be neighbours: they add up
            row = batch.molecule[target][:, None] * count + torch.arange(count, device=target.device)
            place = (row * longest**2 + slots[:, None]).flatten()
            values = (harmonics[:, :, None] * radial[:, None]).flatten(0, 1)
            dense = values.new_zeros(size * count, filters).index_add_(0, place, values)
            return dense.view(molecules, count, longest, longest * filters)
        place = batch.molecule[target] * longest**2 + slots
        harmonics = harmonics.new_zeros(size, count).index_copy_(0, place, harmonics)
        radial = radial.new_zeros(size, filters).index_copy_(0, place, radial)
        return _products(harmonics, radial, molecules, longest)


def _products(harmonics: Tensor, radial: Tensor, molecules: int, longest: int) -> Tensor:
    """Filters of all pairs of places, from harmonics [B · L · L, M] and radial functions [B · L · L, K]."""
    count, filters = harmonics.shape[1], radial.shape[1]
    angular = harmonics.view(molecules, -1, count).transpose(1, 2).contiguous()[..., None]
    dense = angular * radial.view(molecules, 1, -1, filters)
    return dense.view(molecules, count, longest, longest * filters)


class Filters(NamedTuple):
    """What the layers multiply with what atoms send.

    Attributes
    ----------
    scalars : Tensor of shape [B, harmonics · L, L · K]
        For scalars.
    vectors : Tensor of shape [B · 3, 2 · L, L · K]
        For each component of vectors: L = 0 and the same component of L = 1.
    """

    scalars: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, filters: Tensor) -> Filters:
        """From [B, harmonics, L, L · K]."""
        odd = filters[:, 1:4]
        pairs = torch.stack([filters[:, :1].expand_as(odd), odd], 2)
        return cls(filters.flatten(1, 2), pairs.flatten(2, 3).flatten(0, 1))


class RadialFilters(nn.Module):
    """Learned functions of the distance (Å) that end smoothly at the cutoff: [E] -> [E, filters]."""

    def __init__(self, radial: int, filters: int, cutoff: float) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.basis = Bessel(radial, cutoff)
        self.mix = nn.Sequential(nn.Linear(radial, 64), nn.SiLU(), nn.Linear(64, filters))

    def forward(self, distance: Tensor) -> Tensor:
        envelope = FILTER_SCALE * cosine_cutoff(distance, self.cutoff)
        return self.mix(self.basis(distance)) * envelope[:, None]


def spherical_harmonics(direction: Tensor, degree: int) -> Tensor:
    """Real spherical harmonics of unit vectors [E, 3], L = 0 to ``degree`` (1 or 2), of unit mean square.

    Returns [E, 4] (1, x, y, z) or [E, 9].
    """
    parts = [torch.ones_like(direction[:, :1]), math.sqrt(3.0) * direction]
    if degree == 2:
        x, y, z = direction.unbind(1)
        mixed = torch.stack([x * y, y * z, x * z, 0.5 * (x * x - y * y)], 1)
        parts += [math.sqrt(15.0) * mixed, (0.5 * math.sqrt(5.0) * (3.0 * z * z - 1.0))[:, None]]
    return torch.cat(parts, 1)


class Convolution(nn.Module):
    """One update of scalars [B, L, F] and vectors [B, 3, L, V]; the first one has no vectors to read."""

    def __init__(self, config: EquivariantConvolutionConfig, first: bool) -> None:
        super().__init__()
        width, channels = config.width, config.vectors
        self.filters, self.channels = config.filters, channels
        self.norm = nn.LayerNorm(width)
        self.sent = nn.Linear(width, config.filters * channels)
        self.sent_vectors = None if first else nn.Linear(channels, config.filters * channels, bias=False)
        gathered = channels if first else 3 * channels
        self.left = nn.Linear(gathered, channels, bias=False)
        self.right = nn.Linear(gathered, channels, bias=False)
        invariants = 2 + (not first) + (config.degree == 2)
        self.update = nn.Sequential(
            nn.Linear(width + invariants * channels, width), nn.SiLU(), nn.Linear(width, width + channels)
        )

    def forward(self, filters: Filters, x: Tensor, vectors: Tensor | None) -> tuple[Tensor, Tensor]:
        molecules, longest, width = x.shape
        normed = self.norm(x)
        sent = self.sent(normed).view(molecules, longest * self.filters, self.channels)
        sums = torch.bmm(filters.scalars, sent).view(molecules, -1, longest, self.channels)
        # Split, since the gradient of each part that is indexed would be an array of the size of the whole.
        scalar, vector, *tensor = sums.split([1, 3, 5] if sums.shape[1] == 9 else [1, 3], 1)
        invariants = [normed, scalar.squeeze(1), *(t.square().sum(1) for t in tensor)]
        if self.sent_vectors is not None and vectors is not None:
            moved = self.sent_vectors(vectors).view(3 * molecules, longest * self.filters, self.channels)
            received = torch.bmm(filters.vectors, moved).view(molecules, 3, 2, longest, self.channels)
            carried, along = received.unbind(2)
            invariants.append(along.sum(1))
            vector = torch.cat([vector, carried, vectors], 3)
        left, right = self.left(vector), self.right(vector)
        invariants.append((left * right).sum(1))
        step, gate = self.update(torch.cat(invariants, 2)).split([width, self.channels], 2)
        turned = left * gate[:, None]
        return x + step, turned if vectors is None else vectors + turned
