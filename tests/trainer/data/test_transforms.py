"""Augmentations: what they keep, what they change, and that targets follow."""

from itertools import combinations

import numpy as np
import pytest
import torch
from rdkit import Chem
from trainer_examples import embedded

from skmol3d.trainer.data.positions import integer_positions
from skmol3d.trainer.data.sets import Row, stack
from skmol3d.trainer.data.transforms import (
    MASK,
    Compose,
    CoordinateNoise,
    ElementMasking,
    RandomScale,
    RotoInversion,
    TorsionScrambling,
    rotatable_bonds,
)

FLEXIBLE = ["CCCCO", "C[C@H](O)CCN", "C/C=C\\CCO", "CC(=O)NCCc1ccccc1", "C#CCOC", "c1ccccc1", "C"]


def packed(smiles):
    rows = []
    for k, text in enumerate(smiles):
        mol, positions = embedded(text)
        n = mol.GetNumAtoms()
        rng = np.random.default_rng(k)
        rows.append(
            Row(
                numbers=np.array([a.GetAtomicNum() for a in mol.GetAtoms()]),
                positions=integer_positions(positions),
                charge=0,
                group=k,
                atom_targets={
                    "forces": rng.normal(size=(n, 3)),
                    "handedness": rng.integers(-1, 2, n).astype(np.int8),
                    "environments": np.arange(n, dtype=np.int64),
                },
                molecule_targets={
                    "energy": -1.0 * n,
                    "dipole": rng.normal(size=3),
                    "descriptors": np.ones(4),
                },
                bonds=np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()]),
            )
        )
    return stack(rows)


@pytest.fixture(scope="module")
def data():
    return packed(FLEXIBLE)


@pytest.fixture
def batch(data):
    return data.batch(np.arange(len(data)))


def molecules(batch):
    """(atoms, bonds) of each molecule, as slices and lists of pairs."""
    ends = batch.counts.cumsum(0).tolist()
    starts = [0, *ends[:-1]]
    pairs = batch.bonds.T.tolist()
    return [(s, e, [(i, j) for i, j in pairs if s <= i < e]) for s, e in zip(starts, ends, strict=True)]


def distance(positions, i, j):
    return (positions[i] - positions[j]).norm().item()


def angles(bonds):
    """Pairs of bonds that share an atom, as triples (end, shared, end)."""
    for one, two in combinations(bonds, 2):
        for shared in set(one) & set(two):
            yield next(k for k in one if k != shared), shared, next(k for k in two if k != shared)


def dihedral(p, a, b, c, d):
    p = p.double().numpy()
    axis = (p[c] - p[b]) / np.linalg.norm(p[c] - p[b])
    u, v = p[a] - p[b], p[d] - p[c]
    u, v = u - axis * (u @ axis), v - axis * (v @ axis)
    return np.arctan2(np.cross(axis, u) @ v, u @ v)


def volume(p, centre, neighbours):
    a, b, c = (p[k].double() - p[centre].double() for k in neighbours[:3])
    return torch.linalg.det(torch.stack([a, b, c])).item()


def test_scrambling_keeps_lengths_angles_and_handedness(batch):
    before, targets = batch
    after, _ = TorsionScrambling()(before, targets, np.random.default_rng(0))
    assert torch.equal(after.numbers, before.numbers)
    for start, end, bonds in molecules(before):
        for i, j in bonds:
            assert distance(after.positions, i, j) == pytest.approx(
                distance(before.positions, i, j), abs=1e-4
            )
        for i, _, k in angles(bonds):  # with both lengths, the distance of the ends is the angle
            assert distance(after.positions, i, k) == pytest.approx(
                distance(before.positions, i, k), abs=1e-4
            )
        for atom in range(start, end):
            around = [i + j - atom for i, j in bonds if atom in (i, j)]
            if len(around) == 4:
                old, new = volume(before.positions, atom, around), volume(after.positions, atom, around)
                assert new == pytest.approx(old, abs=1e-3)


def test_scrambling_turns_rotatable_bonds_only(batch):
    before, targets = batch
    after, _ = TorsionScrambling()(before, targets, np.random.default_rng(0))
    chain = [dihedral(b.positions, 0, 1, 2, 3) for b in (before, after)]  # C-C-C-C of butanol
    assert abs(chain[0] - chain[1]) > 0.1
    start, *_ = molecules(before)[2]  # but-2-ene stays as it is drawn, cis
    cis = [dihedral(b.positions, *range(start, start + 4)) for b in (before, after)]
    np.testing.assert_allclose(cis, cis[0], atol=1e-3)
    assert abs(cis[0]) < 0.3
    for m in (5, 6):  # benzene and methane have nothing that turns
        start, end, _ = molecules(before)[m]
        torch.testing.assert_close(after.positions[start:end], before.positions[start:end])


def test_scrambled_angles_are_uniform():
    mol, positions = embedded("FCCF")
    numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    bonds = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()])
    rng = np.random.default_rng(0)
    free = TorsionScrambling(closest=0.0)
    found = [
        dihedral(torch.from_numpy(free.scramble(numbers, positions, bonds, rng)), 0, 1, 2, 3)
        for _ in range(400)
    ]
    # Kolmogorov-Smirnov distance from uniform: below 0.1 with a probability of 0.999.
    ranks = (np.sort(found) + np.pi) / (2 * np.pi)
    assert np.abs(ranks - np.arange(400) / 400).max() < 0.1


@pytest.mark.parametrize(
    "smiles",
    [
        "CCCCO",
        "C/C=C/C(=O)OC",
        "CC(=O)NCC#N",
        "CN=Nc1ccccc1",
        "CC(C)=NO",
        "C1CCCCC1c1ccncc1",
        "CS(=O)(=O)NCc1cc2ccccc2o1",
        "C=CC=C",
        "C[N+](C)(C)CCP(=O)(O)OC",
        "CC#CC",
    ],
)
def test_rotatable_bonds_are_those_that_bond_orders_say(smiles):
    mol, positions = embedded(smiles)
    numbers = np.array([a.GetAtomicNum() for a in mol.GetAtoms()])
    bonds = np.array([(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()])
    expected = {
        frozenset((b.GetBeginAtomIdx(), b.GetEndAtomIdx()))
        for b in mol.GetBonds()
        if b.GetBondType() == Chem.BondType.SINGLE
        and not b.IsInRing()
        and min(b.GetBeginAtom().GetDegree(), b.GetEndAtom().GetDegree()) > 1
    }
    found = rotatable_bonds(numbers, positions, bonds)
    assert {frozenset((i, j)) for i, j, _ in found} == expected
    for i, j, side in found:
        # The other fragment of the molecule that RDKit cuts at this bond.
        cut = Chem.FragmentOnBonds(mol, [mol.GetBondBetweenAtoms(i, j).GetIdx()], addDummies=False)
        assert sorted(side.tolist()) in [sorted(part) for part in Chem.GetMolFrags(cut) if j in part]


def test_sides_do_not_collide():
    data = packed(["CC(C)(C)CCC(C)(C)C", "OCCCCCCCO"])
    before, targets = data.batch(np.array([0, 1]))
    for seed in range(20):
        after, _ = TorsionScrambling(closest=1.4)(before, targets, np.random.default_rng(seed))
        for start, end, bonds in molecules(before):
            near = {frozenset(pair) for pair in bonds} | {frozenset((i, k)) for i, _, k in angles(bonds)}
            distances = torch.cdist(after.positions[start:end], after.positions[start:end])
            for i, j in combinations(range(end - start), 2):
                if frozenset((i + start, j + start)) not in near:
                    assert distances[i, j] > 1.4 - 1e-4
    # Where no angle is allowed the bonds stay.
    stuck, _ = TorsionScrambling(closest=50.0)(before, targets, np.random.default_rng(0))
    torch.testing.assert_close(stuck.positions, before.positions)


def test_scrambling_voids_the_targets_of_the_old_geometry(batch):
    before, targets = batch
    _, after = TorsionScrambling()(before, targets, np.random.default_rng(0))
    for name in ("energy", "forces", "dipole"):
        assert after[name].isnan().all()
        assert not targets[name].isnan().any()
    for name in ("handedness", "environments", "descriptors"):
        assert torch.equal(after[name], targets[name])


def test_scrambling_needs_bonds(data):
    from dataclasses import replace

    batch, targets = replace(data, bonds=None).batch(np.arange(2))
    with pytest.raises(ValueError, match="needs bonds"):
        TorsionScrambling()(batch, targets, np.random.default_rng(0))


def test_noise(batch):
    before, targets = batch
    after, told = CoordinateNoise(0.05)(before, targets, np.random.default_rng(0))
    torch.testing.assert_close(after.positions - before.positions, told["noise"], atol=1e-6, rtol=0)
    many = torch.cat([CoordinateNoise(0.05)(*batch, np.random.default_rng(s))[1]["noise"] for s in range(50)])
    assert many.std().item() == pytest.approx(0.05, rel=0.02)
    assert many.mean(0).abs().max() < 0.002
    assert "noise" not in targets


def test_scale(batch):
    before, targets = CoordinateNoise(0.01)(*batch, np.random.default_rng(1))
    after, told = RandomScale()(before, targets, np.random.default_rng(0))
    factors = []
    for start, end, _ in molecules(before)[:-1]:
        ratio = torch.pdist(after.positions[start:end]) / torch.pdist(before.positions[start:end])
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
        torch.testing.assert_close(told["noise"][start:end], targets["noise"][start:end] * ratio[0])
        factors.append(ratio[0].item())
    assert 0.9 <= min(factors) < max(factors) <= 1.25
    assert told["energy"].isnan().all()


def test_rotoinversion_keeps_distances_and_turns_vectors_along(batch):
    before, targets = CoordinateNoise(0.01)(*batch, np.random.default_rng(1))
    after, told = RotoInversion()(before, targets, np.random.default_rng(0))
    for m, (start, end, _) in enumerate(molecules(before)):
        old, new = before.positions[start:end], after.positions[start:end]
        assert (old - new).abs().max() > 0.1
        torch.testing.assert_close(torch.cdist(new, new), torch.cdist(old, old), atol=1e-4, rtol=0)
        for name in ("forces", "noise"):
            # Scalar products with the positions are invariant.
            one, two = old @ targets[name][start:end].T, new @ told[name][start:end].T
            torch.testing.assert_close(two, one, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(new @ told["dipole"][m], old @ targets["dipole"][m], atol=1e-4, rtol=1e-4)
    for name in ("energy", "descriptors", "environments"):
        assert torch.equal(told[name], targets[name])


def test_handedness_flips_with_inversion_alone(batch):
    before, targets = batch
    start, _, bonds = molecules(before)[1]
    centre = start + 1
    around = [i + j - centre for i, j in bonds if centre in (i, j)]
    flips = []
    for seed in range(200):
        after, told = RotoInversion()(before, targets, np.random.default_rng(seed))
        ratio = volume(after.positions, centre, around) / volume(before.positions, centre, around)
        assert abs(ratio) == pytest.approx(1, abs=1e-4)
        own = slice(start, start + int(before.counts[1]))
        assert torch.equal(told["handedness"][own], targets["handedness"][own] * round(ratio))
        flips.append(ratio < 0)
        still, same = RotoInversion(inversion=0)(before, targets, np.random.default_rng(seed))
        assert volume(still.positions, centre, around) == pytest.approx(
            volume(before.positions, centre, around), rel=1e-4
        )
        assert torch.equal(same["handedness"], targets["handedness"])
    assert told["handedness"].dtype == torch.int8
    assert 75 < sum(flips) < 125


def test_rotations_are_uniform(batch):
    before, targets = batch
    unit = before.positions[0] / before.positions[0].norm()
    turned = torch.stack(
        [
            RotoInversion(inversion=0)(before, targets, np.random.default_rng(seed))[0].positions[0]
            for seed in range(600)
        ]
    )
    turned = turned / turned.norm(dim=1, keepdim=True)
    # On a sphere every coordinate is uniform: mean 0, mean square 1/3.
    assert turned.mean(0).abs().max() < 0.1
    np.testing.assert_allclose(turned.square().mean(0), 1 / 3, atol=0.06)
    assert (turned @ unit).mean().abs() < 0.1


def test_masking(batch):
    before, targets = batch
    masked = torch.zeros(len(before.numbers))
    for seed in range(300):
        after, told = ElementMasking(0.15)(before, targets, np.random.default_rng(seed))
        hidden = after.numbers == MASK
        assert torch.equal(hidden, told["masked_element"] >= 0)
        assert torch.equal(torch.where(hidden, told["masked_element"], after.numbers), before.numbers)
        masked += hidden
    heavy = before.numbers > 1
    share = masked / 300
    assert share[heavy].mean().item() == pytest.approx(0.15, abs=0.01)
    assert share[heavy].min() > 0.05
    assert share[heavy].max() < 0.25
    assert not share[~heavy].any()
    assert (before.numbers < MASK).all()


def test_composed_and_repeatable(batch):
    augment = Compose(
        (TorsionScrambling(), CoordinateNoise(0.01), RandomScale(), RotoInversion(), ElementMasking(0.2))
    )
    before, targets = batch
    kept = before.positions.clone()
    results = [augment(before, targets, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    (one, one_told), (two, two_told), (other, _) = results
    assert torch.equal(one.positions, two.positions)
    assert torch.equal(one.numbers, two.numbers)
    assert set(one_told) == {*targets, "noise", "masked_element"}
    for name in one_told:
        torch.testing.assert_close(one_told[name], two_told[name], equal_nan=True, rtol=0, atol=0)
    assert not torch.equal(one.positions, other.positions)
    assert torch.equal(before.positions, kept)
