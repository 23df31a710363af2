"""Neighbours in periodic cells, against a loop over images."""

from itertools import product

import numpy as np
import pytest
import torch

from skmol3d.encoders.atoms import radius_edges
from skmol3d.encoders.periodic import MOST_IMAGES, PeriodicBatch, inverse_cells, refuse_flat_cells

CELLS = [
    np.diag([4.0, 5.0, 6.0]),
    np.array([[3.0, 0.0, 0.0], [1.4, 3.5, 0.0], [-1.1, 0.9, 4.2]]),
]


def crystals(counts=(2, 3)):
    rng = np.random.default_rng(0)
    positions = np.concatenate([rng.random((n, 3)) @ c for n, c in zip(counts, CELLS, strict=True)])
    return PeriodicBatch(
        torch.ones(sum(counts), dtype=torch.long),
        torch.from_numpy(positions),
        torch.tensor(counts),
        torch.zeros(len(counts), dtype=torch.float64),
        cells=torch.from_numpy(np.stack(CELLS)),
    )


def pairs_by_loops(batch, cutoff):
    found = []
    start = 0
    for count, cell in zip(batch.counts.tolist(), CELLS, strict=True):
        places = batch.positions[start : start + count].numpy()
        for i, j in product(range(count), repeat=2):
            for step in product(range(-4, 5), repeat=3):
                distance = np.linalg.norm(places[i] - places[j] + np.array(step) @ cell)
                if distance < cutoff and (i != j or any(step)):
                    found.append((start + i, start + j, round(distance, 6)))
        start += count
    return sorted(found)


@pytest.mark.parametrize("cutoff", [2.0, 5.0])
def test_neighbours_are_those_of_a_loop_over_images(cutoff):
    batch = crystals()
    edges = radius_edges(batch, cutoff)
    itself = edges.itself.numpy()
    triples = zip(edges.target.tolist(), edges.source.tolist(), edges.distance.tolist(), strict=True)
    found = [(i, j, round(d, 6)) for (i, j, d), own in zip(triples, itself, strict=True) if not own]
    assert sorted(found) == pairs_by_loops(batch, cutoff)
    assert itself.sum() == len(batch.numbers)
    lengths = edges.direction.norm(dim=1)
    torch.testing.assert_close(lengths[~edges.itself], torch.ones_like(lengths[~edges.itself]))


def test_atoms_may_stand_in_any_cell():
    batch = crystals()
    shift = torch.tensor([[0, 0, 0], [2, -1, 3], [0, 0, 0], [-1, 0, 0], [5, 5, 5]]).double()
    places = batch.positions + (shift[:, None] @ batch.cells[batch.molecule])[:, 0]
    moved = PeriodicBatch(batch.numbers, places, batch.counts, batch.charge, cells=batch.cells)
    found, expected = (sorted(radius_edges(b, 4.0).distance.tolist()) for b in (moved, batch))
    assert found == pytest.approx(expected)


def test_distances_have_gradients_also_of_an_atom_and_its_own_image():
    batch = crystals()
    positions = batch.positions.clone().requires_grad_()
    made = PeriodicBatch(batch.numbers, positions, batch.counts, batch.charge, cells=batch.cells)
    radius_edges(made, 5.0).distance.square().sum().backward()
    assert torch.isfinite(positions.grad).all()
    assert positions.grad.abs().max() > 0


def test_cells_are_inverted_one_by_one_and_flat_ones_are_not_finite():
    cells = torch.from_numpy(np.stack([*CELLS, np.diag([1.0, 1.0, 0.0])]))
    inverse = inverse_cells(cells)
    for cell, found in zip(CELLS, inverse.numpy(), strict=False):
        np.testing.assert_allclose(found, np.linalg.inv(cell), atol=1e-12)
    assert not torch.isfinite(inverse[2]).all()


def test_sums_that_would_not_end_are_refused_by_name():
    cells = torch.from_numpy(np.stack([CELLS[0], np.diag([5.0, 5.0, 1e-9])]))
    refuse_flat_cells(cells, torch.ones(2, 3))
    for wrong in ([1.0, 1.0, 1e9], [1.0, torch.nan, 1.0]):
        extents = torch.tensor([[1.0] * 3, wrong])
        with pytest.raises(ValueError, match=rf"crystal 1: .* too flat.* {MOST_IMAGES:,} images"):
            refuse_flat_cells(cells, extents)
