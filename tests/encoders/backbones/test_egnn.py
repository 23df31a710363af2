"""EGNN: its formulas against loops, REM3DI over it, checkpoints."""

import copy

import numpy as np
import pytest
import torch
from encoder_examples import (
    EGNN_BACKBONE,
    collate,
    example,
    excite,
    moved,
    rem3di,
    reordered,
    rotation,
    seeded,
)

from skmol3d import hub
from skmol3d.encoders import (
    EGNN,
    AtomBatch,
    EGNNConfig,
    Potential,
    PotentialConfig,
    config_from_dict,
    config_to_dict,
)
from skmol3d.encoders.atoms import radius_edges
from skmol3d.encoders.backbones.egnn import EGNNLayer, _between_atoms
from skmol3d.encoders.layers import ExpNormal, cosine_cutoff
from skmol3d.structures import ConformerSettings, embed, read_molecule

MIRROR = np.diag([1.0, 1.0, -1.0])


def close(found, expected, atol=1e-9):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


def silu(value):
    return value / (1 + np.exp(-value))


def single(name):
    """Molecule of ASE's g2 set in single precision."""
    return AtomBatch.from_arrays([example(name)])


def test_one_layer_against_loops():
    """arXiv:2102.09844, equations 3 to 6, one coordinate per channel as in arXiv:2309.03139."""
    layer = seeded(lambda: EGNNLayer(EGNN_BACKBONE))
    excite(layer)
    weights = {k: v.numpy() for k, v in layer.state_dict().items()}
    numbers, positions, *_ = example("CH3CH2OH")
    n, width, channels, cutoff = len(numbers), EGNN_BACKBONE.width, EGNN_BACKBONE.channels, 2.5
    basis = ExpNormal(EGNN_BACKBONE.radial, cutoff).double()
    edges = _between_atoms(radius_edges(collate((numbers, positions, 0, None)), cutoff))
    rng = np.random.default_rng(0)
    h, u = rng.normal(size=(n, width)), rng.normal(size=(n, 3, channels))
    found_h, found_u = layer(
        torch.from_numpy(h),
        torch.from_numpy(u),
        edges,
        basis(edges.distance),
        cosine_cutoff(edges.distance, cutoff)[:, None],
    )

    def linear(name, value):
        return weights[f"{name}.weight"] @ value + weights.get(f"{name}.bias", 0.0)

    normed = [
        (row - row.mean()) / np.sqrt(row.var() + 1e-5) * weights["norm.weight"] + weights["norm.bias"]
        for row in h
    ]
    x = positions[:, :, None] + u  # the coordinates themselves, one per channel
    expected_h, expected_x = h.copy(), x.copy()
    for i in range(n):
        gathered = np.zeros(width)
        for j in range(n):
            d = np.linalg.norm(positions[i] - positions[j])
            if i == j or d >= cutoff:
                continue
            envelope = 0.5 * (np.cos(np.pi * d / cutoff) + 1)
            squared = np.array([np.sum((x[i, :, c] - x[j, :, c]) ** 2) for c in range(channels)])
            radial = basis(torch.tensor([d], dtype=torch.float64))[0].numpy()
            first = linear("receiver", normed[i]) + linear("sender", normed[j])
            first = first + linear("geometry", np.concatenate([radial, squared / EGNN_BACKBONE.cutoff**2]))
            message = silu(linear("message.1", silu(first)))
            message = message / (1 + np.exp(-linear("attention", message))) * envelope
            gathered += message
            speed = linear("move.2", silu(linear("move.0", message))) * envelope
            for c in range(channels):
                expected_x[i, :, c] += (x[i, :, c] - x[j, :, c]) * speed[c] / (d + 1)
        expected_h[i] += linear("update.2", silu(linear("update.0", np.concatenate([normed[i], gathered]))))
    close(found_h, torch.from_numpy(expected_h))
    close(torch.from_numpy(positions[:, :, None]) + found_u, torch.from_numpy(expected_x))
    assert np.abs(expected_x - x).max() > 0.1


def test_moves_reach_the_scalars():
    """Later layers see the moved coordinates: the first layer's moves change the last scalars."""
    backbone = seeded(lambda: EGNN(EGNN_BACKBONE))
    excite(backbone)
    batch = collate(example("CH3CONH2"))
    before = backbone(batch).scalars
    backbone.layers[0].move[2].weight.zero_()
    after = backbone(batch).scalars
    width = EGNN_BACKBONE.width
    close(after[:, :width], before[:, :width])
    assert (after - before)[:, -width:].abs().amax() > 1e-3


def test_new_weights_hardly_move_the_atoms():
    vectors = EGNN(EGNNConfig())(single("CH3CONH2")).vectors
    assert 0 < vectors.abs().amax() < 0.1


def test_vectors_span_space():
    """Three independent vectors at an atom without symmetry, or REM3DI's triple products would vanish."""
    backbone = seeded(lambda: EGNN(EGNN_BACKBONE))
    singular = torch.linalg.svdvals(backbone(collate(alanine())).vectors)
    assert (singular[:, 2] / singular[:, 0]).median() > 1e-3


def alanine():
    c = embed(read_molecule("C[C@H](N)C(=O)O"), ConformerSettings(relax="mmff"))
    return c.numbers, c.positions[0].astype(float), c.charge, c.bonds


@pytest.fixture(scope="module")
def encoder():
    return rem3di(backbone_config=EGNN_BACKBONE)


def test_rem3di_rows_know_nothing_of_pose_order_or_neighbours(encoder):
    items = [alanine(), *map(example, ("CH3CONH2", "H2O", "H2", "C5H5N"))]
    rows = encoder(collate(*items))
    rng = np.random.default_rng(0)
    for item, row in zip(items, rows, strict=True):
        close(encoder(collate(item))[0], row, atol=1e-8)
        close(encoder(collate(moved(item, rotation(1), [9.0, -3.0, 20.0])))[0], row, atol=1e-8)
        close(encoder(collate(reordered(item, rng.permutation(len(item[0])))))[0], row, atol=1e-8)
    assert torch.pdist(rows).min() > 1e-3


def test_rem3di_blocks_of_mirror_images(encoder):
    sizes = list(encoder.output_blocks().values())
    invariant, chiral = encoder(collate(alanine())).split(sizes, 1)
    for matrix in (MIRROR, -np.eye(3), rotation(4) @ MIRROR):
        same, opposite = encoder(collate(moved(alanine(), matrix))).split(sizes, 1)
        close(same, invariant, atol=1e-8)
        close(opposite, -chiral, atol=1e-8)
    assert chiral.abs().amax() > 1e-3
    for name in ("C6H6", "H2CO", "CH4", "C2H4", "H2O"):  # superimposable on their mirror images
        _, none = encoder(collate(moved(example(name), rotation(2)))).split(sizes, 1)
        assert none.abs().amax() < 1e-6 * chiral.abs().amax()


def test_rem3di_checkpoint(encoder, tmp_path):
    folder = hub.save_pretrained(encoder, tmp_path / "rem3di", card="A random encoder.")
    loaded = hub.from_pretrained(str(folder))
    assert loaded.config == encoder.config
    assert isinstance(loaded.backbone, EGNN)
    batch = single("CH3CONH2")
    close(loaded(batch), copy.deepcopy(encoder).float()(batch), atol=1e-6)


def test_potential_checkpoint(tmp_path):
    potential = Potential(PotentialConfig(EGNN_BACKBONE)).eval()
    loaded = hub.from_pretrained(str(hub.save_pretrained(potential, tmp_path / "et", card="Random.")))
    batch = single("CH3CH2OH")
    for found, expected in zip(
        loaded.energy_and_forces(batch), potential.energy_and_forces(batch), strict=True
    ):
        close(found, expected, atol=0)
    assert loaded.elements == EGNN_BACKBONE.elements


def test_config_round_trip_and_bad_sizes():
    config = PotentialConfig(EGNNConfig(width=24, channels=3, cutoff=4.5, elements=(1, 6)))
    assert config_from_dict(PotentialConfig, config_to_dict(config)) == config
    for name in ("width", "layers", "channels", "radial", "cutoff"):
        with pytest.raises(ValueError, match=f"{name} must be positive, got -1"):
            EGNNConfig(**{name: -1})
    with pytest.raises(ValueError, match="elements must be atomic numbers"):
        EGNNConfig(elements=(0, 6))
