"""Mo3ENet: equivariance of embedding and decoding, symmetric molecules, refusals, atoms from swarms."""

import dataclasses
from itertools import permutations

import numpy as np
import pytest
import torch
from encoder_examples import collate, example, moved, reordered, rotation, seeded

from skmol3d import hub
from skmol3d.encoders import ENCODERS, AtomBatch, ConfigError, config_from_dict, config_to_dict
from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
from skmol3d.encoders.mo3enet.axes import molecular_axes
from skmol3d.encoders.mo3enet.decoder import (
    EGNNDecoderConfig,
    EMLPDecoderConfig,
    MixingDecoderConfig,
    Swarm,
    find_atoms,
)

SMALL = {"width": 16, "vectors": 6, "messages": 8, "pooled": 12, "context": 24, "embedding": 26, "swarm": 24}
EMLP = EMLPDecoderConfig(width=20, layers=2)
MIXING = MixingDecoderConfig(width=20, layers=2)
EGNN = EGNNDecoderConfig(width=10, vectors=4, messages=6, layers=2)
ASYMMETRIC = ["CH3CONH2", "CH3CH2OH", "C5H5N", "HCOOH"]
SYMMETRIC = ["H2O", "C6H6", "CH4", "CO2", "C2H4", "NH3", "C2H6", "H2", "C2H2", "CF4"]
MIRROR = np.diag([1.0, 1.0, -1.0])
MOTIONS = {"rotation": rotation(1), "inversion": -np.eye(3), "reflection": rotation(2) @ MIRROR}
ATOM = (np.array([7]), np.array([[3.0, -1.0, 2.0]]), 0.0, np.empty((0, 2), int))


def network(decoder=EMLP, **settings):
    return seeded(lambda: Mo3ENet(Mo3ENetConfig(decoder=decoder, **(SMALL | settings))))


def cast(batch, precision):
    return dataclasses.replace(
        batch, positions=batch.positions.to(precision), charge=batch.charge.to(precision)
    )


@pytest.fixture(scope="module", params=[EMLP, MIXING, EGNN], ids=["emlp", "mixing", "egnn"])
def encoder(request):
    return network(request.param)


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "atol"), [(torch.float64, 1e-8), (torch.float32, 1e-5)])
@pytest.mark.parametrize("hydrogens", [True, False])
@pytest.mark.parametrize("motion", MOTIONS)
def test_embedding_and_decoding_turn_with_the_molecule(encoder, motion, hydrogens, precision, atol):
    items = [*map(example, ASYMMETRIC + SYMMETRIC), ATOM]
    model = network(encoder.config.decoder, hydrogens=hydrogens).to(precision)
    matrix = torch.from_numpy(MOTIONS[motion]).to(precision)
    one = cast(collate(*items), precision)
    other = cast(collate(*(moved(item, MOTIONS[motion], [1.0, -2.0, 3.0]) for item in items)), precision)

    def close(found, expected):
        torch.testing.assert_close(found, expected, rtol=atol, atol=atol)

    before, after = model.embed(one), model.embed(other)
    close(after.vectors, matrix @ before.vectors)
    close(after.scalars, before.scalars)
    close(model(other), model(one))
    swarm, turned = model.decode(before), model.decode(after)
    close(turned.positions, swarm.positions @ matrix.T)
    close(turned.weights, swarm.weights)
    close(turned.types, swarm.types)


def test_a_turned_embedding_decodes_to_the_turned_swarm(encoder):
    """What users do: rotate the vectors, not the molecule."""
    embedding = encoder.embed(collate(*map(example, ASYMMETRIC)))
    q = torch.from_numpy(rotation(5) @ MIRROR)
    turned = encoder.decode(embedding._replace(vectors=q @ embedding.vectors))
    torch.testing.assert_close(turned.positions, encoder.decode(embedding).positions @ q.T, rtol=0, atol=1e-9)


@pytest.mark.parametrize("hydrogens", [True, False])
def test_a_row_knows_nothing_of_order_or_neighbours(hydrogens):
    encoder = network(hydrogens=hydrogens)
    rng = np.random.default_rng(0)
    # These have mirror planes, but not when shaken; symmetric molecules: below.
    items = [
        (numbers, positions + rng.normal(0, 0.1, positions.shape), charge, bonds)
        for numbers, positions, charge, bonds in map(example, ASYMMETRIC)
    ]
    together, rows = encoder.embed(collate(*items)), encoder(collate(*items))
    assert rows.shape == (len(items), sum(encoder.output_blocks().values()))
    for k, item in enumerate(items):
        for other in (item, reordered(item, rng.permutation(len(item[0])))):
            alone = encoder.embed(collate(other))
            torch.testing.assert_close(alone.scalars[0], together.scalars[k], rtol=0, atol=1e-9)
            torch.testing.assert_close(alone.vectors[0], together.vectors[k], rtol=0, atol=1e-9)
            torch.testing.assert_close(encoder(collate(other))[0], rows[k], rtol=0, atol=1e-9)
    assert torch.pdist(rows).min() > 1e-3


def symmetries(numbers, positions):
    """Orthogonal matrices that map a small molecule onto itself, by trying all images of its atoms."""
    found = []
    for images in map(list, permutations(range(len(positions)))):
        u, _, vt = np.linalg.svd(positions.T @ positions[images])
        for sign in (1.0, -1.0):
            q = vt.T @ np.diag([1.0, 1.0, sign]) @ u.T
            onto = np.abs(positions @ q.T - positions[images]).max() < 1e-4
            if onto and (numbers == numbers[images]).all():
                found.append(q)
    return found


@pytest.mark.parametrize("name", ["CH4", "CO2", "NH3", "H2O", "C2H2"])
def test_reordering_a_symmetric_molecule_applies_one_of_its_symmetries(name):
    """The most that is possible: an equivariant function without this freedom would return zero vectors."""
    encoder = network()
    item = moved(example(name), rotation(3))
    centred = item[1] - item[1].mean(0)
    numbers = item[0]
    operations = symmetries(numbers, centred)
    reference = encoder.embed(collate(item))
    assert reference.vectors.abs().max() > 0.01
    rng = np.random.default_rng(1)
    for _ in range(4):
        other = encoder.embed(collate(reordered(item, rng.permutation(len(numbers)))))
        torch.testing.assert_close(other.scalars, reference.scalars, rtol=0, atol=1e-5)
        errors = [
            (torch.from_numpy(q) @ reference.vectors - other.vectors).abs().max().item() for q in operations
        ]
        assert min(errors) < 1e-4


@pytest.mark.parametrize("name", SYMMETRIC)
def test_symmetric_molecules_do_not_vanish(name):
    batch = collate(example(name))
    vectors = network().embed(batch).vectors[0]
    spread = torch.linalg.svdvals(batch.positions - batch.positions.mean(0))
    # As many independent directions as the molecule has: none along which it has no extent.
    assert torch.linalg.matrix_rank(vectors, atol=1e-3) == (spread > 1e-3).sum()


def test_axes_are_those_of_the_molecule():
    numbers, positions, *_ = example("C6H6")
    x = torch.from_numpy(positions - positions.mean(0))[None]
    axes, coordinates = molecular_axes(x, torch.from_numpy(numbers)[None], torch.ones(1, len(numbers)).bool())
    normal = np.linalg.svd(positions - positions.mean(0))[2][2]
    assert (
        np.abs(normal @ axes[0].numpy()).max() < 1e-6
    )  # the third axis has faded, the others lie in the plane
    assert axes[0, :, 2].norm() < 1e-6
    directions = axes[0, :, :2] / axes[0, :, :2].norm(dim=0)
    torch.testing.assert_close(directions.T @ directions, torch.eye(2, dtype=x.dtype))
    farthest = x[0, (x[0].norm(dim=1) > x[0].norm(dim=1).max() - 1e-3).nonzero()[0, 0]]
    assert (farthest @ directions[:, 0]).item() > 0.8 * farthest.norm()
    torch.testing.assert_close(coordinates[0, :, :2], x[0] @ directions)


def test_single_atoms_have_no_direction_but_an_element():
    encoder = network()
    nitrogen, carbon = (encoder.embed(collate((np.array([z]), *ATOM[1:]))) for z in (7, 6))
    assert nitrogen.vectors.abs().max() == 0
    assert (nitrogen.scalars - carbon.scalars).abs().max() > 1e-3
    assert encoder.decode(nitrogen).positions.abs().max() == 0


def test_without_hydrogens_they_are_not_looked_at():
    encoder = network(hydrogens=False)
    numbers, positions, charge, bonds = example("CH3CONH2")
    shaken = positions + 0.3 * (numbers == 1)[:, None]
    one, other = (encoder.embed(collate((numbers, p, charge, bonds))) for p in (positions, shaken))
    torch.testing.assert_close(one.vectors, other.vectors, rtol=0, atol=1e-12)
    assert len(encoder.encoded_atoms(collate(example("CH3CONH2"), example("H2"))).numbers) == 4 + 2


def test_refusals():
    encoder = network()
    chlorosilane = (np.array([14, 17, 1, 1, 1]), example("CH3Cl")[1], 0.0, np.empty((0, 2), int))
    with pytest.raises(ValueError, match=r"molecule 1 of the batch: Si, Cl: not among .* \(H, C, N, O, F\)"):
        encoder.embed(collate(example("CH4"), chlorosilane))
    large = (np.full(25, 6), np.random.default_rng(0).normal(0, 3, (25, 3)), 0.0, np.empty((0, 2), int))
    with pytest.raises(ValueError, match="molecule 2 of the batch: 25 atoms, more than the 24 points"):
        encoder.embed(collate(example("CH4"), example("H2O"), large))
    for wrong in (
        {"elements": (6, 1)},
        {"elements": ()},
        {"swarm": 0},
        {"swarm": 65},
        {"decoder": {"kind": "mlp"}},
    ):
        with pytest.raises(ConfigError):
            config_from_dict(Mo3ENetConfig, config_to_dict(Mo3ENetConfig()) | wrong)


def test_checkpoint(tmp_path, encoder):
    assert ENCODERS["mo3enet"] is Mo3ENet
    hub.save_pretrained(encoder, tmp_path / "model", "A test.")
    again = hub.from_pretrained(str(tmp_path / "model"))
    assert again.config == encoder.config
    batch = cast(collate(*map(example, ASYMMETRIC)), torch.float32)
    reference = Mo3ENet(encoder.config).eval()
    reference.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again.embed(batch).vectors, reference.embed(batch).vectors)


def test_gradients_reach_every_weight():
    model = Mo3ENet(Mo3ENetConfig(decoder=EGNN, **SMALL)).double()
    swarm = model.decode(model.embed(collate(*map(example, ASYMMETRIC + SYMMETRIC[:3]))))
    (swarm.positions.square().sum() + swarm.weights.square().sum() + swarm.types.square().sum()).backward()
    missing = [k for k, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert missing == []


def swarm_of(points, weights, types):
    """Swarm with the given points, one molecule: probabilities of elements nearly one."""
    logits = torch.full((1, len(points), 5), -10.0, dtype=torch.float64)
    logits[0, torch.arange(len(points)), torch.as_tensor(types)] = 10.0
    weights = torch.as_tensor(weights, dtype=torch.float64)[None]
    return Swarm(torch.as_tensor(points, dtype=torch.float64)[None], torch.logit(weights), logits)


def test_clusters_become_atoms():
    swarm = swarm_of(
        [[0, 0, 0], [0.2, 0, 0], [1.5, 0, 0], [1.45, 0.1, 0], [0, 3, 0], [0, 0, 9]],
        [0.6, 0.4, 0.9, 0.1, 0.97, 0.2],
        [1, 1, 0, 3, 2, 4],
    )
    found = find_atoms(swarm)
    assert found.counts.tolist() == [3]  # the last point is too light
    expected = {1: [0.08, 0.0, 0.0], 0: [1.495, 0.01, 0.0], 2: [0.0, 3.0, 0.0]}
    assert sorted(found.types.tolist()) == [0, 1, 2]
    for kind, position in zip(found.types.tolist(), found.positions, strict=True):
        assert position.tolist() == pytest.approx(expected[kind], abs=1e-6)
    assert sorted(found.mass.tolist(), reverse=True) == pytest.approx([1.0, 1.0, 0.97])


def test_atoms_turn_with_the_swarm_and_molecules_stay_apart():
    rng = np.random.default_rng(0)
    swarms = [
        swarm_of(rng.normal(0, 2, (20, 3)), rng.uniform(0.05, 0.95, 20), rng.integers(0, 5, 20))
        for _ in range(4)
    ]
    joint = Swarm(*(torch.cat(part) for part in zip(*swarms, strict=True)))
    q = torch.from_numpy(rotation(7) @ MIRROR)
    found, turned = find_atoms(joint), find_atoms(joint._replace(positions=joint.positions @ q.T))
    assert found.types.tolist() == turned.types.tolist()
    torch.testing.assert_close(turned.positions, found.positions @ q.T)
    alone = [find_atoms(swarm) for swarm in swarms]
    assert found.counts.tolist() == [int(a.counts) for a in alone]
    torch.testing.assert_close(found.positions, torch.cat([a.positions for a in alone]))
    order = torch.from_numpy(rng.permutation(20))
    shuffled = find_atoms(Swarm(*(part[:, order] for part in swarms[0])))
    assert torch.cdist(shuffled.positions, alone[0].positions).amin(1).max() < 1e-9


def test_decoded_atoms_are_a_batch():
    encoder = network()
    found = encoder.atoms(swarm_of([[0, 0, 0], [1.1, 0, 0]], [0.99, 0.99], [1, 3]))
    assert isinstance(found, AtomBatch)
    assert found.numbers.tolist() == [6, 8]
    assert found.counts.tolist() == [2]
    nothing = encoder.atoms(swarm_of([[0, 0, 0], [1.1, 0, 0]], [0.1, 0.1], [1, 3]))
    assert nothing.counts.tolist() == [0]
    assert nothing.positions.shape == (0, 3)
