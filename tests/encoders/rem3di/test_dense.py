"""Compression of columns: what it keeps, how it is scaled, what it refuses."""

import numpy as np
import pytest
import torch
from encoder_examples import collate, embedded, moved, rem3di
from scipy.linalg import hadamard
from sklearn.preprocessing import StandardScaler

from skmol3d import hub
from skmol3d.encoders.rem3di.dense import CLIP, STEP, Compression


def correlated(rows, columns, seed=0):
    """Rows of columns that share a few causes, on scales that differ."""
    rng = np.random.default_rng(seed)
    causes = rng.normal(size=(rows, 6)) @ rng.normal(size=(6, columns))
    return torch.from_numpy(
        (causes + 0.3 * rng.normal(size=(rows, columns))) * 10.0 ** rng.integers(-3, 4, columns)
    )


def fitted(rows, size):
    made = Compression(rows.shape[1], size).double()
    made.fit(rows)
    return made


def unrounded(made, rows):
    return made.standardised(rows) @ made.matrix


def test_with_all_directions_inner_products_are_those_of_standardised_columns():
    """So a ridge regression, or a Gaussian kernel, sees the same molecules."""
    rows = correlated(200, 16)
    inside = rows[(abs(StandardScaler().fit_transform(rows)) < 0.9 * CLIP).all(1)]
    made = fitted(inside, 16)
    standard = StandardScaler().fit_transform(inside)
    found = unrounded(made, inside).numpy()
    np.testing.assert_allclose(found @ found.T, standard @ standard.T, atol=1e-9)


def test_fewer_columns_keep_the_principal_directions():
    rows = correlated(300, 32)
    found = unrounded(fitted(rows, 8), rows).numpy()
    standard = StandardScaler().fit_transform(rows)
    left, values, _ = np.linalg.svd(standard, full_matrices=False)
    kept = left[:, :8] * values[:8]
    scale = (kept**2).sum() / (found**2).sum()
    np.testing.assert_allclose(scale * found @ found.T, kept @ kept.T, atol=0.02 * (kept**2).sum() / 300)


@pytest.mark.parametrize("size", [4, 16])
def test_columns_have_equal_variance(size):
    rows = correlated(400, 16)
    made = fitted(rows, size)
    variance = unrounded(made, rows).square().mean(0)
    torch.testing.assert_close(variance, torch.ones(size, dtype=torch.float64), rtol=1e-9, atol=0)
    levels = made(made.standardised(rows)) / STEP
    assert torch.equal(levels, levels.round())
    assert (made(made.standardised(rows)) - unrounded(made, rows)).abs().max() <= STEP / 2


def test_directions_do_not_have_the_sign_of_chance():
    """What `eigh` returns may turn around with the rounding of rows; columns would mean the opposite."""
    made = fitted(correlated(200, 16), 8)
    directions = made.matrix.numpy() @ hadamard(8)  # the mixing undone
    largest = np.abs(directions).argmax(0)
    assert (directions[largest, range(8)] > 0).all()


def test_constant_columns_stay_silent_and_can_be_saved(tmp_path):
    rows = correlated(100, 8)
    rows[:, 2] = 7.0
    rows[:, 5] = 0.0
    made = fitted(rows, 8)
    assert all(value.isfinite().all() for value in made.state_dict().values())
    other = rows.clone()
    other[:, 2] += 1e-3
    other[:, 5] = 9.0
    assert torch.equal(unrounded(made, other), unrounded(made, rows))


def test_outliers_are_clipped():
    rows = correlated(100, 8)
    made = fitted(rows, 8)
    far, farther = (unrounded(made, rows[:1] + step * rows.std(0)) for step in (50.0, 5000.0))
    assert torch.equal(far, farther)


def test_too_few_molecules_or_columns():
    with pytest.raises(ValueError, match="16 columns cannot be fitted to 16 molecules"):
        fitted(correlated(16, 20), 16)
    with pytest.raises(ValueError, match="12 columns cannot be compressed to 16"):
        Compression(12, 16)
    with pytest.raises(ValueError, match="dense must be a power of two or 0, got 12"):
        rem3di(dense=12)


def test_rows_of_an_encoder_are_on_levels(tmp_path):
    """And a saved encoder has the same."""
    encoder = rem3di(dense=8, pooling=("mean", "max"), backbone_pooling=("sum",)).float()
    items = [embedded(text) for text in ("C[C@H](N)C(=O)O", "CC[C@H](C)O", "CCO", "c1ccncc1", "CC(=O)NC")]
    items += [moved(item, np.diag([1.0, 1.0, s]), np.full(3, s)) for item in items for s in (0.9, 1.1)]
    batch = collate(*items)
    batch = type(batch)(
        batch.numbers, batch.positions.float(), batch.counts, batch.charge.float(), batch.bonds
    )
    encoder.compress.fit(encoder.uncompressed(encoder.tokens(batch)))
    rows = encoder(batch)
    assert encoder.output_blocks() == {"dense": 8}
    assert torch.equal(rows / STEP, (rows / STEP).round())
    mirrored = type(batch)(
        batch.numbers,
        batch.positions * torch.tensor([1.0, 1.0, -1.0]),
        batch.counts,
        batch.charge,
        batch.bonds,
    )
    assert (encoder(mirrored) == rows).double().mean() > 0.95  # rounding may tip over
    again = hub.from_pretrained(hub.save_pretrained(encoder, tmp_path, "Compressed."))
    assert torch.equal(again(batch), rows)
