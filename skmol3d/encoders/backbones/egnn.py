"""E(n)-equivariant graph neural network (EGNN), with several vector channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

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
class EGNNConfig:
    """Sizes of an `EGNN`.

    Attributes
    ----------
    width : int
        Channels of the scalars of each layer.
    layers : int
        Update layers.
    channels : int
        Coordinates that each atom carries side by side, which become its vectors.
    radial : int
        Exp-normal radial functions of the distance.
    cutoff : float
        Neighbours farther than this (Å) do not interact in one layer.
    elements : tuple of int
        Atomic numbers the weights were trained on.
    """

    kind: str = "egnn"
    width: int = 128
    layers: int = 5
    channels: int = 16
    radial: int = 32
    cutoff: float = 5.0
    elements: tuple[int, ...] = ORGANIC

    def __post_init__(self) -> None:
        check_positive(self, "width", "layers", "channels", "radial", "cutoff")
        check_elements(self.elements)


class EGNN(nn.Module):
    """Messages that depend on distances change the scalars and move the coordinates of the atoms.

    Every atom carries several coordinates, all of which start at its position (multi-channel EGNN); how far
    each has moved is a vector of the output. Returns the invariants of every layer side by side
    (S = layers · width), as `EquivariantTransformer` does, and the displacements after the last layer in Å
    (V = channels). Neighbours and the envelope follow the positions, not the moved coordinates, so that the
    energy is smooth in the positions.

    References
    ----------
    V. G. Satorras, E. Hoogeboom and M. Welling, "E(n) Equivariant Graph Neural Networks", arXiv:2102.09844.
    D. Levy et al., "Using Multiple Vector Channels Improves E(n)-Equivariant Graph Neural Networks",
    arXiv:2309.03139.
    """

    Config: ClassVar[type] = EGNNConfig

    def __init__(self, config: EGNNConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(MAX_NUMBER, config.width)
        self.charge = nn.Linear(1, config.width, bias=False)
        self.radial = ExpNormal(config.radial, config.cutoff)
        self.layers = nn.ModuleList(EGNNLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)

    @property
    def sizes(self) -> tuple[int, int]:
        """Numbers of scalars S and of vectors V per atom."""
        return self.config.layers * self.config.width, self.config.channels

    @property
    def energy_scalars(self) -> range:
        """Those of the last layer, which knows the others."""
        scalars, _ = self.sizes
        return range(scalars - self.config.width, scalars)

    @full_precision
    def forward(self, batch: AtomBatch) -> AtomFeatures:
        """Features of all atoms: scalars [N, layers · width], vectors [N, 3, channels]."""
        edges = _between_atoms(radius_edges(batch, self.config.cutoff))
        radial = self.radial(edges.distance)
        envelope = cosine_cutoff(edges.distance, self.config.cutoff)[:, None]
        x = self.embedding(batch.numbers) + self.charge(batch.charge[:, None]).index_select(0, batch.molecule)
        moved = x.new_zeros(len(x), 3, self.config.channels)
        taps = []
        for layer in self.layers:
            x, moved = layer(x, moved, edges, radial, envelope)
            taps.append(x)
        taps[-1] = self.norm(x)
        return AtomFeatures(torch.cat(taps, 1), moved)


class EGNNLayer(nn.Module):
    """One update of the scalars h [N, F] and of the displacements of the coordinates [N, 3, C] (Å).

    Equations 3 to 6 of arXiv:2102.09844 with the edge attention of its section 3.3, for atoms i ≠ j and each
    channel c of the coordinates x: m_ij = e(m) φ_e(h_i, h_j, ‖x_ic − x_jc‖²),
    x_ic += Σ_j (x_ic − x_jc)/(d_ij + 1) φ_xc(m_ij), h_i += φ_h(h_i, Σ_j m_ij). Ours: the scalars are
    normalised before the messages, φ_e also reads radial functions of the distance d_ij, messages and moves
    carry an envelope, and d_ij + 1 (Å) keeps moves bounded where the paper divides by the number of atoms,
    which would make an atom depend on others far away.
    """

    def __init__(self, config: EGNNConfig) -> None:
        super().__init__()
        width, channels = config.width, config.channels
        self.unit = config.cutoff**2
        self.norm = nn.LayerNorm(width)
        # Together the first linear layer of φ_e; apart, most of its work is done per atom, not per pair.
        self.receiver = nn.Linear(width, width)
        self.sender = nn.Linear(width, width, bias=False)
        self.geometry = nn.Linear(config.radial + channels, width, bias=False)
        self.message = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.attention = nn.Linear(width, 1)
        speed = nn.Linear(width, channels, bias=False)
        # As in the authors' code: coordinates start out nearly still.
        nn.init.xavier_uniform_(speed.weight, gain=1e-3)
        self.move = nn.Sequential(nn.Linear(width, width), nn.SiLU(), speed)
        self.update = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(
        self, x: Tensor, moved: Tensor, edges: Edges, radial: Tensor, envelope: Tensor
    ) -> tuple[Tensor, Tensor]:
        normed = self.norm(x)
        apart = (edges.direction * edges.distance[:, None])[:, :, None] + (
            moved.index_select(0, edges.target) - moved.index_select(0, edges.source)
        )
        squared = apart.square().sum(1) / self.unit
        hidden = (
            self.receiver(normed).index_select(0, edges.target)
            + self.sender(normed).index_select(0, edges.source)
            + self.geometry(torch.cat([radial, squared], 1))
        )
        message = self.message(hidden)
        message = message * torch.sigmoid(self.attention(message)) * envelope
        speed = self.move(message) * envelope / (edges.distance[:, None] + 1.0)
        gathered = torch.zeros_like(x).index_add(0, edges.target, message)
        pushed = torch.zeros_like(moved).index_add(0, edges.target, apart * speed[:, None])
        return x + self.update(torch.cat([normed, gathered], 1)), moved + pushed


def _between_atoms(edges: Edges) -> Edges:
    return Edges(*(values[~edges.itself] for values in edges))
