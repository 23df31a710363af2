"""Parts of Mo3ENet: equivariant MLP, scalarizer, augmented softmax, graph convolution, assignment.

All work on padded nodes: scalars [B, L, S], vectors [B, L, 3, V], a mask [B, L] of the places that hold a
node. Vectors are only ever combined linearly, or stretched by scalars, so that they turn with the molecule.
Formulas: appendix A of arXiv:2405.13791.
"""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn.functional import gelu

#: Norms are √(v² + SMALL²), so that vectors of length zero have a gradient and no arbitrary direction.
SMALL = 1e-2
AXES = 3
ROUNDS, COARSE = 24, 2.0  # of an assignment, and its first blur in the unit of its costs


def lengths(vectors: Tensor, small: float = SMALL) -> Tensor:
    """Smooth norms [..., V] of vectors [..., 3, V]; those of shorter vectors than ``small`` hardly change."""
    return (vectors.square().sum(-2) + small**2).sqrt()


class Scalarizer(nn.Module):
    """Invariants of a set of vectors [..., 3, V]: [..., out].

    Norms, and overlaps of the directions with three learned axes, which are themselves linear combinations
    of the directions and turn with them; then a linear layer. Norms alone would not tell relative directions.
    """

    def __init__(self, vectors: int, out: int, small: float = SMALL) -> None:
        super().__init__()
        self.small = small
        self.axes = nn.Linear(vectors, AXES, bias=False)
        self.mix = nn.Linear((1 + AXES) * vectors, out)

    def forward(self, vectors: Tensor) -> Tensor:
        norms = lengths(vectors, self.small)
        directions = vectors / norms.unsqueeze(-2)
        overlaps = directions.transpose(-1, -2) @ self.axes(directions)
        return self.mix(torch.cat([norms, overlaps.flatten(-2)], -1))


class VectorActivation(nn.Module):
    """Shrink what points against a learned direction: v ← v − gelu(p)·n, p = min(v·n, 0), |n| = 1.

    The direction of each channel is a linear combination of all vectors (vector neurons, arXiv:2104.12229).
    """

    def __init__(self, vectors: int, small: float = SMALL) -> None:
        super().__init__()
        self.small = small
        self.direction = nn.Linear(vectors, vectors, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        direction = self.direction(vectors)
        direction = direction / lengths(direction, self.small).unsqueeze(-2)
        against = (vectors * direction).sum(-2, keepdim=True).clamp(max=0.0)
        return vectors - gelu(against) * direction


class EquivariantMLP(nn.Module):
    """One layer on scalars [..., S] and vectors [..., 3, V] (equations 10 and 11).

    s ← s + σ(N(W(s + S(v)))), v ← v + W s ⊙ σ⃗(W v). Ours: the gate is linear in the scalars, where the paper
    normalises and activates it. Scalars are normalised per node
    (the paper: over all nodes of a molecule), vectors not at all, as in the paper's best settings. Directions
    of vectors shorter than ``small`` fade.
    """

    def __init__(self, scalars: int, vectors: int, small: float = SMALL) -> None:
        super().__init__()
        self.scalarize = Scalarizer(vectors, scalars, small)
        self.linear = nn.Linear(scalars, scalars)
        self.norm = nn.LayerNorm(scalars)
        self.gate = nn.Linear(scalars, vectors)
        self.mix = nn.Linear(vectors, vectors, bias=False)
        self.activation = VectorActivation(vectors, small)

    def forward(self, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        scalars = scalars + gelu(self.norm(self.linear(scalars + self.scalarize(vectors))))
        gate = self.gate(scalars).unsqueeze(-2)
        return scalars, vectors + gate * self.activation(self.mix(vectors))


class AugmentedSoftmax(nn.Module):
    """Weights softmax(β_k x_ik) + b_k over one axis of ``x``, with learned β and b for every channel k.

    Between mean (β = 0), maximum (β → ∞) and sum (b ≠ 0); starts at β = 1, b = 0.1 (equations 13 and 14).
    Where ``mask`` is false the weight is zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.ones(channels))
        self.sum = nn.Parameter(torch.full((channels,), 0.1))

    def forward(self, x: Tensor, mask: Tensor, dim: int) -> Tensor:
        # Not -inf: of a padded node, all neighbours are masked.
        logits = (self.sharpness * x).masked_fill(~mask, torch.finfo(x.dtype).min)
        return (logits.softmax(dim) + self.sum) * mask


class Summed(nn.Module):
    """In the place of `AugmentedSoftmax`: all weights alike, 1 / ``total`` where ``mask`` is true."""

    def __init__(self, total: float) -> None:
        super().__init__()
        self.total = total

    def forward(self, x: Tensor, mask: Tensor, dim: int) -> Tensor:
        return mask.to(x.dtype) / self.total


class GaussianRadial(nn.Module):
    """Gaussian functions of distances in Å, centres evenly from 0 to ``cutoff``: [...] -> [..., K]."""

    centre: Tensor

    def __init__(self, size: int, cutoff: float) -> None:
        super().__init__()
        self.width = cutoff / size
        self.register_buffer("centre", torch.linspace(0.0, cutoff, size), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        return torch.exp(-0.5 * ((distance.unsqueeze(-1) - self.centre) / self.width).square())


class GraphConvolution(nn.Module):
    """Messages between the nodes of a molecule (equations 15 and 16).

    s_i += W₁ Agg_j σ(W₂ s_i + W₃ s_j + W₄ e_ij), v_i += W₁ Agg_j (W₂ v_i + W₃ v_j) ⊙ W₄ e_ij. Ours: the three
    parts of a scalar message are summed, not concatenated, and the vector messages are weighted by the scalar
    ones, where the paper's weights follow their norms; so the aggregate is a matrix product, and the L²
    vector messages are never held in memory. With ``total`` messages are summed, in units of so many: the
    softmax lets a small move of an atom choose between messages.
    """

    def __init__(
        self, scalars: int, vectors: int, radial: int, messages: int, total: float | None = None
    ) -> None:
        super().__init__()
        self.receiver = nn.Linear(scalars, messages)
        self.sender = nn.Linear(scalars, messages, bias=False)
        self.edge = nn.Linear(radial, messages, bias=False)
        self.weigh = AugmentedSoftmax(messages) if total is None else Summed(total)
        self.merge = nn.Linear(messages, scalars)
        self.vector_receiver = nn.Linear(vectors, messages, bias=False)
        self.vector_sender = nn.Linear(vectors, messages, bias=False)
        self.vector_edge = nn.Linear(radial, messages)
        self.vector_merge = nn.Linear(messages, vectors, bias=False)

    def forward(
        self, scalars: Tensor, vectors: Tensor, radial: Tensor, pairs: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update with radial functions [B, L, L, R] of the distances and a mask [B, L, L] of the edges."""
        message = gelu(self.receiver(scalars)[:, :, None] + self.sender(scalars)[:, None] + self.edge(radial))
        weight = self.weigh(message, pairs[..., None], 2)
        scalars = scalars + self.merge((weight * message).sum(2))
        gate = weight * self.vector_edge(radial)
        sent = gate.permute(0, 3, 1, 2) @ self.vector_sender(vectors).permute(0, 3, 1, 2)
        received = self.vector_receiver(vectors) * gate.sum(2)[:, :, None]
        return scalars, vectors + self.vector_merge(received + sent.permute(0, 2, 3, 1))


def pair_distances(positions: Tensor) -> Tensor:
    """Distances [B, L, L] of padded positions [B, L, 3], smooth where two points meet."""
    return ((positions[:, :, None] - positions[:, None]).square().sum(-1) + SMALL**2).sqrt()


def assign(cost: Tensor, real: Tensor, blur: float) -> Tensor:
    """Share of each atom that each point gets, [B, L, M]: rows sum to 1 and columns to 1 at most.

    ``cost`` is [B, L, M]; ``real`` [B, L] masks the places that hold an atom, at most M in a molecule.
    Minimises cost less ``blur`` times entropy by Sinkhorn's iterations with an inequality on the columns
    (arXiv:1607.05816), from a coarse blur to the final one, so that prices can rise by several Å in a few
    rounds; after the last of them rows are exact, columns nearly.
    """
    cost = cost.masked_fill(~real[..., None], 0.0)
    price = torch.zeros_like(cost[:, 0])  # of a point, at most 0
    start = max(COARSE, blur)
    for k in range(1, ROUNDS + 1):
        width = max(blur, start * (blur / start) ** (k / (0.75 * ROUNDS)))
        gain = torch.logsumexp((price[:, None] - cost) / width, 2, keepdim=True)
        bids = (-cost / width - gain).masked_fill(~real[..., None], -torch.inf)
        price = (-width * torch.logsumexp(bids, 1)).clamp(max=0.0)
    return ((price[:, None] - cost) / blur).softmax(2) * real[..., None]


@torch.no_grad()
def exact_assignment(cost: Tensor, real: Tensor) -> Tensor:
    """The cheapest assignment of every atom to a point of its own, [B, L, M] of 0 and 1; see `assign`."""
    chosen = torch.zeros_like(cost)
    each = cost.double().cpu().numpy()
    for m, count in enumerate(real.sum(1).tolist()):
        rows, columns = linear_sum_assignment(each[m, :count])
        chosen[m, rows, columns] = 1.0
    return chosen
