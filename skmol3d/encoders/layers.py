"""Parts of the encoders: radial functions, pair representation, pair-biased attention, pooling."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from skmol3d.encoders.atoms import AtomBatch

# Sums over atoms are handed out in units of this many atoms, so that all pooled columns have similar sizes.
SUM_UNIT = 20.0


class Bessel(nn.Module):
    """Radial functions √(2/c)·sin(nπd/c)/d, n = 1..K, of distances d in Å: [...] -> [..., K].

    ``c`` sets the longest wavelength and is no cutoff: distances beyond it are still told apart.
    """

    frequency: Tensor

    def __init__(self, size: int, length: float) -> None:
        super().__init__()
        self.length = length
        self.register_buffer("frequency", torch.arange(1.0, size + 1), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        # Not torch.sinc, which takes three times as long on a CPU.
        distance, scale = distance[..., None], math.sqrt(2.0 / self.length)
        angular = self.frequency * (math.pi / self.length)
        zero = distance == 0
        wave = torch.sin(distance * angular) * (scale / torch.where(zero, 1.0, distance))
        return torch.where(zero, scale * angular, wave)


class ExpNormal(nn.Module):
    """Exponential-normal radial functions of TorchMD-NET (arXiv:2202.02541), no envelope: [E] -> [E, K]."""

    centre: Tensor
    sharpness: Tensor

    def __init__(self, size: int, cutoff: float) -> None:
        super().__init__()
        start = math.exp(-cutoff)
        self.alpha = 5.0 / cutoff
        self.register_buffer("centre", torch.linspace(start, 1.0, size))
        self.register_buffer("sharpness", torch.full((size,), (2.0 / size * (1.0 - start)) ** -2))

    def forward(self, distance: Tensor) -> Tensor:
        return torch.exp(
            -self.sharpness * (torch.exp(-self.alpha * distance)[:, None] - self.centre).square()
        )


def cosine_cutoff(distance: Tensor, cutoff: float) -> Tensor:
    """Envelope that falls smoothly from 1 at distance 0 to 0 at ``cutoff`` (Å)."""
    return 0.5 * (torch.cos(distance * (math.pi / cutoff)) + 1.0) * (distance < cutoff)


def random_walks(tokens: AtomBatch, steps: int = 16) -> Tensor:
    """Powers [I, T, ..., T^steps] of the transition matrix of each molecular graph: [B, L, L, steps + 1]."""
    adjacency = tokens.bonded.to(tokens.positions)
    transition = adjacency / adjacency.sum(2, keepdim=True).clamp(min=1.0)
    walk = torch.eye(adjacency.shape[1], dtype=transition.dtype, device=transition.device).expand_as(
        transition
    )
    powers = [walk]
    for _ in range(steps):
        walk = walk @ transition
        powers.append(walk)
    return torch.stack(powers, -1)


class TokenPairs:
    """The unordered pairs of the tokens of each molecule, every token with itself among them.

    What attention knows of two atoms is symmetric: of arrays that are padded to [B, L, L] half would be
    computed twice, and some for no token.

    Parameters
    ----------
    real : BoolTensor [B, L]
        Padded places that hold a token.

    Attributes
    ----------
    first, second : LongTensor [E]
        Places of the two tokens in flattened padded arrays [B · L].
    """

    def __init__(self, real: Tensor) -> None:
        self.real = real
        longest = real.shape[1]
        molecule, i, j = (real[:, :, None] & real[:, None]).triu().nonzero(as_tuple=True)
        self.first, self.second = molecule * longest + i, molecule * longest + j
        self._places = self.first * longest + j, self.second * longest + i

    def both(self, dense: Tensor) -> Tensor:
        """Values [2, E, ...] of padded ordered pairs [B, L, L, ...]: from first to second, and back."""
        flat = dense.flatten(0, 2)
        return torch.stack([flat.index_select(0, places) for places in self._places])

    def biases(self, values: Tensor) -> Tensor:
        """Attention logits [B, H, L, L] of values [E, H]; -inf keeps tokens from what is padding."""
        molecules, longest = self.real.shape
        keys = values.new_zeros(self.real.shape).masked_fill(~self.real, -torch.inf)
        logits = keys[:, None].expand(values.shape[1], molecules, longest, longest).flatten(1)
        for places in self._places:
            logits = logits.index_copy(1, places, values.T)
        return logits.view(-1, molecules, longest, longest).transpose(0, 1)


class PairRepresentation(nn.Module):
    """What attention knows about two atoms, symmetric in them: [E, P].

    P = sym(Linear(e_ij)); P += sym(σ(MLP(e_ij)) ⊙ W_L s_i ⊙ W_R s_j); P += gated feed-forward, gate zero at
    the start; e_ij is the structure encoding of the pair (arXiv:2607.19977).
    """

    def __init__(self, encoding: int, scalars: int, width: int) -> None:
        super().__init__()
        self.start = nn.Linear(encoding, width)
        self.gate = nn.Sequential(nn.Linear(encoding, width), nn.SiLU(), nn.Linear(width, width))
        self.left = nn.Linear(scalars, width, bias=False)
        self.right = nn.Linear(scalars, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.shrink = nn.Linear(width, width)
        self.strength = nn.Parameter(torch.zeros(width))

    def forward(self, encoding: Tensor, scalars: Tensor, places: TokenPairs) -> Tensor:
        """Encodings [2, E, K] of i to j and of j to i, or [1, E, K] where they agree; scalars [B, L, S]."""
        left, right = (layer(scalars).flatten(0, 1) for layer in (self.left, self.right))
        ends = (places.first, places.second)
        outer = [left.index_select(0, i) * right.index_select(0, j) for i, j in (ends, ends[::-1])]
        opened = torch.sigmoid(self.gate(encoding))
        pairs = self.start(encoding).mean(0) + 0.5 * (opened[0] * outer[0] + opened[-1] * outer[1])
        value, gate = self.expand(self.norm(pairs)).chunk(2, -1)
        return pairs + self.strength * self.shrink(value * gelu(gate))


class PairBiasedBlock(nn.Module):
    """Pre-LN transformer block whose attention logits carry a zero-initialised linear read-out of the pairs.

    With ``memory`` > 0 it also attends to one vector of that size per molecule (the decoder of atom
    denoising).
    """

    def __init__(self, width: int, heads: int, pair_width: int, memory: int = 0) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.pair_norm = nn.LayerNorm(pair_width)
        self.bias = nn.Linear(pair_width, heads, bias=False)
        nn.init.zeros_(self.bias.weight)
        self.merge = nn.Linear(width, width)
        self.memory = nn.Linear(memory, width) if memory else None
        self.feed_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.shrink = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, pairs: Tensor, places: TokenPairs, memory: Tensor | None = None) -> Tensor:
        """Tokens [B, L, D] and pairs [E, P] -> [B, L, D]."""
        b, size, width = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(b, size, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = places.biases(self.bias(self.pair_norm(pairs)))
        mixed = scaled_dot_product_attention(q, k, v, attn_mask=bias)
        x = x + self.merge(mixed.transpose(1, 2).reshape(b, size, width))
        if self.memory is not None and memory is not None:
            # Attention to a single key has weight one: it is a projection.
            x = x + self.memory(memory)[:, None]
        value, gate = self.expand(self.feed_norm(x)).chunk(2, -1)
        return x + self.shrink(value * gelu(gate))


class Pooling(nn.Module):
    """Tokens [B, L, D] -> one row per molecule, from one or several statistics side by side.

    ``mean``, ``std``, ``max``, ``min``, ``sum`` (in units of 20 atoms), ``attention`` (one learned softmax
    weighting) and ``pma`` (pooling by multi-head attention with learned seed queries, arXiv:1810.00825).
    """

    PLAIN = ("mean", "std", "max", "min", "sum")
    KINDS = (*PLAIN, "attention", "pma")

    def __init__(self, kinds: tuple[str, ...], width: int, heads: int, seeds: int) -> None:
        super().__init__()
        self.kinds = kinds
        self.size = sum(seeds * width if kind == "pma" else width for kind in kinds)
        if "attention" in kinds:
            self.score = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
        if "pma" in kinds:
            self.seeds = nn.Parameter(torch.randn(1, seeds, width) / math.sqrt(width))
            self.pma = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        pooled = [getattr(self, f"_{kind}")(x, real) for kind in self.kinds]
        return torch.cat(pooled, 1) if pooled else x.new_zeros(len(x), 0)

    def _mean(self, x: Tensor, real: Tensor) -> Tensor:
        return (x * real[..., None]).sum(1) / real.sum(1, keepdim=True)

    def _std(self, x: Tensor, real: Tensor) -> Tensor:
        deviation = (x - self._mean(x, real)[:, None]) * real[..., None]
        # The small constant keeps the gradient finite for molecules whose tokens agree.
        return (deviation.square().sum(1) / real.sum(1, keepdim=True) + 1e-6).sqrt() - 1e-3

    def _max(self, x: Tensor, real: Tensor) -> Tensor:
        return x.masked_fill(~real[..., None], -torch.inf).amax(1)

    def _min(self, x: Tensor, real: Tensor) -> Tensor:
        return x.masked_fill(~real[..., None], torch.inf).amin(1)

    def _sum(self, x: Tensor, real: Tensor) -> Tensor:
        return (x * real[..., None]).sum(1) / SUM_UNIT

    def _attention(self, x: Tensor, real: Tensor) -> Tensor:
        weights = self.score(x).masked_fill(~real[..., None], -torch.inf).softmax(1)
        return (weights * x).sum(1)

    def _pma(self, x: Tensor, real: Tensor) -> Tensor:
        seeds = self.seeds.expand(len(x), -1, -1)
        return self.pma(seeds, x, x, key_padding_mask=~real, need_weights=False)[0].flatten(1)
