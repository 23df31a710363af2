"""The Equivariant Transformer of TorchMD-NET."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from skmol3d.encoders.atoms import (
    MAX_NUMBER,
    ORGANIC,
    AtomBatch,
    AtomFeatures,
    Edges,
    full_precision,
    radius_edges,
)
from skmol3d.encoders.config import check_elements, check_positive
from skmol3d.encoders.layers import ExpNormal, cosine_cutoff


@dataclass(frozen=True)
class EquivariantTransformerConfig:
    """Sizes of an `EquivariantTransformer`.

    Attributes
    ----------
    width : int
        Channels of the scalars and of the vectors of each layer.
    layers, heads : int
        Update layers, and attention heads per layer.
    radial : int
        Exp-normal radial functions of the distance.
    cutoff : float
        Neighbours farther than this (Å) do not interact in one layer.
    elements : tuple of int
        Atomic numbers the weights were trained on.
    """

    kind: str = "equivariant-transformer"
    width: int = 128
    layers: int = 3
    heads: int = 8
    radial: int = 32
    cutoff: float = 5.0
    elements: tuple[int, ...] = ORGANIC

    def __post_init__(self) -> None:
        check_positive(self, "width", "layers", "heads", "radial", "cutoff")
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        check_elements(self.elements)


class EquivariantTransformer(nn.Module):
    """Equivariant attention over neighbouring atoms.

    Returns the invariants of every layer side by side (S = layers · width) and the vectors of the last one
    (V = width): shallow layers know the element and its first shell, deep ones the surroundings, and whoever
    pools them linearly wants both.

    References
    ----------
    P. Thölke and G. De Fabritiis, "TorchMD-NET: Equivariant Transformers for Neural Network based Molecular
    Potentials", arXiv:2202.02541.
    """

    Config: ClassVar[type] = EquivariantTransformerConfig

    def __init__(self, config: EquivariantTransformerConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.embedding = nn.Embedding(MAX_NUMBER, width)
        self.neighbour_embedding = nn.Embedding(MAX_NUMBER, width)
        self.charge = nn.Linear(1, width, bias=False)
        self.radial = ExpNormal(config.radial, config.cutoff)
        self.neighbour_filter = nn.Linear(config.radial, width)
        self.combine = nn.Linear(2 * width, width)
        self.layers = nn.ModuleList(EquivariantAttention(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of scalars S and of vectors V per atom."""
        return self.config.layers * self.config.width, self.config.width

    @property
    def energy_scalars(self) -> range:
        """Those of the last layer, which knows the others."""
        scalars, _ = self.sizes
        return range(scalars - self.config.width, scalars)

    @full_precision
    def forward(self, batch: AtomBatch) -> AtomFeatures:
        """Features of all atoms: scalars [N, layers · width], vectors [N, 3, width]."""
        edges = radius_edges(batch, self.config.cutoff)
        envelope = cosine_cutoff(edges.distance, self.config.cutoff)
        radial = self.radial(edges.distance) * envelope[:, None]
        x = self._embed(batch, edges, radial, envelope)
        vectors = x.new_zeros(len(x), 3, self.config.width)
        taps = []
        for k, layer in enumerate(self.layers):
            # The first layer would spend much of its work on zeros.
            dx, dv = layer(x, vectors if k else None, edges, radial, envelope)
            x, vectors = x + dx, vectors + dv
            taps.append(x)
        taps[-1] = self.norm(x)
        return AtomFeatures(torch.cat(taps, 1), vectors)

    def _embed(self, batch: AtomBatch, edges: Edges, radial: Tensor, envelope: Tensor) -> Tensor:
        x = self.embedding(batch.numbers) + self.charge(batch.charge[:, None]).index_select(0, batch.molecule)
        filters = self.neighbour_filter(radial) * (envelope * ~edges.itself)[:, None]
        message = self.neighbour_embedding(batch.numbers).index_select(0, edges.source) * filters
        return self.combine(torch.cat([x, torch.zeros_like(x).index_add(0, edges.target, message)], 1))


class EquivariantAttention(nn.Module):
    """One update: attention-weighted messages change the scalars [N, F] and the vectors [N, 3, F].

    Vectors that are all zero can be given as None.
    """

    def __init__(self, config: EquivariantTransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, 3 * width)
        self.key_filter = nn.Linear(config.radial, width)
        self.value_filter = nn.Linear(config.radial, 3 * width)
        self.vectors = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, 3 * width)
        for linear in (self.query, self.key, self.value, self.vectors, self.out):
            nn.init.xavier_uniform_(linear.weight)
        for linear in (self.query, self.key, self.value, self.out):
            nn.init.zeros_(linear.bias)

    def forward(
        self, x: Tensor, vectors: Tensor | None, edges: Edges, radial: Tensor, envelope: Tensor
    ) -> tuple[Tensor, Tensor]:
        width = x.shape[1]
        normed = self.norm(x)
        key = self.key(normed).index_select(0, edges.source) * silu(self.key_filter(radial))
        logits = self.query(normed).index_select(0, edges.target) * key
        attention = silu(logits.view(-1, self.heads, width // self.heads).sum(-1))
        # TorchMD-NET puts the envelope on the attention alone, so its vector messages jump at the cutoff; on
        # the value it makes all messages smooth.
        filters = silu(self.value_filter(radial)) * envelope[:, None]
        value = self.value(normed).index_select(0, edges.source) * filters
        scalar, along, across = value.chunk(3, 1)
        scalar = (scalar.view(-1, self.heads, width // self.heads) * attention[:, :, None]).view(-1, width)
        push = across[:, None] * edges.direction[:, :, None]
        if vectors is not None:
            push = push + vectors.index_select(0, edges.source) * along[:, None]
        gathered = torch.zeros_like(x).index_add(0, edges.target, scalar)
        pushed = push.new_zeros(len(x), 3, width).index_add(0, edges.target, push)
        mix, dot, shift = self.out(gathered).chunk(3, 1)
        if vectors is None:
            return shift, pushed
        first, second, third = self.vectors(vectors).chunk(3, 2)
        return (first * second).sum(1) * dot + shift, third * mix[:, None] + pushed
