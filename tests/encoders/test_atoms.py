"""The ragged batch and its neighbour pairs."""

import numpy as np
import torch
from encoder_examples import collate, example

from skmol3d.encoders import AtomBatch
from skmol3d.encoders.atoms import radius_edges, select_atoms

WATER, METHANE, HYDROGEN = example("H2O"), example("CH4"), example("H2")


def test_from_arrays_concatenates_and_shifts_bonds():
    batch = AtomBatch.from_arrays([WATER, METHANE, (np.array([11], np.uint8), np.zeros((1, 3)), 1, [])])
    assert len(batch) == 3
    assert batch.numbers.tolist() == [8, 1, 1, 6, 1, 1, 1, 1, 11]
    assert batch.counts.tolist() == [3, 5, 1]
    assert batch.charge.tolist() == [0, 0, 1]
    assert batch.molecule.tolist() == [0] * 3 + [1] * 5 + [2]
    assert batch.slot.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 0]
    assert {frozenset(pair) for pair in batch.bonds.T.tolist()} == {
        frozenset(pair) for pair in [(0, 1), (0, 2), (3, 4), (3, 5), (3, 6), (3, 7)]
    }
    assert (batch.numbers.dtype, batch.positions.dtype, batch.bonds.dtype) == (
        torch.int64,
        torch.float32,
        torch.int64,
    )


def test_from_arrays_keeps_precision_far_from_the_origin():
    far = (WATER[0], WATER[1] + 1e5, 0, None)
    here, there = (torch.pdist(AtomBatch.from_arrays([m]).positions) for m in (WATER, far))
    torch.testing.assert_close(here, there, rtol=0, atol=1e-6)


def test_one_molecule_without_bonds_leaves_the_batch_without():
    assert AtomBatch.from_arrays([WATER, (*METHANE[:3], None)]).bonds is None


def test_pad_and_flat_index():
    batch = collate(HYDROGEN, WATER)
    assert batch.flat_index.tolist() == [[0, 1, -1], [2, 3, 4]]
    padded = batch.pad(batch.positions, 7.0)
    torch.testing.assert_close(padded[0, :2], batch.positions[:2])
    torch.testing.assert_close(padded[1], batch.positions[2:])
    assert (padded[0, 2] == 7).all()


def test_unpad_is_the_reverse_of_pad():
    for molecules in ((HYDROGEN, WATER), (WATER, WATER), (WATER,)):
        batch = collate(*molecules)
        torch.testing.assert_close(batch.unpad(batch.pad(batch.positions)), batch.positions)
    # Molecules of one size need no gathering: training and dynamics of one molecule are faster for it.
    assert batch.pad(batch.positions).data_ptr() == batch.positions.data_ptr()


def test_to_copies_everything():
    batch = collate(HYDROGEN, WATER).to("cpu")
    assert batch.molecule.tolist() == [0, 0, 1, 1, 1]
    assert batch.bonds.shape == (2, 3)


def test_radius_edges_against_a_loop():
    rng = np.random.default_rng(0)
    sizes = (7, 1, 4)
    batch = collate(*((np.full(n, 6), rng.normal(0, 2, (n, 3)), 0, None) for n in sizes))
    edges = radius_edges(batch, 3.0)
    expected = {}
    for i, p in enumerate(batch.positions.numpy()):
        for j, q in enumerate(batch.positions.numpy()):
            distance = np.linalg.norm(p - q)
            if batch.molecule[i] == batch.molecule[j] and distance < 3:
                expected[j, i] = (distance, (p - q) / distance if i != j else np.zeros(3))
    found = list(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    assert len(found) == len(set(found))
    assert set(found) == set(expected)
    assert 12 < len(found) < 7 * 7 + 1 + 4 * 4  # some pairs are beyond the cutoff
    for k, pair in enumerate(found):
        np.testing.assert_allclose(edges.distance[k], expected[pair][0], atol=1e-12)
        np.testing.assert_allclose(edges.direction[k], expected[pair][1], atol=1e-12)
    assert (edges.target.diff() >= 0).all()


def test_gradient_of_distances_is_finite_for_an_atom_with_itself():
    batch = collate(WATER)
    batch.positions.requires_grad_()
    edges = radius_edges(batch, 5.0)
    (edges.distance.sum() + edges.direction.square().sum()).backward()
    assert torch.isfinite(batch.positions.grad).all()
    # Distances know no translation.
    torch.testing.assert_close(
        batch.positions.grad.sum(0), torch.zeros(3, dtype=torch.float64), atol=1e-12, rtol=0
    )


def test_select_atoms_keeps_the_bonds_among_them():
    ethanol = example("CH3CH2OH")
    batch = collate(WATER, ethanol)
    heavy = (batch.numbers > 1).nonzero()[:, 0]
    atoms = select_atoms(batch, heavy)
    assert atoms.numbers.tolist() == [8] + [z for z in ethanol[0] if z > 1]
    assert atoms.counts.tolist() == [1, 3]
    torch.testing.assert_close(atoms.positions, batch.positions[heavy])
    kept = {frozenset(heavy[pair].tolist()) for pair in atoms.bonds.T}
    every = {frozenset(pair) for pair in batch.bonds.T.tolist()}
    assert kept == {pair for pair in every if all(batch.numbers[k] > 1 for k in pair)}
    assert len(kept) == 2


def labelled(item, start):
    """The molecule with environments that name its atoms."""
    return (*item, start + np.arange(6 * len(item[0]), dtype=np.uint32).reshape(-1, 6))


def test_environments_go_where_their_atoms_go():
    """Also through `to` and `select_atoms`; molecules whose graph is not known have zeros."""
    water, methane = labelled(WATER, 2**31), labelled(METHANE, 100)
    batch = AtomBatch.from_arrays([water, (*HYDROGEN, None), methane]).to("cpu")
    assert batch.environments.dtype == torch.int64
    expected = np.concatenate([water[4], np.zeros((2, 6)), methane[4]])
    np.testing.assert_array_equal(batch.environments, expected)
    kept = select_atoms(batch, torch.tensor([0, 4, 5]))
    np.testing.assert_array_equal(kept.environments, expected[[0, 4, 5]])
    assert AtomBatch.from_arrays([WATER, (*HYDROGEN, None)]).environments is None
