"""Reconstruction and chemistry together, over one `PooledMo3ENet`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import smooth_l1_loss

from skmol3d.encoders.atoms import AtomBatch, select_atoms
from skmol3d.encoders.mo3enet.decoder import Embedding
from skmol3d.encoders.mo3enet.pooled import PooledMo3ENet
from skmol3d.trainer.objectives.encoder import RunningStandardiser
from skmol3d.trainer.objectives.molecular_targets import MolecularTargets
from skmol3d.trainer.objectives.reconstruction import Reconstruction
from skmol3d.trainer.objectives.registry import Loss, objective

KIND = "mo3enet_pooled"
LEVELS = ("energy", "homo", "lumo", "gap")
"""Columns of the target ``electronic``."""
SMOOTH = 0.1  # standard deviations: smaller errors count squared
NOISE = 0.01  # Å, of coordinates
PAIRS = 24  # of vectors whose products make the quadrupole


@objective(
    KIND,
    Loss("electronic", "GFN2-xTB energies less those of the elements, and HOMO, LUMO and gap (standardised)"),
    Loss("dipole", "GFN2-xTB dipole vectors (e·Å) of neutral molecules, linear in the vectors"),
    Loss("quadrupole", "quadrupoles (e·Å²) of the GFN2-xTB charges, from products of the vectors"),
    Loss("descriptors", "RDKit's 2D descriptors (standardised)"),
)
class Chemistry(nn.Module):
    """What rows should know beside the shape; read from them as a user's linear model would.

    Where a batch lacks a label, or it is NaN, the loss is zero.

    Parameters
    ----------
    encoder : PooledMo3ENet
    descriptors : int
        Size of the target ``descriptors``.
    """

    def __init__(self, encoder: PooledMo3ENet, descriptors: int) -> None:
        super().__init__()
        sizes, channels = encoder.output_blocks(), encoder.config.embedding
        self.standardise = RunningStandardiser(sum(sizes.values()))
        self.electronic = Levels(sum(sizes.values()))
        # The scalars of vector rows are all that heads on these have.
        self.few = Levels(channels)
        self.descriptors = MolecularTargets(sum(sizes.values()), descriptors)
        self.dipole = nn.Linear(channels, 1, bias=False)
        self.left = nn.Linear(channels, PAIRS, bias=False)
        self.right = nn.Linear(channels, PAIRS, bias=False)
        self.strength = nn.Linear(channels, PAIRS)

    def forward(
        self,
        batch: AtomBatch,
        targets: Mapping[str, Tensor],
        embedding: Embedding,
        pooled: Tensor,
        centre: Tensor,
    ) -> dict[str, Tensor]:
        """Losses; ``centre`` [B, 3] is the origin of the quadrupoles."""
        rows = self.standardise(torch.cat([embedding.scalars, pooled], 1))
        few = rows[:, : embedding.scalars.shape[1]]
        levels = targets["electronic"]
        return {
            "electronic": self.electronic(rows, levels) + 0.5 * self.few(few, levels),
            "dipole": _known_distance(self.dipole(embedding.vectors)[..., 0], targets["dipole"]),
            "quadrupole": _known_distance(
                self._quadrupole(embedding, few), quadrupoles(batch, targets["charges"], centre)
            ),
            "descriptors": self.descriptors(rows, targets["descriptors"]),
        }

    def _quadrupole(self, embedding: Embedding, few: Tensor) -> Tensor:
        left = self.left(embedding.vectors) * self.strength(few)[:, None]
        product = left @ self.right(embedding.vectors).transpose(1, 2) / PAIRS
        return traceless(product + product.transpose(1, 2)).flatten(1)


class Levels(nn.Module):
    """Linear prediction of the standardised `LEVELS`; smooth absolute error, NaN where one is unknown."""

    def __init__(self, columns: int) -> None:
        super().__init__()
        self.head = nn.Linear(columns, len(LEVELS))

    def forward(self, rows: Tensor, wanted: Tensor) -> Tensor:
        known = torch.isfinite(wanted)
        error = smooth_l1_loss(
            self.head(rows), torch.where(known, wanted, 0.0), reduction="none", beta=SMOOTH
        )
        return (error * known).sum() / known.sum().clamp(min=1)


def quadrupoles(batch: AtomBatch, charges: Tensor, centre: Tensor) -> Tensor:
    """Traceless quadrupoles Σ q (3 x xᵀ − x²)/2 of charges around ``centre``, flattened [B, 9], e·Å²."""
    x = batch.positions - centre.index_select(0, batch.molecule)
    outer = charges[:, None, None] * x[:, :, None] * x[:, None]
    total = outer.new_zeros(len(batch), 3, 3).index_add(0, batch.molecule, outer)
    return 1.5 * traceless(total).flatten(1)


def traceless(tensors: Tensor) -> Tensor:
    """Tensors [B, 3, 3] less a third of their trace times the identity."""
    trace = tensors.diagonal(dim1=1, dim2=2).mean(1)
    return tensors - trace[:, None, None] * torch.eye(3, dtype=tensors.dtype, device=tensors.device)


def _known_distance(found: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance over the rows of ``wanted`` that are known."""
    known = torch.isfinite(wanted).all(1)
    difference = found - torch.where(known[:, None], wanted, 0.0)
    distance = (difference.square().sum(1) + 1e-6).sqrt()
    return (distance * known).sum() / known.sum().clamp(min=1)


def smoothness(encoder: PooledMo3ENet, batch: AtomBatch, embedding: Embedding) -> Tensor:
    """Mean square change of the rows (vectors in Å, standardised scalars) when atoms move by `NOISE`.

    In units of a tenth of the root mean square distance between two molecules of the batch, so that it
    cannot be made small by shrinking all rows.
    """
    moved = replace(batch, positions=batch.positions + NOISE * torch.randn_like(batch.positions))
    scale = embedding.scalars.detach().std(0).clamp(min=1e-3)
    one, other = (
        torch.cat([e.vectors.flatten(1), e.scalars / scale], 1) for e in (embedding, encoder.embed(moved))
    )
    spread = 2.0 * one.var(0).sum()
    return (one - other).square().sum(1).mean() / (0.01 * spread + 1e-6)


def decoded(
    every: int, batch: AtomBatch, targets: dict[str, Tensor], embedding: Embedding
) -> tuple[AtomBatch, dict[str, Tensor], Embedding]:
    """Arguments of `Reconstruction`, which reads no bonds or targets, for one of ``every`` molecules."""
    if every == 1:
        return batch, targets, embedding
    atoms = batch.molecule % every == 0
    counts, charge = batch.counts[::every], batch.charge[::every]
    part = AtomBatch(batch.numbers[atoms], batch.positions[atoms], counts, charge)
    return part, {}, Embedding(*(values[::every] for values in embedding))


@objective(KIND, Loss("smoothness", "change of vector rows by noise of 0.01 Å, over a tenth of their spread"))
class PooledObjective(nn.Module):
    """Losses ``names`` of a `PooledMo3ENet`: reconstruction, `Chemistry`, `smoothness`.

    The potential below the encoder is frozen here.

    Parameters
    ----------
    encoder : PooledMo3ENet
    names : collection of str
    descriptors : int
        Size of the target ``descriptors``.
    sigma, threshold, blur : float
        As in `Reconstruction`.
    """

    def __init__(
        self,
        encoder: PooledMo3ENet,
        names: Collection[str],
        descriptors: int,
        sigma: float = 2.0,
        threshold: float = 0.15,
        blur: float = 0.15,
        decode_every: int = 1,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decode_every = decode_every
        self.encoder.backbone.requires_grad_(False)
        self.names = tuple(names)
        self.reconstruction = Reconstruction(encoder, sigma, threshold, blur)
        self.chemistry = Chemistry(encoder, descriptors)

    def forward(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        embedding, pooled = self.encoder.embed_and_pool(batch)
        losses = self.reconstruction(*decoded(self.decode_every, batch, targets, embedding))
        centre = select_atoms(batch, self.encoder.encoded_places(batch)).centroids  # the embedding's origin
        losses |= self.chemistry(batch, targets, embedding, pooled, centre)
        if "smoothness" in self.names:  # it embeds a second time
            losses["smoothness"] = smoothness(self.encoder, batch, embedding)
        return {name: losses[name] for name in self.names}
