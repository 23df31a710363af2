"""`EquivariantConvolution`: its matrix products against sums over pairs, harmonics, crystals."""

import dataclasses

import numpy as np
import pytest
import torch
from encoder_examples import CONVOLUTION, collate, example, seeded

from skmol3d.encoders.backbones import EquivariantConvolutionConfig, build_backbone
from skmol3d.encoders.backbones.equivariant_convolution import spherical_harmonics
from skmol3d.encoders.periodic import PeriodicBatch


def summed_over_pairs(backbone, batch):
    """Scalars of a backbone of one or two layers, by loops over pairs of atoms."""
    positions, owner = batch.positions, batch.molecule
    x = backbone.embedding(batch.numbers) + backbone.charge(batch.charge[owner][:, None])
    atoms, vectors, taps = range(len(x)), None, []
    pairs = [(i, j) for i in atoms for j in atoms if i != j and owner[i] == owner[j]]
    pairs = [(i, j) for i, j in pairs if (positions[i] - positions[j]).norm() < backbone.config.cutoff]
    for layer in backbone.layers:
        normed = layer.norm(x)
        sent = layer.sent(normed).view(len(x), backbone.config.filters, -1)
        first = vectors is None
        moved = None if first else layer.sent_vectors(vectors).view(len(x), 3, backbone.config.filters, -1)
        scalar = torch.zeros(len(x), sent.shape[2], dtype=x.dtype)
        along = scalar.clone()
        vector = torch.zeros(len(x), 3, sent.shape[2], dtype=x.dtype)
        carried = vector.clone()
        second = torch.zeros(len(x), 5, sent.shape[2], dtype=x.dtype)
        for i, j in pairs:
            difference = positions[i] - positions[j]
            distance = difference.norm()
            weights = backbone.radial(distance[None])[0]
            message = (weights[:, None] * sent[j]).sum(0)
            harmonics = spherical_harmonics((difference / distance)[None], 2)[0]
            scalar[i] += message
            vector[i] += harmonics[1:4, None] * message
            second[i] += harmonics[4:, None] * message
            if moved is not None:
                arrow = (weights[:, None] * moved[j]).sum(1)
                carried[i] += arrow
                along[i] += (harmonics[1:4, None] * arrow).sum(0)
        vector = vector if first else torch.cat([vector, carried, vectors], 2)
        left, right = layer.left(vector), layer.right(vector)
        invariants = [
            normed,
            scalar,
            second.square().sum(1),
            *([] if first else [along]),
            (left * right).sum(1),
        ]
        step, gate = layer.update(torch.cat(invariants, 1)).split([x.shape[1], left.shape[2]], 1)
        x, turned = x + step, left * gate[:, None]
        vectors = turned if first else vectors + turned
        taps.append(x)
    taps[-1] = backbone.norm(x)
    return torch.cat(taps, 1), vectors


def test_matrix_products_are_sums_over_pairs():
    # A short cutoff leaves some pairs out, molecules of different sizes need padding.
    backbone = seeded(lambda: build_backbone(dataclasses.replace(CONVOLUTION, cutoff=2.5)))
    batch = collate(example("CH3CONH2"), example("NH3", 1.0), example("H2O"))
    scalars, vectors = summed_over_pairs(backbone, batch)
    found = backbone(batch)
    torch.testing.assert_close(found.scalars, scalars)
    torch.testing.assert_close(found.vectors, vectors)


def test_harmonics_are_orthonormal_on_the_sphere():
    # Gauss-Legendre in z and equal angles around it integrate products of harmonics up to L = 2 exactly.
    z, weights = np.polynomial.legendre.leggauss(6)
    angle = np.arange(12) * (np.pi / 6)
    ring = np.sqrt(1 - z**2)[:, None]
    x, y = ring * np.cos(angle), ring * np.sin(angle)
    points = torch.from_numpy(np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], -1).reshape(-1, 3))
    values = spherical_harmonics(points, 2)
    share = torch.from_numpy(np.repeat(weights / 24, 12))
    torch.testing.assert_close(values.T @ (share[:, None] * values), torch.eye(9, dtype=torch.float64))
    assert torch.equal(spherical_harmonics(points, 1), values[:, :4])


@pytest.mark.parametrize("degree", [1, 2])
def test_repeating_a_cell_repeats_its_features(degree):
    # The cell is smaller than the cutoff: atoms have several images of one atom as neighbours, and their own.
    backbone = seeded(lambda: build_backbone(dataclasses.replace(CONVOLUTION, degree=degree)))
    rng = np.random.default_rng(0)
    cell = np.diag([3.0, 3.5, 4.0]) + rng.normal(0, 0.2, (3, 3))
    numbers, positions = [6, 8, 1], rng.random((3, 3)) @ cell

    def features(cell, numbers, positions):
        cells = torch.from_numpy(cell)[None]
        counts = torch.tensor([len(numbers)])
        zero = torch.zeros(1, dtype=torch.float64)
        batch = PeriodicBatch(torch.tensor(numbers), torch.from_numpy(positions), counts, zero, cells=cells)
        return backbone(batch)

    once = features(cell, numbers, positions)
    double = np.diag([2.0, 1.0, 1.0]) @ cell
    twice = features(double, numbers * 2, np.concatenate([positions, positions + cell[0]]))
    for a, b in zip(once[:2], twice[:2], strict=True):
        torch.testing.assert_close(b, torch.cat([a, a]))


def test_a_degree_beyond_two_is_refused():
    with pytest.raises(ValueError, match="degree must be 1 or 2, got 3"):
        EquivariantConvolutionConfig(degree=3)
