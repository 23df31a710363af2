"""REM3DI as its authors publish it, for their weights: another network than our `REM3DI`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, silu

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.backbones import AnyBackboneConfig, EquivariantTransformerConfig, build_backbone
from skmol3d.encoders.config import check_positive
from skmol3d.encoders.layers import Bessel
from skmol3d.encoders.protocols import Backbone

SILU_SCALE = 1.6790949390449735
"""Of e3nn: what gives silu of a standard normal variable a mean square of one."""
HIDDEN = 16  # of the networks that give weights to triple products
EPSILON = 1e-6  # added to mean squares of vectors


@dataclass(frozen=True)
class PublishedREM3DIConfig:
    """Sizes of a `PublishedREM3DI`.

    Attributes
    ----------
    backbone : config
        The potential whose invariants and vectors are read, all that it hands out.
    projection : int
        Width that invariants are projected to; 0 takes them as they are.
    projection_bias : bool
    chiral, pseudoscalars : int
        Columns of each token that are made of pseudoscalars, and their number; 0 for none.
    conditioned : bool
        Whether weights of the triple products depend on the invariants of the atom (as of 2026) or not.
    gated : bool
        Whether pseudoscalars are gated by the invariants.
    layers, heads, feed : int
        Transformer blocks, attention heads and width of the feed-forward layers.
    pair_width, radial : int
        Channels of the pair representation, and radial functions.
    radial_length : float
        Å.
    basis : {"bessel", "gaussian"}
    pooling : {"mean", "attention", "pma", "pma-mean"}
        "pma-mean" is that of models from before the seeds' rows were handed out one by one.
    output : int
        Columns of a pooled row.
    pool_heads, pool_width, seeds : int
        Of attention and pma: heads, width of keys over all heads, learned queries.
    pool_feed : bool
        Whether a feed-forward layer follows in pma.
    """

    backbone: AnyBackboneConfig = field(default_factory=EquivariantTransformerConfig)
    projection: int = 256
    projection_bias: bool = False
    chiral: int = 0
    pseudoscalars: int = 0
    conditioned: bool = True
    gated: bool = True
    layers: int = 4
    heads: int = 8
    feed: int = 1024
    pair_width: int = 64
    radial: int = 16
    radial_length: float = 32.0
    basis: str = "bessel"
    pooling: str = "mean"
    output: int = 64
    pool_heads: int = 1
    pool_width: int = 1
    seeds: int = 1
    pool_feed: bool = False

    def __post_init__(self) -> None:
        check_positive(self, "layers", "heads", "feed", "pair_width", "radial", "radial_length")
        check_positive(self, "output", "pool_heads", "pool_width", "seeds")
        if self.basis not in ("bessel", "gaussian"):
            raise ValueError(f"basis must be 'bessel' or 'gaussian', got {self.basis!r}")
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling must be one of {tuple(POOLINGS)}, got {self.pooling!r}")
        if min(self.projection, self.chiral, self.pseudoscalars) < 0 or self.chiral > 0 == self.pseudoscalars:
            raise ValueError("projection, chiral and pseudoscalars must not be negative; chiral needs some")


class PublishedREM3DI(nn.Module):
    """The authors' network (arXiv:2607.19977): its descriptor is one block, all atoms are tokens.

    Invariants of the backbone are standardised and projected; pseudoscalars, triple products of its vectors,
    stand next to them in each token, so that all columns may tell mirror images apart, and none has a
    promised parity. Written from the architecture; `skmol3d.hub.convert` brings the weights.

    Parameters
    ----------
    config : PublishedREM3DIConfig
    backbone : Module, optional
        Built from the config if absent.
    """

    name: ClassVar[str] = "rem3di-published"
    version: ClassVar[int] = 1
    Config: ClassVar[type] = PublishedREM3DIConfig
    mean: Tensor
    scale: Tensor

    def __init__(self, config: PublishedREM3DIConfig, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone: Any = build_backbone(config.backbone) if backbone is None else backbone
        scalars, vectors = self.backbone.sizes
        self.register_buffer("mean", torch.zeros(scalars))
        self.register_buffer("scale", torch.ones(scalars))
        self.project: nn.Module = nn.Identity()
        if config.projection:
            self.project = nn.Linear(scalars, config.projection, bias=config.projection_bias)
        self.chiral = Chirality(scalars, vectors, config) if config.chiral else None
        width = (config.projection or scalars) + config.chiral
        self.basis = {"bessel": Bessel, "gaussian": Gaussian}[config.basis](
            config.radial, config.radial_length
        )
        self.pairs = nn.Linear(config.radial, config.pair_width, bias=False)
        self.blocks = nn.ModuleList(Block(width, config) for _ in range(config.layers))
        self.pool = POOLINGS[config.pooling](width, config)

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers of the backbone."""
        return self.config.backbone.elements

    def output_blocks(self) -> dict[str, int]:
        """One block, the descriptor."""
        return {"descriptor": self.config.output * (self.config.seeds if self.config.pooling == "pma" else 1)}

    def forward(self, batch: AtomBatch) -> Tensor:
        """Descriptors [B, columns]."""
        features = self.backbone(batch)
        invariants = (features.scalars - self.mean) / self.scale
        atoms = [self.project(invariants)]
        if self.chiral is not None:
            atoms.append(self.chiral(invariants, features.vectors))
        x = batch.pad(torch.cat(atoms, 1))
        real = batch.flat_index >= 0
        both = (real[:, :, None] & real[:, None])[..., None]
        positions = batch.pad(batch.positions)
        squared = (positions[:, :, None] - positions[:, None]).square().sum(-1)
        zero = squared == 0  # where the root has no gradient
        basis = self.basis(torch.where(zero, 0.0, torch.where(zero, 1.0, squared).sqrt()))
        pairs = self.pairs(basis) * both
        for block in self.blocks:
            x, pairs = block(x, pairs, basis, real, both)
        return self.pool(x, real)

    @classmethod
    def upgrade(
        cls, config: dict[str, Any], state: dict[str, Tensor], version: int
    ) -> tuple[dict[str, Any], dict]:
        """Nothing to upgrade: this is the first version."""
        return config, state


class Gaussian(nn.Module):
    """Gaussians of distances in Å, centred from 0 to ``length``: [...] -> [..., K]."""

    centre: Tensor

    def __init__(self, size: int, length: float) -> None:
        super().__init__()
        self.width = length / size
        self.register_buffer("centre", torch.linspace(0.0, length, size), persistent=False)

    def forward(self, distance: Tensor) -> Tensor:
        return torch.exp(-0.5 * ((distance[..., None] - self.centre) / self.width).square())


class Chirality(nn.Module):
    """Pseudoscalars of each atom, from triple products of mixed vectors: [N, S], [N, 3, V] -> [N, chiral].

    Vectors are divided by the root of their mean square length. ``first``, ``second`` and ``third`` mix them
    to K each; the cross products of the first with weighted sums of the second are mixed by ``middle``, and
    their products with weighted sums of the third summed. The two sets of weights [K, K] are parameters or,
    `conditioned`, functions of the invariants.
    """

    def __init__(self, scalars: int, vectors: int, config: PublishedREM3DIConfig) -> None:
        super().__init__()
        count, self.conditioned = config.pseudoscalars, config.conditioned
        self.strength = nn.Parameter(torch.ones(vectors))
        self.first, self.second, self.third = (nn.Linear(vectors, count, bias=False) for _ in range(3))
        self.cross: Any
        self.dot: Any
        if self.conditioned:
            self.middle = nn.Linear(count, count, bias=False)
            self.cross, self.dot = (
                nn.Sequential(
                    nn.Linear(scalars, HIDDEN, bias=False),
                    ScaledSiLU(),
                    nn.Linear(HIDDEN, count * count, bias=False),
                )
                for _ in range(2)
            )
        else:
            self.cross, self.dot = (nn.Parameter(torch.randn(count * count)) for _ in range(2))
        self.norm = nn.LayerNorm(count, bias=False)
        self.gate = None
        if config.gated:
            hidden = nn.Linear(scalars, 2 * scalars, bias=False)
            self.gate = nn.Sequential(
                hidden, nn.SiLU(), nn.Linear(2 * scalars, count, bias=False), nn.Sigmoid()
            )
        self.mix = nn.Linear(count, config.chiral, bias=False)

    def forward(self, invariants: Tensor, vectors: Tensor) -> Tensor:
        size = (vectors.square().sum(1).mean(1) + EPSILON).sqrt()[:, None, None]
        vectors = vectors / size * self.strength
        a, b, c = self.first(vectors), self.second(vectors), self.third(vectors)
        cross, dot = (
            (weights(invariants) if self.conditioned else weights).view(-1, a.shape[2], a.shape[2])
            for weights in (self.cross, self.dot)
        )
        axial = torch.linalg.cross(a, b @ cross.mT, dim=1)
        axial = self.middle(axial) if self.conditioned else axial
        found = self.norm((axial * (c @ dot.mT)).sum(1))
        return self.mix(found if self.gate is None else self.gate(invariants) * found)


class ScaledSiLU(nn.Module):
    """e3nn's silu."""

    def forward(self, x: Tensor) -> Tensor:
        return SILU_SCALE * silu(x)


class Block(nn.Module):
    """Tokens [B, L, D] attend to each other, biased by their pairs [B, L, L, P], which they change."""

    def __init__(self, width: int, config: PublishedREM3DIConfig) -> None:
        super().__init__()
        pair, self.heads = config.pair_width, config.heads
        self.norm, self.feed_norm, self.pair_norm = (
            nn.LayerNorm(width),
            nn.LayerNorm(width),
            nn.LayerNorm(pair),
        )
        self.query, self.key, self.value, self.merge = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.bias = nn.Linear(pair, config.heads, bias=False)
        self.expand, self.shrink = nn.Linear(width, 2 * config.feed), nn.Linear(config.feed, width)
        self.left, self.right = (nn.Linear(width, pair, bias=False) for _ in range(2))
        self.filter = nn.Sequential(nn.Linear(config.radial, 64), nn.SiLU(), nn.Linear(64, pair))
        self.pair_feed, self.pair_gate = nn.Linear(pair, pair), nn.Linear(pair, pair, bias=False)

    def forward(
        self, x: Tensor, pairs: Tensor, basis: Tensor, real: Tensor, both: Tensor
    ) -> tuple[Tensor, Tensor]:
        normed = self.norm(x)
        bias = self.bias(self.pair_norm(pairs)).permute(0, 3, 1, 2)
        q, k, v = self.query(normed), self.key(normed), self.value(normed)
        x = x + self.merge(attend(q, k, v, self.heads, real, bias))
        gate, value = self.expand(self.feed_norm(x)).chunk(2, -1)
        x = x + self.shrink(gelu(gate) * value)
        delta = torch.sigmoid(self.filter(basis)) * (self.left(x)[:, :, None] * self.right(x)[:, None])
        pairs = (pairs + 0.5 * (delta + delta.transpose(1, 2))) * both
        return x, pairs + torch.sigmoid(self.pair_gate(pairs)) * self.pair_feed(silu(pairs))


def attend(
    query: Tensor, key: Tensor, value: Tensor, heads: int, real: Tensor, bias: Tensor | float = 0.0
) -> Tensor:
    """Attention of queries [B, Q, ...] to real tokens [B, L], their values side by side over the heads."""
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (query, key, value))
    logits = q @ k.mT / math.sqrt(q.shape[-1]) + bias
    weights = logits.masked_fill(~real[:, None, None], -torch.inf).softmax(-1)
    return (weights @ v).transpose(1, 2).flatten(-2)


class MeanPool(nn.Module):
    """The mean over the tokens, projected where the output has another width."""

    def __init__(self, width: int, config: PublishedREM3DIConfig) -> None:
        super().__init__()
        same = width == config.output
        self.out = nn.Identity() if same else nn.Linear(width, config.output, bias=False)

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        return self.out((x * real[..., None]).sum(1) / real.sum(1, keepdim=True))


class AttentionPool(MeanPool):
    """The mean over heads of sums weighted by how the tokens' keys fit a learned query."""

    def __init__(self, width: int, config: PublishedREM3DIConfig) -> None:
        super().__init__(width, config)
        self.key = nn.Linear(width, config.pool_width, bias=False)
        self.query = nn.Parameter(torch.zeros(config.pool_heads, config.pool_width // config.pool_heads))

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        heads, size = self.query.shape
        logits = (self.key(x).unflatten(-1, (heads, size)) * self.query).sum(-1) / math.sqrt(size)
        weights = logits.masked_fill(~real[..., None], -torch.inf).softmax(1)
        return self.out((weights.mT @ x).mean(1))


class SeedPool(nn.Module):
    """Pooling by multi-head attention with learned queries (arXiv:1810.00825), their rows side by side.

    Where rows are averaged ("pma-mean"), queries have their own width and are not added to what they find.
    """

    def __init__(self, width: int, config: PublishedREM3DIConfig) -> None:
        super().__init__()
        out, self.heads, self.apart = config.output, config.pool_heads, config.pooling == "pma"
        size = out if self.apart else config.pool_width
        self.seeds = nn.Parameter(torch.zeros(1, config.seeds, size))
        self.seed_norm, self.norm = nn.LayerNorm(size), nn.LayerNorm(width)
        self.query = nn.Linear(size, config.pool_width, bias=False)
        self.key = nn.Linear(width, config.pool_width, bias=False)
        self.value = nn.Linear(width, out, bias=False)
        self.merge = nn.Linear(out, out, bias=False) if self.apart else nn.Identity()
        self.feed_norm = nn.LayerNorm(out) if config.pool_feed or not self.apart else nn.Identity()
        self.feed = None
        if config.pool_feed:
            self.feed = nn.Sequential(nn.Linear(out, 4 * out), nn.GELU(), nn.Linear(4 * out, out))

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        normed, query = self.norm(x), self.query(self.seed_norm(self.seeds)).expand(len(x), -1, -1)
        rows = self.merge(attend(query, self.key(normed), self.value(normed), self.heads, real))
        if self.apart:
            rows = self.seeds + rows
            return (rows if self.feed is None else rows + self.feed(self.feed_norm(rows))).flatten(1)
        rows = self.feed_norm(rows)
        return (rows if self.feed is None else rows + self.feed(rows)).mean(1)


POOLINGS: dict[str, Any] = {
    "mean": MeanPool,
    "attention": AttentionPool,
    "pma": SeedPool,
    "pma-mean": SeedPool,
}
