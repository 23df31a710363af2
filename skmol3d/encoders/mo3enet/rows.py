"""All that a Mo3ENet has to say about a molecule, as one row."""

from __future__ import annotations

import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.mo3enet.autoencoder import Autoencoder
from skmol3d.encoders.mo3enet.match import reconstruction_error


class Mo3ENetRows:
    """The embedding, what it was made from and what comes of it, side by side.

    Parameters
    ----------
    encoder : Autoencoder
        On any device.
    quality : bool
        Whether to decode, too, for the block "error".
    """

    def __init__(self, encoder: Autoencoder, quality: bool) -> None:
        self.encoder = encoder
        self.quality = quality

    @property
    def elements(self) -> tuple[int, ...]:
        """Atomic numbers it can encode."""
        return self.encoder.elements

    def output_blocks(self) -> dict[str, int]:
        """Names and sizes of the blocks.

        Coordinates of the K vectors (Å), their lengths (Å), the K scalars, the pooled atom scalars that these
        were made from, and (with `quality`) the mean deviation of the decoded atoms (Å).
        """
        count = self.encoder.config.embedding
        sizes = {"x": count, "y": count, "z": count, "norm": count, **self.encoder.output_blocks()}
        return sizes | {"error": 1} if self.quality else sizes

    def __call__(self, batch: AtomBatch) -> Tensor:
        """Rows [B, columns]."""
        embedding, pooled = self.encoder.embed_and_pool(batch)
        vectors = embedding.vectors
        parts = [vectors.flatten(1), vectors.norm(dim=1), embedding.scalars, pooled]
        if self.quality:
            parts.append(reconstruction_error(self.encoder, batch, embedding)[:, None])
        return torch.cat(parts, 1)
