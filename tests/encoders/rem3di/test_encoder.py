"""REM3DI: symmetries of its blocks, structure encodings, pooling, tokens."""

import math

import numpy as np
import pytest
import torch
from encoder_examples import collate, embedded, example, moved, rem3di, reordered, rotation, seeded
from torch import nn

from skmol3d.encoders import ENCODERS, REM3DI, AtomFeatures
from skmol3d.encoders.atoms import select_atoms
from skmol3d.encoders.layers import SUM_UNIT, Bessel, PairBiasedBlock, Pooling, TokenPairs, random_walks

NAMES = ["CH3CONH2", "CH3CH2OH", "H2O", "C5H5N", "H2"]
MOLECULES = [example(name) for name in NAMES]
ALL = ("mean", "std", "max", "sum", "attention", "pma")
MIRROR = np.diag([1.0, 1.0, -1.0])


def close(found, expected, atol=1e-8):
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@pytest.fixture(scope="module")
def encoder():
    return rem3di()


@pytest.fixture(scope="module")
def alanine():
    return embedded("C[C@H](N)C(=O)O")


def blocks(encoder, *items):
    return encoder(collate(*items)).split(list(encoder.output_blocks().values()), 1)


@pytest.mark.parametrize("structure", ["3d", "2d", "none"])
@pytest.mark.parametrize("hydrogens", [False, True])
def test_row_knows_nothing_of_pose_order_or_neighbours(structure, hydrogens, alanine):
    encoder = rem3di(structure=structure, hydrogens=hydrogens, pooling=ALL)
    items = [*MOLECULES, alanine]
    rows = encoder(collate(*items))
    assert rows.shape == (len(items), sum(encoder.output_blocks().values()))
    rng = np.random.default_rng(0)
    for item, row in zip(items, rows, strict=True):
        close(encoder(collate(item))[0], row)  # alone: no padding, other positions of its atoms in the batch
        close(encoder(collate(moved(item, rotation(1), [9.0, -3.0, 20.0])))[0], row)
        close(encoder(collate(reordered(item, rng.permutation(len(item[0])))))[0], row)
    close(encoder(collate(*items[::-1])), rows.flip(0))
    assert torch.pdist(rows).min() > 1e-3


def test_mirror_images(encoder, alanine):
    for matrix in (MIRROR, -np.eye(3), rotation(4) @ MIRROR):
        (invariant, chiral), (same, opposite) = (
            blocks(encoder, alanine),
            blocks(encoder, moved(alanine, matrix)),
        )
        close(same, invariant)
        close(opposite, -chiral)
        assert chiral.abs().amax() > 1e-3


@pytest.mark.parametrize("hydrogens", [False, True])
@pytest.mark.parametrize("name", ["C6H6", "H2CO", "CH4", "CO2", "C2H4", "H2O", "NH3", "HCOOH", "H2"])
def test_chiral_block_of_rigid_achiral_molecules_is_zero(name, hydrogens, alanine):
    encoder = rem3di(hydrogens=hydrogens)
    _, chiral = blocks(encoder, moved(example(name), rotation(2)))
    _, reference = blocks(encoder, alanine)
    assert chiral.abs().amax() < 1e-6 * reference.abs().amax()


def test_separately_embedded_enantiomers(encoder):
    for left, right in [("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"), ("F[C@](Cl)(Br)I", "F[C@@](Cl)(Br)I")]:
        (invariant, chiral), (other_invariant, other) = (blocks(encoder, embedded(s)) for s in (left, right))
        assert (chiral - other).norm() > 0.5 * (chiral.norm() + other.norm()) > 1e-3
    # The last pair is rigid: one geometry and its mirror image.
    close(other_invariant, invariant, atol=0.02 * float(invariant.abs().amax()))
    close(other, -chiral, atol=0.02 * float(chiral.abs().amax()))


class Stub(nn.Module):
    """A foreign backbone: 3 scalars and 2 vectors per atom from numbers and, if asked, all distances."""

    def __init__(self, geometry):
        super().__init__()
        self.geometry = geometry
        self.sizes = (3, 2)

    def forward(self, batch):
        z = batch.numbers.to(batch.positions)
        difference = batch.positions[:, None] - batch.positions
        same = batch.molecule[:, None] == batch.molecule
        weight = torch.exp(-difference.square().sum(-1)) * same * z
        third = weight.sum(1) if self.geometry else z.sqrt()
        vectors = torch.stack([(w[..., None] * difference).sum(1) for w in (weight, weight**2)], 2)
        return AtomFeatures(torch.stack([z, z.square(), third], 1), vectors)


def test_foreign_backbone(alanine):
    encoder = rem3di(Stub(geometry=True))
    close(encoder(collate(moved(alanine, rotation(5)), MOLECULES[0]))[:1], encoder(collate(alanine)))
    (invariant, chiral), (same, opposite) = blocks(encoder, alanine), blocks(encoder, moved(alanine, MIRROR))
    close(same, invariant)
    close(opposite, -chiral)


@pytest.mark.parametrize(("structure", "changes"), [("3d", True), ("2d", False), ("none", False)])
def test_what_the_pairs_know_of_positions(structure, changes):
    encoder = rem3di(Stub(geometry=False), structure=structure)
    numbers, positions, charge, bonds = example("CH3CONH2")
    shaken = positions + np.random.default_rng(0).normal(0, 0.3, positions.shape)
    tokens, others = (encoder.tokens(collate((numbers, p, charge, bonds))) for p in (positions, shaken))
    assert ((tokens.pairs - others.pairs).abs().amax() > 1e-3) == changes
    assert ((tokens.encoded - others.encoded).abs().amax() > 1e-3) == changes


def test_2d_knows_the_bonds_and_none_does_not():
    numbers, positions, charge, bonds = example("CH3CONH2")
    for structure, changes in (("2d", True), ("none", False), ("3d", False)):
        encoder = rem3di(structure=structure)
        rows = encoder(collate((numbers, positions, charge, bonds), (numbers, positions, charge, bonds[1:])))
        assert ((rows[0] - rows[1]).abs().amax() > 1e-6) == changes


def test_2d_without_bonds_takes_those_of_the_geometry():
    numbers, positions, charge, bonds = example("CH3CONH2")
    encoder = rem3di(structure="2d")
    rows = [encoder(collate((numbers, positions, charge, known))) for known in (bonds, None)]
    torch.testing.assert_close(rows[0], rows[1])


def test_random_walks_by_hand():
    # Propane's carbons; a hydrogen between them is left out with its bonds. Beside it a lone pair of atoms.
    propane = ([6, 1, 6, 6], np.zeros((4, 3)), 0, [[0, 2], [0, 1], [3, 2]])
    batch = collate(propane, ([7, 7], np.zeros((2, 3)), 0, [[0, 1]]), ([18], np.zeros((1, 3)), 0, []))
    walks = random_walks(select_atoms(batch, (batch.numbers > 1).nonzero()[:, 0]), 3)
    assert walks.shape == (3, 3, 3, 4)
    once = torch.tensor([[0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]], dtype=torch.float64)
    twice = torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]], dtype=torch.float64)
    for power, expected in enumerate([torch.eye(3, dtype=torch.float64), once, twice, once]):
        close(walks[0, ..., power], expected)
    swap = torch.tensor([[0, 1], [1, 0]], dtype=torch.float64)
    close(walks[1, :2, :2, 3], swap)
    assert (walks[1, 2, :2] == 0).all()
    close(walks[2, 0, 0], torch.tensor([1, 0, 0, 0], dtype=torch.float64))


def test_bessel_closed_form():
    size, length = 6, 20.0
    distance = torch.tensor([0.0, 1e-9, 0.7, 5.0, 19.9, 33.0], dtype=torch.float64)
    found = Bessel(size, length).double()(distance)
    n = torch.arange(1, size + 1, dtype=torch.float64)
    away = math.sqrt(2 / length) * torch.sin(n * math.pi * distance[1:, None] / length) / distance[1:, None]
    close(found[1:], away, atol=1e-7)
    close(found[0], math.sqrt(2 / length) * n * math.pi / length, atol=1e-7)


def test_hydrogens_as_tokens():
    items = [MOLECULES[0], example("H2"), ([1], np.zeros((1, 3)), 1, [])]
    without, with_them = (rem3di(hydrogens=h).tokens(collate(*items)) for h in (False, True))
    assert with_them.atoms.counts.tolist() == [9, 2, 1]
    assert without.atoms.counts.tolist() == [4, 2, 1]  # a molecule of hydrogens alone keeps them
    numbers = collate(*items).numbers
    assert (without.atoms.numbers[:4] > 1).all()
    close(without.atoms.numbers, numbers[without.index])
    assert without.real.sum(1).tolist() == [4, 2, 1]


def test_scalars_are_standardised(encoder):
    batch = collate(*MOLECULES)
    tokens = encoder.tokens(batch)
    raw = encoder.backbone(batch).scalars[tokens.index]
    close(tokens.scalars[tokens.real], (raw - encoder.scalar_mean) / encoder.scalar_std)
    assert (tokens.scalars[~tokens.real] == 0).all()


def padded_tokens(width=8):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(3, 5, width, generator=rng, dtype=torch.float64)
    real = torch.arange(5) < torch.tensor([[5], [1], [3]])
    return x, real


@pytest.mark.parametrize("kind", ALL)
def test_pooling_against_one_molecule_at_a_time(kind):
    pool = seeded(lambda: Pooling((kind,), 8, 2, seeds=3))
    x, real = padded_tokens()
    found = pool(x, real)
    assert found.shape == (3, pool.size)
    for row, tokens, keep in zip(found, x, real, strict=True):
        t = tokens[keep]
        if kind == "attention":
            expected = pool.score(t)[:, 0].softmax(0) @ t
        elif kind == "pma":
            expected = pool.pma(pool.seeds, t[None], t[None])[0].flatten()
        else:
            expected = {
                "mean": t.mean(0),
                "std": t.std(0, correction=0),
                "max": t.max(0).values,
                "sum": t.sum(0) / SUM_UNIT,
            }[kind]
        # The standard deviation carries a small constant that keeps its gradient finite.
        close(row, expected, atol=1e-3 if kind == "std" else 1e-12)


def test_pooling_ignores_what_stands_in_padding():
    pool = seeded(lambda: Pooling(ALL, 8, 2, seeds=3))
    x, real = padded_tokens()
    close(pool(torch.where(real[..., None], x, 1e3), real), pool(x, real), atol=1e-12)


def test_pair_bias_starts_at_zero():
    block = PairBiasedBlock(8, 2, 4).double()
    x, real = padded_tokens()
    places = TokenPairs(real)
    pairs = torch.randn(len(places.first), 4, dtype=torch.float64)
    close(block(x, pairs, places), block(x, torch.zeros_like(pairs), places), atol=0)


def test_descriptor_is_differentiable_in_the_positions(encoder):
    numbers, positions, charge, bonds = MOLECULES[0]
    batch = collate(MOLECULES[0], MOLECULES[2])
    batch.positions.requires_grad_()
    (gradient,) = torch.autograd.grad(encoder(batch)[0].sum(), batch.positions)
    step = 1e-5
    for i, axis in [(0, 0), (1, 1), (4, 2)]:
        ends = [positions.copy(), positions.copy()]
        ends[0][i, axis] += step
        ends[1][i, axis] -= step
        high, low = encoder(collate(*((numbers, end, charge, bonds) for end in ends))).sum(1)
        close(gradient[i, axis], (high - low) / (2 * step), atol=1e-6 * (1 + gradient.abs().amax()))
    assert (gradient[len(numbers) :] == 0).all()


def test_output_blocks_follow_the_pooling():
    encoder = rem3di(pooling=("mean", "pma"), seeds=3, chiral=7)
    assert encoder.output_blocks() == {"invariant": 16 + 3 * 16, "chiral": 7}
    assert list(encoder.output_blocks()) == ["invariant", "chiral"]
    assert encoder.elements == encoder.config.backbone.elements


def test_registry_names_classes_by_their_names():
    assert ENCODERS["rem3di"] is REM3DI
    for name, cls in ENCODERS.items():
        assert cls.name == name
        assert cls(cls.Config()).config == cls.Config()


def test_potential_block_holds_statistics_of_the_backbone(alanine):
    """All atoms count, hydrogens too, and padding does not."""
    plain, encoder = rem3di(), rem3di(backbone_pooling=Pooling.PLAIN)
    encoder.load_state_dict(plain.state_dict())  # no weights of its own
    encoder.scalar_mean.fill_(0.3)
    encoder.scalar_std.fill_(2.0)
    assert list(encoder.output_blocks()) == ["invariant", "potential", "chiral"]
    molecules = [alanine, *MOLECULES]
    found = blocks(encoder, *molecules)[1]
    for row, molecule in zip(found, molecules, strict=True):
        x = (encoder.backbone(collate(molecule)).scalars - 0.3) / 2.0
        assert len(x) == len(molecule[0])
        spread = (x.var(0, correction=0) + 1e-6).sqrt() - 1e-3
        expected = [x.mean(0), spread, x.amax(0), x.amin(0), x.sum(0) / SUM_UNIT]
        close(row, torch.cat(expected), atol=1e-6)


def test_backbone_pooling_must_be_plain_statistics():
    with pytest.raises(ValueError, match="backbone_pooling must be distinct names from"):
        rem3di(backbone_pooling=("attention",))
