"""What both Mo3ENets are: an embedding of molecules, and a decoder from it back to atoms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from skmol3d.encoders.atoms import MAX_NUMBER, AtomBatch, select_atoms
from skmol3d.encoders.mo3enet.decoder import DECODERS, DecodedAtoms, Embedding, Swarm, find_atoms


class Autoencoder(nn.Module):
    """Embedding of K vectors and K scalars per molecule, and a decoder that sees nothing else.

    A subclass makes the embedding (`embed_and_pool`) and its ``decoder`` (`build_decoder`). Its config has
    ``embedding`` (K), ``swarm`` (points of the decoder), ``decoder``, ``hydrogens`` and ``elements``.

    Parameters
    ----------
    config : Mo3ENetConfig or PooledMo3ENetConfig
    """

    config: Any
    place: Tensor
    decoder: nn.Module

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        elements = config.elements
        place = torch.full((MAX_NUMBER,), -1)
        place[list(elements)] = torch.arange(len(elements))
        self.register_buffer("place", place, persistent=False)

    def build_decoder(self) -> nn.Module:
        """The config's decoder, with random weights."""
        config = self.config
        return DECODERS[config.decoder.kind](
            config.decoder, config.embedding, config.swarm, len(config.elements)
        )

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers it can encode."""
        elements: tuple[int, ...] = self.config.elements
        return elements

    def output_blocks(self) -> dict[str, int]:
        """Names and sizes of the columns of a row: the embedding's scalars, and what pooled atoms say."""
        raise NotImplementedError

    def forward(self, batch: AtomBatch) -> Tensor:
        """Invariant rows [B, columns]."""
        embedding, pooled = self.embed_and_pool(batch)
        return torch.cat([embedding.scalars, pooled], 1)

    def embed(self, batch: AtomBatch) -> Embedding:
        """Scalars [B, K] and vectors [B, 3, K] (Å).

        Raises
        ------
        ValueError
            Names the molecules of the batch with other elements or with more atoms than the swarm holds.
        """
        return self.embed_and_pool(batch)[0]

    def embed_and_pool(self, batch: AtomBatch) -> tuple[Embedding, Tensor]:
        """The embedding, and the pooled columns [B, P] that rows have beside it.

        Raises
        ------
        ValueError
            As `embed`.
        """
        raise NotImplementedError

    def decode(self, embedding: Embedding) -> Swarm:
        """Swarm of an embedding; positions are relative to the centroid of the encoded atoms."""
        # As `full_precision`: half precision would move the points by hundredths of an Å.
        with torch.autocast(embedding.vectors.device.type, enabled=False):
            swarm: Swarm = self.decoder(embedding)
            return swarm

    def atoms(self, swarm: Swarm) -> AtomBatch:
        """The atoms that swarms stand for (see `find_atoms`), with a charge of zero and no bonds.

        A molecule whose swarm holds no atom has a count of zero.
        """
        found: DecodedAtoms = find_atoms(swarm)
        elements = torch.tensor(self.elements, device=found.types.device)
        charge = swarm.positions.new_zeros(len(found.counts))
        return AtomBatch(elements[found.types], found.positions, found.counts, charge)

    def encoded_atoms(self, batch: AtomBatch) -> AtomBatch:
        """The atoms of ``batch`` that are to be decoded, each molecule moved to their centroid.

        Without ``config.hydrogens`` these are the heavy ones; of a molecule of hydrogens alone, all.

        Raises
        ------
        ValueError
            As `embed`.
        """
        if not self.config.hydrogens:
            batch = select_atoms(batch, self.encoded_places(batch))
        self._refuse(batch)
        return replace(batch, positions=batch.positions - batch.centroids.index_select(0, batch.molecule))

    def encoded_places(self, batch: AtomBatch) -> Tensor:
        """Places in ``batch`` of the atoms that are to be decoded, ascending."""
        if self.config.hydrogens:
            return torch.arange(len(batch.numbers), device=batch.numbers.device)
        return batch.heavy

    def _refuse(self, batch: AtomBatch) -> None:
        unknown = self.place[batch.numbers] < 0
        if unknown.any():
            first = int(batch.molecule[unknown][0])
            symbols = ", ".join(chemical_symbols[z] for z in batch.numbers[unknown].unique().tolist())
            known = ", ".join(chemical_symbols[z] for z in self.elements)
            raise ValueError(
                f"molecule {first} of the batch: {symbols}: not among the elements the model knows ({known})"
            )
        if int(batch.counts.max()) > self.config.swarm:
            large = int(batch.counts.argmax())
            raise ValueError(
                f"molecule {large} of the batch: {int(batch.counts[large])} atoms, more than the "
                f"{self.config.swarm} points of the decoder's swarm can hold"
            )

    @classmethod
    def upgrade(
        cls, config: dict[str, Any], state: dict[str, Tensor], version: int
    ) -> tuple[dict[str, Any], dict]:
        """Nothing to upgrade: this is the first version."""
        return config, state
