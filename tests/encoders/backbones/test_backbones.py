"""Every backbone of ours, and the potential on it: symmetries, smoothness, forces, checkpoints."""

import numpy as np
import pytest
import torch
from encoder_examples import (
    BACKBONE,
    CONVOLUTION,
    EGNN_BACKBONE,
    collate,
    example,
    excite,
    moved,
    reordered,
    rotation,
    seeded,
)

from skmol3d.encoders import Potential, PotentialConfig
from skmol3d.encoders.backbones import BACKBONES

NAMES = ["CH3CONH2", "CH3CH2OH", "H2O", "C5H5N", "CH3SH"]
MOLECULES = [example(name) for name in NAMES]


@pytest.fixture(scope="module", params=[BACKBONE, EGNN_BACKBONE, CONVOLUTION], ids=lambda config: config.kind)
def config(request):
    return request.param


@pytest.fixture(scope="module")
def backbone(config):
    made = seeded(lambda: BACKBONES[config.kind](config))
    excite(made)
    return made


@pytest.fixture(scope="module")
def potential(config):
    made = seeded(lambda: Potential(PotentialConfig(config)))
    excite(made)
    made.element_energy.copy_(torch.linspace(0, -50, len(made.element_energy)))
    return made


def close(found, expected, atol=1e-9):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def turned(vectors, matrix):
    return torch.einsum("ij,njv->niv", torch.from_numpy(matrix), vectors)


def test_shapes_and_content(backbone):
    features = backbone(collate(*MOLECULES))
    scalars, vectors = features.scalars, features.vectors
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


def test_smooth_where_a_pair_crosses_the_cutoff(config, backbone, potential):
    def at(distance):
        return collate(([6, 8, 7], [[0, 0, 0], [distance, 0, 0], [1.2, 0.9, 0]], 0, None))

    cutoff, step = config.cutoff, 1e-4
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
