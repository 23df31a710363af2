"""Reconstruction: the paper's losses, the assignment, the schedule of σ, and the rule of matching."""

import dataclasses
import math
from itertools import permutations

import numpy as np
import pytest
import torch
from objective_examples import permuted, random_batch, transformed
from scipy.optimize import linear_sum_assignment

from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
from skmol3d.encoders.mo3enet.decoder import EMLPDecoderConfig, Swarm
from skmol3d.encoders.mo3enet.layers import assign, exact_assignment
from skmol3d.encoders.mo3enet.match import Match, Target, match, reconstruct
from skmol3d.trainer.objectives.reconstruction import (
    LEAST_OVERLAP,
    Reconstruction,
    assignment_losses,
    balance,
    confinement,
    mixture_loss,
    summarise,
)

ELEMENTS = 5
NAMES = {"mixture", "confinement", "balance", "nearest", "position", "element", "presence"}


def small(seed=0, **settings):
    sizes = {
        "width": 12,
        "vectors": 5,
        "messages": 6,
        "pooled": 8,
        "context": 16,
        "embedding": 12,
        "swarm": 12,
    }
    decoder = EMLPDecoderConfig(width=12, layers=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Mo3ENet(Mo3ENetConfig(decoder=decoder, **(sizes | settings))).double()


def random_target(counts=(4, 7, 1), seed=0):
    rng = np.random.default_rng(seed)
    longest = max(counts)
    real = torch.arange(longest) < torch.tensor(counts)[:, None]
    positions = torch.from_numpy(rng.normal(0, 1.5, (len(counts), longest, 3))) * real[..., None]
    return Target(positions, torch.from_numpy(rng.integers(0, ELEMENTS, real.shape)) * real, real)


def random_swarm(molecules=3, points=9, seed=1):
    rng = np.random.default_rng(seed)
    return Swarm(
        *(
            torch.from_numpy(rng.normal(0, spread, (molecules, points, *shape)))
            for spread, shape in ((1.5, (3,)), (1.0, ()), (2.0, (ELEMENTS,)))
        )
    )


def perfect_swarm(target, points=9, far=50.0):
    """Each atom a point of weight one and of its element; the other points weigh nothing."""
    molecules, longest = target.real.shape
    positions = torch.full((molecules, points, 3), far, dtype=torch.float64)
    positions[:, :longest] = torch.where(target.real[..., None], target.positions, far)
    presence = torch.full((molecules, points), -40.0, dtype=torch.float64)
    presence[:, :longest] = torch.where(target.real, 40.0, -40.0).double()
    elements = torch.zeros(molecules, points, ELEMENTS, dtype=torch.float64)
    elements[:, :longest].scatter_(2, target.types[..., None], 40.0)
    return Swarm(positions, presence, elements)


@pytest.mark.parametrize("sigma", [0.05, 2.0, 30.0])
def test_mixture_of_equations_2_and_4(sigma):
    swarm, target = random_swarm(), random_target()
    loss, overlap = mixture_loss(swarm, target, sigma)
    losses, overlaps = [], []
    for m in range(3):
        atoms = [
            np.concatenate([x, 2.0 * np.eye(ELEMENTS)[z]])
            for x, z, real in zip(target.positions[m].numpy(), target.types[m], target.real[m], strict=True)
            if real
        ]
        points = np.concatenate([swarm.positions[m].numpy(), 2.0 * swarm.types[m].numpy()], 1)
        weights = 1 / (1 + np.exp(-swarm.presence[m].numpy()))
        own, each = [], []
        for atom in atoms:
            found = sum(
                w * math.exp(-((atom - p) ** 2).sum() / sigma) for w, p in zip(weights, points, strict=True)
            )
            wanted = sum(math.exp(-((atom - other) ** 2).sum() / sigma) for other in atoms)
            gap = abs(found - wanted)
            each.append(0.5 * gap**2 if gap < 1 else gap - 0.5)
            own.append(wanted - 1)
        losses.append(np.mean(each))
        overlaps.append(np.mean(own))
    assert loss.item() == pytest.approx(np.mean(losses), abs=1e-12)
    assert overlap.item() == pytest.approx(np.mean(overlaps), abs=1e-12)


def test_perfect_reconstruction_costs_nothing():
    target = random_target()
    swarm = perfect_swarm(target)
    for sigma in (0.1, 2.0, 30.0):  # also where neighbours overlap: the atoms' own overlap is the reference
        assert mixture_loss(swarm, target, sigma)[0] < 1e-12
    distances = (target.positions[:, :, None] - swarm.positions[:, None]).norm(dim=-1)
    for loss in assignment_losses(swarm, target, distances, 0.1).values():
        assert loss < 1e-5
    found = summarise([match(swarm, target)])
    assert found["deviation_atoms"] < 1e-9
    assert found["deviation_molecules"] < 1e-9
    assert [found[k] for k in ("matched_atoms", "matched_molecules", "exact")] == [1.0, 1.0, 1.0]


def test_penalties_by_hand():
    target = random_target((2,))
    target.positions[0] = torch.tensor([[3.0, 0, 0], [0, 1.0, 0]])
    positions = torch.tensor([[[5.0, 0, 0], [0, 0, 4.0], [1.0, 1.0, 1.0], [0, 0, 0]]], dtype=torch.float64)
    swarm = random_swarm(1, 4)._replace(positions=positions)
    assert confinement(swarm, target).item() == pytest.approx((2.0 + 1.0) / 4, abs=1e-6)
    # Mean 0.5: the third weighs 0.02 of it, the fourth nothing; a tenth is free.
    weights = torch.tensor([[1.0, 0.99, 0.01, 0.0]])
    assert balance(weights).item() == pytest.approx((0.08 + 0.1) / 4, abs=1e-6)
    assert balance(torch.full((2, 5), 0.3)).item() == 0.0


def test_exact_assignment_against_all_permutations():
    rng = np.random.default_rng(2)
    cost = torch.from_numpy(rng.uniform(0, 2, (3, 4, 5)))
    real = torch.arange(4) < torch.tensor([4, 3, 1])[:, None]
    plan = exact_assignment(cost, real)
    for m, count in enumerate(real.sum(1).tolist()):
        totals = [cost[m, range(count), list(p)].sum() for p in permutations(range(5), count)]
        assert (plan[m] * cost[m]).sum() == pytest.approx(min(totals).item())
    torch.testing.assert_close(plan.sum(2), real.double())
    assert plan.sum(1).max() == 1.0


def test_assignment_is_the_cheapest_one():
    """With little blur, as the Hungarian algorithm has it: each point takes one atom at most."""
    rng = np.random.default_rng(0)
    cost = torch.from_numpy(rng.uniform(0, 2, (5, 6, 9)))
    real = torch.arange(6) < torch.tensor([6, 6, 4, 3, 1])[:, None]
    plan = assign(cost, real, 0.02)
    for m in range(5):
        count = int(real[m].sum())
        rows, columns = linear_sum_assignment(cost[m, :count].numpy())
        best = cost[m, rows, columns].sum().item()
        assert (plan[m] * cost[m]).sum().item() == pytest.approx(best, abs=0.05)


@pytest.mark.parametrize(("blur", "most"), [(0.02, 1.5), (0.1, 1.15), (1.0, 1.01)])
def test_shares_of_an_assignment(blur, most):
    rng = np.random.default_rng(1)
    cost = torch.from_numpy(rng.uniform(0, 3, (4, 7, 12)))
    real = torch.arange(7) < torch.tensor([7, 5, 2, 1])[:, None]
    plan = assign(cost, real, blur)
    assert (plan >= 0).all()
    torch.testing.assert_close(plan.sum(2), real.double())
    assert plan.sum(1).max() < most  # columns are nearly as they should be after a few rounds
    assert (assign(cost + 7.0, real, blur) - plan).abs().max() < 1e-9


def test_two_atoms_do_not_share_a_point():
    """The nearest point of both atoms is one and the same; the assignment finds the second another point."""
    target = random_target((2,))
    target.positions[0] = torch.tensor([[0.0, 0, 0], [1.0, 0, 0]])
    positions = torch.tensor([[[0.45, 0, 0], [5.0, 0, 0]]], dtype=torch.float64)
    swarm = Swarm(positions.requires_grad_(), torch.zeros(1, 2), torch.zeros(1, 2, ELEMENTS))
    distances = (target.positions[:, :, None] - positions[:, None]).norm(dim=-1)
    assignment_losses(swarm, target, distances, 0.1)["position"].backward()
    assert positions.grad[0, 1, 0] > 0.4  # moving it nearer helps


def test_matching_rule_by_loops():
    swarm, target = random_swarm(points=30, seed=3), random_target((6, 9, 1), seed=4)
    found = match(swarm, target)
    weights, types = swarm.weights.numpy(), swarm.types.numpy()
    matches = 0
    for m, i in zip(*np.nonzero(target.real.numpy()), strict=True):
        atom = target.positions[m, i].numpy()
        near = np.linalg.norm(swarm.positions[m].numpy() - atom, axis=1) < 0.5
        mass = weights[m][near].sum()
        assert bool(found.matched[m, i]) == (mass >= 0.25)
        if mass >= 0.25:
            matches += 1
            centre = (weights[m][near, None] * swarm.positions[m].numpy()[near]).sum(0) / mass
            assert found.deviation[m, i].item() == pytest.approx(np.linalg.norm(centre - atom), abs=1e-9)
            kind = (weights[m][near, None] * types[m][near]).sum(0).argmax()
            assert bool(found.element[m, i]) == (kind == target.types[m, i].item())
    assert 0 < matches < 16
    assert not found.matched[~target.real].any()


def test_summary_counts_atoms_and_molecules():
    real = torch.tensor([[True, True, True], [True, True, False]])
    matched = torch.tensor([[True, True, False], [True, True, False]])
    element = torch.tensor([[True, True, False], [True, False, False]])
    deviation = torch.tensor([[0.3, 0.3, 0.0], [0.1, 0.2, 0.0]])
    parts = [Match(*(x[k : k + 1] for x in (real, matched, element, deviation))) for k in range(2)]
    found = summarise(parts)  # molecules of different batches
    assert found["deviation_atoms"] == pytest.approx(0.9 / 4)
    assert found["deviation_molecules"] == pytest.approx(0.15)
    assert (found["matched_atoms"], found["matched_molecules"], found["exact"]) == (0.8, 0.5, 0.0)


def test_losses_do_not_depend_on_pose_or_order():
    objective = Reconstruction(small()).eval()
    batch = random_batch()
    losses = objective(batch, {})
    assert losses.keys() == NAMES
    turned, _ = transformed(batch, mirror=True)
    for other in (turned, permuted(batch)[0]):
        for name, loss in objective(other, {}).items():
            torch.testing.assert_close(loss, losses[name], rtol=1e-6, atol=1e-8)


def test_what_is_compared_is_what_was_encoded():
    encoder = small(hydrogens=False)
    batch = random_batch()
    _, target = reconstruct(encoder, batch)
    for m in range(len(batch)):
        own = batch.positions[(batch.molecule == m) & (batch.numbers > 1)]
        count = len(own)
        torch.testing.assert_close(target.positions[m, :count], own - own.mean(0))
        assert target.real[m].sum() == count


def test_sigma_narrows_below_the_threshold():
    objective = Reconstruction(small(), threshold=100.0)  # every loss is below
    batch = random_batch()
    objective.eval()
    objective(batch, {})
    assert objective.sigma.item() == 2.0
    objective.train()
    for step in range(3):
        objective(batch, {})
        assert objective.sigma.item() == pytest.approx(2.0 * 0.99 ** (step + 1))
    again = Reconstruction(small(1), threshold=100.0)
    again.load_state_dict(objective.state_dict())
    assert again.sigma == objective.sigma
    assert again.running == objective.running
    strict = Reconstruction(small(), threshold=0.0)
    strict(batch, {})
    assert strict.sigma.item() == 2.0


def test_sigma_stops_where_atoms_no_longer_overlap():
    objective = Reconstruction(small(), sigma=1e-3, threshold=100.0)
    objective(random_batch(), {})
    assert objective.sigma.item() == pytest.approx(1e-3)
    _, target = reconstruct(objective.encoder, random_batch())
    assert mixture_loss(random_swarm(3, 12), target, objective.sigma)[1] < LEAST_OVERLAP


def test_gradients_are_finite_also_for_single_atoms():
    objective = Reconstruction(small())
    batch = random_batch((1, 6))
    batch = dataclasses.replace(batch, positions=batch.positions.float(), charge=batch.charge.float())
    sum(objective.float()(batch, {}).values()).backward()
    assert all(p.grad.isfinite().all() for p in objective.parameters())
