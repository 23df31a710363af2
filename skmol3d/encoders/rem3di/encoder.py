"""REM3DI: attention over the atom features of an interatomic potential, pooled to one descriptor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch, select_atoms
from skmol3d.encoders.backbones import build_backbone
from skmol3d.encoders.layers import (
    Bessel,
    PairBiasedBlock,
    PairRepresentation,
    Pooling,
    TokenPairs,
    random_walks,
)
from skmol3d.encoders.protocols import Backbone
from skmol3d.encoders.rem3di.config import REM3DIConfig
from skmol3d.encoders.rem3di.dense import Compression
from skmol3d.encoders.rem3di.properties import Properties
from skmol3d.encoders.rem3di.strain import Strain
from skmol3d.encoders.rem3di.surface import COLUMNS, Surface
from skmol3d.encoders.rem3di.words import Words

WALK_STEPS = 16
WIDEST = 2  # vocabulary of the environments of radius 2 over atom types


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
    places : TokenPairs
        The E unordered pairs of the tokens of each molecule.
    pairs : Tensor [E, P]
    encoded : Tensor [B, L, D]
        Output of the transformer: unchanged by rotation, translation and reflection.
    pseudoscalars : Tensor [B, L, K]
        Gated triple products: change sign under reflection.
    batch : AtomBatch
        All atoms.
    standardised : Tensor [N, S]
        Invariants of the backbone for all atoms.
    """

    atoms: AtomBatch
    index: Tensor
    real: Tensor
    scalars: Tensor
    places: TokenPairs
    pairs: Tensor
    encoded: Tensor
    pseudoscalars: Tensor
    batch: AtomBatch
    standardised: Tensor


class REM3DI(nn.Module):
    """Molecular descriptor from the atom features of a potential (arXiv:2607.19977).

    A row has up to seven blocks. ``dense`` is what attention over the atoms and plain statistics of the
    potential's own features know, compressed; ``properties`` (ours) the same where it estimates RDKit's 2D
    descriptors; ``words`` (ours) count the substructures that atoms are centres of, and ``rare`` those too
    rare for a column of their own, folded; ``surface`` (ours) has columns with a physical meaning; ``strain``
    (ours) is the energy above what words let expect. These are the same for a molecule and its mirror image.
    ``signed`` counts words by the handedness of the centre next to them, and changes sign between mirror
    images.

    Where it is not compressed, ``dense`` stands as ``invariant`` and ``potential``, and next to them
    ``chiral``, sums of pseudoscalars, which change sign too. (Compressed rows do without: among a thousand
    columns its few told enantiomers apart worse than ``signed``, and were noise to kernels.) To keep the
    promises exact the pseudoscalars never enter the tokens (the authors' code concatenates them): they are
    gated by the tokens, which are parity-even, and pooled through odd maps alone.

    Parameters
    ----------
    config : REM3DIConfig
    backbone : Module, optional
        Built from the config if absent.
    """

    name: ClassVar[str] = "rem3di"
    version: ClassVar[int] = 3
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
        pooled = self.pool.size + self.pool_backbone.size
        self.compress = Compression(pooled, config.dense)
        self.properties = Properties(pooled, config.properties)
        self.surface = Surface(scalars) if config.surface else None
        self.strain: Strain | None = None
        if config.strain:
            if not self.backbone.energy_scalars:
                raise ValueError("strain: this backbone has no scalars for an energy head; set strain: false")
            self.strain = Strain(len(self.backbone.energy_scalars), sum(config.words.columns))
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
        plain = {
            "invariant": self.pool.size,
            "potential": self.pool_backbone.size,
            "chiral": self.config.chiral,
        }
        dense = {"dense": self.config.dense} if self.config.dense else plain
        surface = len(COLUMNS) if self.config.surface else 0
        measured = {
            "surface": surface,
            "strain": int(self.config.strain),
            "properties": self.config.properties,
        }
        blocks = {**self.words.sizes, **measured, **dense}
        return {name: size for name, size in blocks.items() if size}

    def forward(self, batch: AtomBatch) -> Tensor:
        """Descriptors [B, columns]."""
        return self.pooled(self.tokens(batch))

    def pooled(self, tokens: Tokens) -> Tensor:
        """Descriptors [B, columns] of encoded tokens."""
        blocks = []
        if self.words.heads:
            classes = self.words.classes(tokens.encoded[tokens.real], tokens.atoms)
            everywhere = classes.new_full((len(tokens.batch.numbers), classes.shape[1]), -1)
            everywhere[tokens.index] = classes
            identity = self._identity(tokens, classes)
            blocks += [
                self.words(classes, tokens.atoms),
                self.words.rare(classes, tokens.atoms),
                self.words.signed(everywhere, tokens.batch, identity),
            ]
        if self.surface is not None:
            blocks.append(self.surface(tokens.batch, tokens.standardised))
        if self.strain is not None:
            blocks.append(self.strain(tokens.batch, self.energy_scalars(tokens), blocks[0]))
        rows = self.uncompressed(tokens)
        if self.config.dense:
            standard = self.compress.standardised(rows)
            estimated = [self.properties(standard)] if self.config.properties else []
            blocks += [*estimated, self.compress(standard)]
        else:
            blocks += [rows, self.chiral(tokens)]
        return torch.cat(blocks, 1)

    def energy_scalars(self, tokens: Tokens) -> Tensor:
        """What an energy head reads of the backbone's features [N, width]."""
        read = slice(self.backbone.energy_scalars.start, self.backbone.energy_scalars.stop)
        return tokens.standardised[:, read] * self.scalar_std[read] + self.scalar_mean[read]

    def chiral(self, tokens: Tokens) -> Tensor:
        """Pooled pseudoscalars [B, chiral] of encoded tokens."""
        return self.chiral_mix((tokens.pseudoscalars * tokens.real[..., None]).sum(1))

    def uncompressed(self, tokens: Tokens) -> Tensor:
        """Invariant columns and the backbone's statistics [B, columns] of encoded tokens."""
        own = tokens.batch.pad(tokens.standardised)
        return torch.cat([self.invariant(tokens), self.pool_backbone(own, tokens.batch.flat_index >= 0)], 1)

    def _identity(self, tokens: Tokens, classes: Tensor) -> Tensor:
        """Whole numbers [N] for the widest environment of each atom, known or else perceived; 0 for none."""
        widest = classes[:, min(WIDEST, classes.shape[1] - 1)] + 1
        if tokens.atoms.environments is not None:
            known = tokens.atoms.environments[:, WIDEST]
            widest = torch.where(known > 0, known, widest)
        return torch.zeros_like(tokens.batch.numbers).index_copy(0, tokens.index, widest)

    def invariant(self, tokens: Tokens) -> Tensor:
        """The invariant columns [B, invariant] of encoded tokens."""
        return self.pool(self.readout(tokens.encoded), tokens.real)

    def tokens(self, batch: AtomBatch) -> Tokens:
        """Encode the atoms of ``batch``."""
        features = self.backbone(batch)
        everything = torch.arange(len(batch.numbers), device=batch.numbers.device)
        index = everything if self.config.hydrogens else batch.heavy
        atoms = select_atoms(batch, index)
        real = atoms.flat_index >= 0
        standardised = (features.scalars - self.scalar_mean) / self.scalar_std
        scalars = atoms.pad(standardised.index_select(0, index))
        places = TokenPairs(real)
        pairs = self.pair(self._structure(atoms, places), scalars, places)
        x = self.project(scalars)
        for block in self.blocks:
            x = block(x, pairs, places)
        encoded = self.norm(x)
        vectors = atoms.pad(features.vectors.index_select(0, index) / self.vector_rms)
        odd = self._pseudoscalars(vectors, encoded)
        return Tokens(atoms, index, real, scalars, places, pairs, encoded, odd, batch, standardised)

    def _pseudoscalars(self, vectors: Tensor, encoded: Tensor) -> Tensor:
        first, second, third = self.triple(vectors).chunk(3, -1)
        triple = (torch.linalg.cross(first, second, dim=2) * third).sum(2)
        # tanh is odd and bounds what few strained atoms could do to the sum over all.
        return torch.tanh(triple) * torch.sigmoid(self.chiral_gate(encoded))

    def _structure(self, atoms: AtomBatch, places: TokenPairs) -> Tensor:
        """Encodings [1, E, K] of pairs, or [2, E, K] where the way back has another."""
        if self.config.structure == "2d":
            return places.both(random_walks(atoms, WALK_STEPS))
        if self.config.structure == "none":
            return atoms.positions.new_zeros(1, len(places.first), 1)
        positions = atoms.pad(atoms.positions).flatten(0, 1)
        difference = positions.index_select(0, places.first) - positions.index_select(0, places.second)
        squared = difference.square().sum(-1)
        # The root has no gradient at zero, where atoms meet themselves.
        zero = squared == 0
        return self.radial(torch.where(zero, 0.0, torch.where(zero, 1.0, squared).sqrt()))[None]

    @classmethod
    def upgrade(
        cls, config: dict[str, Any], state: dict[str, Tensor], version: int
    ) -> tuple[dict[str, Any], dict]:
        """Version 1 did not say which environments the words name; 2 perceived them always, and paired them.

        From 2 to 3 the blocks of words that were hashed (with neighbours, and in pairs) are gone, and rows
        have another order of blocks.
        """
        words = config.get("words", {})
        for k, n in enumerate(words.get("classes", ())):
            state.setdefault(f"words.vocabulary_{k}", torch.zeros(n, dtype=torch.int64))
        if version < 3 and words:
            counted, most = words.get("counted", ()), words.get("columns", 512)
            columns = [min(n, most) if k in counted else 0 for k, n in enumerate(words["classes"])]
            kept = {"classes": words["classes"], "confidence": words.get("confidence", 0.5)}
            config = {**config, "words": {**kept, "columns": columns}}
        if version < 3:
            empty = {"mean": (0,), "scale": (0,), "matrix": (0, 0)}
            state.update({f"compress.{name}": torch.zeros(shape) for name, shape in empty.items()})
        return config, state
