"""The Equivariant Transformer and the potential on it: symmetries, smoothness, forces, its formulas."""

import numpy as np
import pytest
import torch
from encoder_examples import BACKBONE, collate, example, moved, reordered, rotation, seeded

from skmol3d.encoders import EquivariantTransformer, Potential, PotentialConfig
from skmol3d.encoders.atoms import radius_edges
from skmol3d.encoders.equivariant_transformer import EquivariantAttention, ExpNormal, cosine_cutoff

NAMES = ["CH3CONH2", "CH3CH2OH", "H2O", "C5H5N", "CH3SH"]
MOLECULES = [example(name) for name in NAMES]


@pytest.fixture(scope="module")
def backbone():
    return seeded(lambda: EquivariantTransformer(BACKBONE))


@pytest.fixture(scope="module")
def potential():
    made = seeded(lambda: Potential(PotentialConfig(BACKBONE)))
    made.element_energy.copy_(torch.linspace(0, -50, len(made.element_energy)))
    return made


def close(found, expected, atol=1e-9):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def turned(vectors, matrix):
    return torch.einsum("ij,njv->niv", torch.from_numpy(matrix), vectors)


def test_shapes_and_content(backbone):
    scalars, vectors = backbone(collate(*MOLECULES))
    n = sum(len(m[0]) for m in MOLECULES)
    assert (scalars.shape, vectors.shape) == ((n, backbone.sizes[0]), (n, 3, backbone.sizes[1]))
    # The tests of symmetry below would pass on zeros.
    assert scalars.std(0).min() > 1e-3
    assert vectors.abs().amax() > 1e-2


@pytest.mark.parametrize("item", MOLECULES, ids=NAMES)
def test_rotation_and_translation(backbone, item):
    matrix = rotation()
    here = backbone(collate(item))
    there = backbone(collate(moved(item, matrix, [3.0, -40.0, 8.0])))
    close(there.scalars, here.scalars)
    close(there.vectors, turned(here.vectors, matrix))


@pytest.mark.parametrize("item", MOLECULES, ids=NAMES)
def test_inversion_and_mirror(backbone, item):
    here = backbone(collate(item))
    for matrix in (-np.eye(3), np.diag([1.0, 1.0, -1.0]) @ rotation(1)):
        there = backbone(collate(moved(item, matrix)))
        close(there.scalars, here.scalars)
        close(there.vectors, turned(here.vectors, matrix))


@pytest.mark.parametrize("item", MOLECULES, ids=NAMES)
def test_permutation(backbone, item):
    order = np.random.default_rng(0).permutation(len(item[0]))
    here, there = backbone(collate(item)), backbone(collate(reordered(item, order)))
    close(there.scalars, here.scalars[order])
    close(there.vectors, here.vectors[order])


def test_batch_composition(backbone):
    together = backbone(collate(*MOLECULES))
    alone = [backbone(collate(m)) for m in MOLECULES]
    close(together.scalars, torch.cat([a.scalars for a in alone]))
    close(together.vectors, torch.cat([a.vectors for a in alone]))


def test_charge_changes_the_features(backbone):
    neutral, cation = (backbone(collate(example("NH3", charge))).scalars for charge in (0, 1))
    assert (neutral - cation).abs().amax(1).min() > 1e-3


def test_single_atom(backbone, potential):
    atom = collate(([6], [[1.0, 2.0, 3.0]], 0, None))
    features = backbone(atom)
    assert torch.isfinite(features.scalars).all()
    assert (features.vectors == 0).all()
    energy, forces = potential.energy_and_forces(atom)
    assert torch.isfinite(energy).all()
    assert (forces == 0).all()


def test_hydrogen_molecule(backbone):
    features = backbone(collate(example("H2")))
    close(features.scalars[0], features.scalars[1])
    # Along the bond, which is the z axis, and opposite on the two atoms.
    close(features.vectors[0], -features.vectors[1])
    assert (features.vectors[:, :2] == 0).all()
    assert features.vectors[:, 2].abs().amax() > 1e-3


def test_forces_are_minus_the_slope_of_the_energy(potential):
    numbers, positions, charge, bonds = example("CH3CONH2")
    positions = positions + np.random.default_rng(0).normal(0, 0.1, positions.shape)
    energy, forces = potential.energy_and_forces(collate((numbers, positions, charge, bonds)))
    step = 1e-4
    ends = []
    for i in range(len(numbers)):
        for axis in range(3):
            for sign in (1, -1):
                end = positions.copy()
                end[i, axis] += sign * step
                ends.append((numbers, end, charge, bonds))
    energies = potential(collate(*ends))[:, 0].view(len(numbers), 3, 2)
    close(forces, -(energies[..., 0] - energies[..., 1]) / (2 * step), atol=1e-6)
    assert forces.abs().amax() > 1e-2
    close(forces.sum(0), torch.zeros(3, dtype=torch.float64))
    torque = torch.linalg.cross(torch.from_numpy(positions), forces).sum(0)
    close(torque, torch.zeros(3, dtype=torch.float64))
    assert potential.output_blocks() == {"energy": 1}
    close(energy, potential(collate((numbers, positions, charge, bonds)))[:, 0])


def test_forces_turn_with_the_molecule_also_without_gradients_enabled(potential):
    matrix = rotation(2)
    item = example("CH3CH2OH")
    with torch.no_grad():
        energy, forces = potential.energy_and_forces(collate(item))
        same, there = potential.energy_and_forces(collate(moved(item, matrix, [5.0, 0.0, 1.0])))
    close(same, energy)
    close(there, forces @ torch.from_numpy(matrix).T)


def test_energy_is_extensive_and_counts_elements(potential):
    water = example("H2O")
    apart = (np.tile(water[0], 2), np.concatenate([water[1], water[1] + 50.0]), 0, None)
    close(potential(collate(apart)), 2 * potential(collate(water)))
    before = potential(collate(water))
    potential.element_energy[1] -= 3.0
    after = potential(collate(water))
    potential.element_energy[1] += 3.0
    close(after, before - 6.0)


def test_smooth_where_a_pair_crosses_the_cutoff(backbone, potential):
    def at(distance):
        return collate(([6, 8, 7], [[0, 0, 0], [distance, 0, 0], [1.2, 0.9, 0]], 0, None))

    cutoff, step = BACKBONE.cutoff, 1e-4
    for value in (potential, lambda b: backbone(b).scalars, lambda b: backbone(b).vectors):
        jump = (value(at(cutoff - step)) - value(at(cutoff + step))).abs().amax()
        # Without an envelope a pair would contribute here about as much as at half the cutoff.
        scale = (value(at(cutoff / 2)) - value(at(cutoff + step))).abs().amax()
        # The third atom sees the moving one go by a smooth 2e-4 Å.
        assert jump < 1e-3 * scale
    before, after = (potential.energy_and_forces(at(cutoff + s))[1] for s in (-step, step))
    close(before, after, atol=1e-3 * float(before.abs().amax()))


def test_a_pair_beyond_the_cutoff_does_not_interact(backbone):
    near, far = (backbone(collate(([6, 8], [[0, 0, 0], [d, 0, 0]], 0, None))) for d in (4.9, 5.1))
    alone = backbone(collate(([6], [[0, 0, 0]], 0, None)))
    close(far.scalars[:1], alone.scalars)
    assert (near.scalars[:1] - alone.scalars).abs().amax() > 1e-8


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
