"""How well a swarm stands for the atoms that were encoded: the matching rule of arXiv:2405.13791."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.mo3enet.autoencoder import Autoencoder
from skmol3d.encoders.mo3enet.decoder import Embedding, Swarm

REACH, LEAST = 0.5, 0.25  # Å, and least weight within it, of an atom that was found again


class Target(NamedTuple):
    """Encoded atoms, padded: positions [B, L, 3] (Å), places in the encoder's elements and mask [B, L]."""

    positions: Tensor
    types: Tensor
    real: Tensor


class Match(NamedTuple):
    """How well each atom was found again, padded [B, L] (False and 0 where there is no atom).

    Attributes
    ----------
    real, matched, element : BoolTensor
        Whether there is an atom; whether it was matched; whether it was and has the right element.
    deviation : Tensor
        Å, of matched atoms.
    """

    real: Tensor
    matched: Tensor
    element: Tensor
    deviation: Tensor


def reconstruct(
    encoder: Autoencoder, batch: AtomBatch, embedding: Embedding | None = None
) -> tuple[Swarm, Target]:
    """Decode what is encoded of ``batch`` (its ``embedding``, if known), and what should have come of it."""
    atoms = encoder.encoded_atoms(batch)
    swarm = encoder.decode(encoder.embed(atoms) if embedding is None else embedding)
    types = atoms.pad(encoder.place[atoms.numbers])
    return swarm, Target(atoms.pad(atoms.positions), types, atoms.flat_index >= 0)


@torch.no_grad()
def match(swarm: Swarm, target: Target) -> Match:
    """The paper's rule (appendix B), in Cartesian space alone.

    For every atom, the points within 0.5 Å are averaged by their weights; if these sum to 0.25 or more the
    atom is matched, and its deviation is its distance to that average. The element of an average is the one
    with the largest weighted probability; the rule itself does not ask for it.
    """
    distances = (target.positions[:, :, None] - swarm.positions[:, None]).norm(dim=-1)
    near = (distances <= REACH) * swarm.weights[:, None]
    mass = near.sum(2)
    share = near / mass.clamp(min=1e-9)[..., None]
    deviation = (share @ swarm.positions - target.positions).norm(dim=-1)
    matched = (mass >= LEAST) & target.real
    element = matched & ((share @ swarm.types).argmax(-1) == target.types)
    return Match(target.real, matched, element, deviation.masked_fill(~matched, 0.0))


@torch.no_grad()
def reconstruction_error(encoder: Autoencoder, batch: AtomBatch, embedding: Embedding) -> Tensor:
    """Mean deviation (Å) of the atoms of each molecule, [B], when its ``embedding`` is decoded.

    An atom that `match` does not find again, or finds as another element, counts as ``REACH``, which no
    deviation exceeds: 0 is perfect, 0.5 is nothing found.
    """
    found = match(*reconstruct(encoder, batch, embedding))
    each = torch.where(found.element, found.deviation, REACH) * found.real
    return each.sum(1) / found.real.sum(1)
