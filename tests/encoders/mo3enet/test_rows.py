"""The row of a Mo3ENet: every block is what its name says."""

from __future__ import annotations

import numpy as np
import torch
from ase.build import molecule

from skmol3d import hub
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.mo3enet.match import reconstruct, reconstruction_error
from skmol3d.encoders.mo3enet.rows import Mo3ENetRows


def test_blocks(tiny_mo3enet: str) -> None:
    encoder = hub.from_pretrained(tiny_mo3enet).eval()
    structures = [molecule(name) for name in ("CH3CH2OH", "HCN", "C5H5N")]
    batch = AtomBatch.from_arrays([(atoms.numbers, atoms.positions, 0, None) for atoms in structures])
    with torch.inference_mode():
        embedding = encoder.embed(batch)
        expected = {
            "x": embedding.vectors[:, 0],
            "y": embedding.vectors[:, 1],
            "z": embedding.vectors[:, 2],
            "norm": embedding.vectors.square().sum(1).sqrt(),
            "scalar": embedding.scalars,
            "pooled": encoder(batch)[:, encoder.config.embedding :],
            "error": reconstruction_error(encoder, batch, embedding)[:, None],
        }
        for quality in (True, False):
            rows = Mo3ENetRows(encoder, quality)
            sizes = rows.output_blocks()
            assert list(sizes) == list(expected)[: len(sizes)]
            assert ("error" in sizes) == quality
            parts = rows(batch).split(list(sizes.values()), dim=1)
            for name, part in zip(sizes, parts, strict=True):
                np.testing.assert_allclose(part, expected[name], atol=1e-6)
            assert rows.elements == encoder.elements
        # Decoding what was embedded is decoding the molecule.
        once, again = reconstruct(encoder, batch), reconstruct(encoder, batch, embedding)
        np.testing.assert_allclose(once[0].positions, again[0].positions, atol=1e-6)
