"""The Equivariant Transformer's formulas against independent computations."""

import numpy as np
import torch
from encoder_examples import BACKBONE, collate, example, seeded

from skmol3d.encoders.atoms import radius_edges
from skmol3d.encoders.backbones.equivariant_transformer import EquivariantAttention
from skmol3d.encoders.layers import ExpNormal, cosine_cutoff


def close(found, expected, atol=1e-9):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def test_radial_functions_and_envelope():
    size, cutoff = 5, 4.0
    distance = torch.linspace(0, 4.5, 10, dtype=torch.float64)
    centres = np.linspace(np.exp(-cutoff), 1, size)
    beta = (2 / size * (1 - np.exp(-cutoff))) ** -2
    expected = np.exp(-beta * (np.exp(-5 / cutoff * distance.numpy())[:, None] - centres) ** 2)
    close(ExpNormal(size, cutoff).double()(distance), torch.from_numpy(expected), atol=1e-6)
    envelope = [0.5 * (np.cos(np.pi * d / cutoff) + 1) if d < cutoff else 0 for d in distance.tolist()]
    close(cosine_cutoff(distance, cutoff), torch.tensor(envelope, dtype=torch.float64))


def test_one_attention_layer_against_dense_loops():
    """arXiv:2202.02541, section 3: attention, then the exchange between scalars and vectors."""
    layer = seeded(lambda: EquivariantAttention(BACKBONE))
    weights = {k: v.numpy() for k, v in layer.state_dict().items()}
    numbers, positions, *_ = example("CH3CH2OH")
    n, width, heads, cutoff = len(numbers), BACKBONE.width, BACKBONE.heads, 2.5
    batch = collate((numbers, positions, 0, None))
    edges = radius_edges(batch, cutoff)
    envelope = cosine_cutoff(edges.distance, cutoff)
    basis = ExpNormal(BACKBONE.radial, cutoff).double()
    rng = np.random.default_rng(0)
    x, v = rng.normal(size=(n, width)), rng.normal(size=(n, 3, width))
    found = layer(
        torch.from_numpy(x), torch.from_numpy(v), edges, basis(edges.distance) * envelope[:, None], envelope
    )

    def linear(name, value):
        return weights[f"{name}.weight"] @ value + weights.get(f"{name}.bias", 0.0)

    def silu(value):
        return value / (1 + np.exp(-value))

    normed = [
        (row - row.mean()) / np.sqrt(row.var() + 1e-5) * weights["norm.weight"] + weights["norm.bias"]
        for row in x
    ]
    size = width // heads
    dx, dv = np.zeros((n, width)), np.zeros((n, 3, width))
    for i in range(n):
        y, w = np.zeros(width), np.zeros((3, width))
        for j in range(n):
            d = np.linalg.norm(positions[i] - positions[j])
            if d >= cutoff:
                continue
            phi = 0.5 * (np.cos(np.pi * d / cutoff) + 1)
            e = basis(torch.tensor([d], dtype=torch.float64))[0].numpy() * phi
            q, k = linear("query", normed[i]), linear("key", normed[j])
            dk, value = silu(linear("key_filter", e)), linear("value", normed[j])
            value = value * silu(linear("value_filter", e)) * phi
            s1, s2, s3 = value[:width], value[width : 2 * width], value[2 * width :]
            for h in range(heads):
                part = slice(h * size, (h + 1) * size)
                attention = silu(np.sum(q[part] * k[part] * dk[part]))
                y[part] += attention * s1[part]
            for axis in range(3):
                unit = 0.0 if i == j else (positions[i] - positions[j])[axis] / d
                w[axis] += s2 * v[j, axis] + s3 * unit
        o1, o2, o3 = np.split(linear("out", y), 3)
        u = [np.split(linear("vectors", v[i, axis]), 3) for axis in range(3)]
        dot = sum(u[axis][0] * u[axis][1] for axis in range(3))
        dx[i] = dot * o2 + o3
        for axis in range(3):
            dv[i, axis] = u[axis][2] * o1 + w[axis]
    close(found[0], torch.from_numpy(dx))
    close(found[1], torch.from_numpy(dv))
