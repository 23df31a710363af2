"""Geometry in the learned global frame: its terms against ASE, its symmetries, RMSD without reflection."""

import ase
import numpy as np
import pytest
import torch
from objective_examples import BACKBONES, random_batch, small_rem3di, transformed
from scipy.spatial.transform import Rotation
from trainer_examples import embedded

from skmol3d.encoders import AtomBatch
from skmol3d.trainer.objectives.global_frame import GlobalFrame, aligned_rmsd, draw_chains, geometry_losses

MIRROR = torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64)


@pytest.fixture(params=BACKBONES, ids=lambda config: config.kind)
def encoder(request):
    return small_rem3di(request.param, hydrogens=True)


def padded(batch):
    return batch.pad(batch.positions), batch.flat_index >= 0


def test_terms_against_ase(batch):
    positions, real = padded(batch)
    predicted = positions + 0.4 * torch.randn_like(positions)
    chains, valid = draw_chains(positions, real)
    losses = geometry_losses(predicted, positions, real, chains, valid)
    distances, angles, dihedrals, weights = [], [], [], []
    for m, count in enumerate(batch.counts.tolist()):
        both = [ase.Atoms(f"C{count}", positions=p[m, :count].numpy()) for p in (predicted, positions)]
        distances += [
            abs(np.subtract(*(a.get_distance(i, j) for a in both))) for i in range(count) for j in range(i)
        ]
        for j, i, k, l in chains[m, :count].tolist():  # noqa: E741
            angles.append(1 - np.cos(np.radians(np.subtract(*(a.get_angle(j, i, k) for a in both)))))
            error = np.radians(np.subtract(*(a.get_dihedral(j, i, k, l) for a in both)))
            dihedrals.append(1 - np.cos(error))
            bends = [np.radians(both[1].get_angle(*bend)) for bend in ((j, i, k), (i, k, l))]
            weights.append(np.prod(np.sin(bends)))
    assert losses["distances"].item() == pytest.approx(np.mean(distances))
    assert losses["angles"].item() == pytest.approx(np.mean(angles), rel=1e-4)
    assert losses["dihedrals"].item() == pytest.approx(np.average(dihedrals, weights=weights), rel=1e-4)
    assert np.std(dihedrals) > 0.05


def test_only_signed_dihedrals_see_a_reflection(batch):
    positions, real = padded(batch)
    chains = draw_chains(positions, real)
    matrix = torch.from_numpy(Rotation.random(rng=1).as_matrix())
    for image, handed in ((positions @ matrix, False), (positions @ matrix * MIRROR, True)):
        losses = geometry_losses(image + 3.0, positions, real, *chains)
        assert losses["distances"] < 1e-9
        assert losses["angles"] < 1e-9
        assert (losses["dihedrals"] > 0.1) == handed


def test_degenerate_geometries_have_finite_gradients():
    """Predictions that coincide, atoms in line, molecules without an angle or a dihedral."""
    line = torch.tensor([[0, 0, 0], [0, 0, 1.2], [0, 0, 2.4], [0, 0, 3.7]])
    batch = AtomBatch(torch.full((7,), 6), torch.cat([line, line[:3]]), torch.tensor([4, 3]), torch.zeros(2))
    positions, real = padded(batch)
    chains, valid = draw_chains(positions, real)
    assert valid.tolist() == [[[True, True]] * 4, [[True, False]] * 3 + [[False, False]]]
    predicted = torch.zeros_like(positions, requires_grad=True)
    losses = geometry_losses(predicted, positions, real, chains, valid)
    assert losses["dihedrals"] < 1e-3  # undefined, so not counted
    sum(losses.values()).backward()
    assert predicted.grad.isfinite().all()
    for count in (1, 2):
        small = AtomBatch(batch.numbers[:count], line[:count], torch.tensor([count]), torch.zeros(1))
        positions, real = padded(small)
        losses = geometry_losses(torch.ones_like(positions), positions, real, *draw_chains(positions, real))
        assert losses["angles"] == losses["dihedrals"] == 0
        assert losses["distances"].item() == pytest.approx(1.2 * (count - 1), abs=1e-3)


def test_chains_are_different_real_atoms_and_mostly_near():
    batch = random_batch((20, 12) * 30)
    positions, real = padded(batch)
    chains, valid = draw_chains(positions, real)
    assert valid[real].all()
    assert not valid[~real].any()
    assert (chains[real].sort(1).values.diff(dim=1) > 0).all()
    sizes = batch.counts[:, None, None].expand_as(chains)
    assert (chains < sizes)[real].all()
    ends = [positions.gather(1, chains[..., k, None].expand(-1, -1, 3)) for k in (0, 1)]
    drawn = (ends[0] - ends[1]).norm(dim=-1)[real]
    distance = (positions[:, :, None] - positions[:, None]).norm(dim=-1)
    pairs = real[:, :, None] & real[:, None] & (distance > 0)
    # The first of a chain is drawn with probability proportional to exp(-distance / 2 Å).
    weights = torch.exp(-distance / 2.0) * pairs
    expected = ((weights * distance).sum(2) / weights.sum(2))[real].mean()
    assert drawn.mean().item() == pytest.approx(expected.item(), rel=0.05)


def test_coordinates_of_mirror_images_are_mirrored(encoder, batch):
    frame = GlobalFrame(8, 4).double()
    here = frame.coordinates(encoder.tokens(batch))
    real = batch.flat_index >= 0
    assert here[real].std(0).min() > 1e-4
    for mirror, sign in ((False, torch.ones(3).double()), (True, MIRROR)):
        moved, _ = transformed(batch, seed=3, mirror=mirror)
        there = frame.coordinates(encoder.tokens(moved))
        torch.testing.assert_close(there[real], here[real] * sign)


def test_losses_do_not_change_under_rotation_translation_and_reflection(encoder, batch):
    frame = GlobalFrame(8, 4).double()

    def losses(moved):
        torch.manual_seed(4)
        return frame(encoder.tokens(moved))

    here = losses(batch)
    for mirror in (False, True):
        moved, _ = transformed(batch, seed=5, mirror=mirror)
        for name, value in losses(moved).items():
            torch.testing.assert_close(value, here[name])
    assert set(here) == {"distances", "angles", "dihedrals"}


def test_padding_changes_nothing(encoder, batch):
    frame = GlobalFrame(8, 4).double()
    together = frame.coordinates(encoder.tokens(batch))
    for m, count in enumerate(batch.counts.tolist()):
        own = batch.molecule == m
        alone = AtomBatch(
            batch.numbers[own], batch.positions[own], batch.counts[m : m + 1], batch.charge[m : m + 1]
        )
        found = frame.coordinates(encoder.tokens(alone))[0]
        torch.testing.assert_close(found, together[m, :count])


def test_aligned_rmsd_against_scipy(batch):
    positions, real = padded(batch)
    predicted = torch.where(real[..., None], positions + 0.5 * torch.randn_like(positions), 7.0)
    found = aligned_rmsd(predicted, positions, real)
    for m, count in enumerate(batch.counts.tolist()):
        pair = [p[m, :count].numpy() - p[m, :count].numpy().mean(0) for p in (predicted, positions)]
        _, total = Rotation.align_vectors(*pair)
        assert found[m].item() == pytest.approx(total / np.sqrt(count))


def test_aligned_rmsd_allows_rotation_and_no_reflection(batch):
    positions, real = padded(batch)
    moved, _ = transformed(batch, seed=6)
    assert aligned_rmsd(padded(moved)[0], positions, real).max() < 1e-6
    mirrored, _ = transformed(batch, seed=6, mirror=True)
    found = aligned_rmsd(padded(mirrored)[0], positions, real)
    assert found.min() > 0.1
    # A triangle can be turned onto its mirror image.
    flat = torch.tensor([[[0, 0, 0], [1.5, 0, 0], [0, 2.5, 0]]]).double()
    assert aligned_rmsd(flat * torch.tensor([-1.0, 1, 1]), flat, torch.ones(1, 3).bool()).item() < 1e-6


@pytest.mark.slow
def test_training_rebuilds_enantiomers():
    mol, positions = embedded("C[C@H](N)C(=O)O")
    numbers = [a.GetAtomicNum() for a in mol.GetAtoms()]
    batch = AtomBatch.from_arrays([(numbers, positions, 0, None), (numbers, positions * [1, 1, -1], 0, None)])
    encoder = small_rem3di(width=32, heads=4, chiral=16).float()
    frame = GlobalFrame(32, 16)
    optimiser = torch.optim.Adam([*encoder.parameters(), *frame.parameters()], lr=0.01)
    for _ in range(150):
        optimiser.zero_grad()
        sum(frame(encoder.tokens(batch)).values()).backward()
        optimiser.step()
    with torch.no_grad():
        tokens = encoder.tokens(batch)
        truth = tokens.atoms.pad(tokens.atoms.positions)
        rebuilt = frame.coordinates(tokens)
    assert aligned_rmsd(rebuilt, truth, tokens.real).max() < 0.3
    assert aligned_rmsd(rebuilt.flip(0), truth, tokens.real).min() > 0.4
