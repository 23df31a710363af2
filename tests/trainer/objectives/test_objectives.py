"""Every loss against an independent computation."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from skmol3d.encoders import (
    REM3DI,
    AtomBatch,
    EquivariantTransformerConfig,
    Potential,
    PotentialConfig,
    REM3DIConfig,
)
from skmol3d.encoders.rem3di.words import Words, WordsConfig
from skmol3d.trainer.objectives.atom_denoising import AtomDenoising
from skmol3d.trainer.objectives.atom_environments import AtomEnvironments
from skmol3d.trainer.objectives.encoder import RunningStandardiser
from skmol3d.trainer.objectives.forces import PotentialObjective
from skmol3d.trainer.objectives.handedness import Handedness
from skmol3d.trainer.objectives.molecular_targets import MolecularTargets
from skmol3d.trainer.objectives.regularisation import effective_dimension, variance_covariance

BACKBONE = EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=6)


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[range(3)] * 3), -1).reshape(-1, 3) * 1.3
    sizes = (6, 9, 4)
    molecules = [
        (rng.choice([1, 6, 7, 8], n, p=[0.1, 0.4, 0.2, 0.3]), rng.permutation(grid)[:n], charge, None)
        for n, charge in zip(sizes, (0, 1, 0), strict=True)
    ]
    made = AtomBatch.from_arrays(molecules)
    return dataclasses.replace(
        made,
        positions=made.positions.double() + 0.1 * torch.randn(made.positions.shape, dtype=torch.float64),
        charge=made.charge.double(),
    )


@pytest.fixture
def encoder():
    config = REM3DIConfig(
        BACKBONE, width=8, layers=1, heads=2, pair_width=4, radial=6, readout=12, chiral=4, hydrogens=True
    )
    made = REM3DI(config).double()
    made.vector_rms.fill_(0.05)
    return made


def test_potential_objective(batch):
    objective = PotentialObjective(Potential(PotentialConfig(BACKBONE))).double()
    n, b = len(batch.numbers), len(batch)
    targets = {
        k: torch.randn(shape, dtype=torch.float64)
        for k, shape in {
            "forces": (n, 3),
            "charges": n,
            "energy": b,
            "dipole": (b, 3),
            "homo": b,
            "lumo": b,
        }.items()
    }
    losses = {k: v.item() for k, v in objective(batch, targets).items()}
    energy, forces = objective.potential.energy_and_forces(batch)
    assert losses["forces"] == pytest.approx(
        np.mean([np.linalg.norm(f) for f in (forces - targets["forces"]).detach().numpy()])
    )
    errors = (energy - targets["energy"]).abs().tolist()
    assert losses["energy"] == pytest.approx(
        np.mean([e / c**0.5 for e, c in zip(errors, (6, 9, 4), strict=True)])
    )
    features = objective.potential.backbone(batch)
    charges = objective.charges(features.scalars)[:, 0]
    assert losses["charges"] == pytest.approx((charges - targets["charges"]).abs().mean().item())
    levels = objective.orbitals(features.scalars)
    dipoles, homos, lumos = [], [], []
    for m in range(b):
        own = batch.molecule == m
        dipole = charges[own] @ batch.positions[own]
        dipole = dipole + (features.vectors[own] @ objective.atomic_dipole.weight[0]).sum(0)
        dipoles.append((dipole - targets["dipole"][m]).norm().item())
        weights = levels[own, 2:].softmax(0)
        homo, lumo = (weights * levels[own, :2]).sum(0).tolist()
        homos.append(abs(homo - 10 - targets["homo"][m].item()))
        lumos.append(abs(lumo - 7 - targets["lumo"][m].item()))
    assert losses["dipole"] == pytest.approx((dipoles[0] + dipoles[2]) / 2)  # an ion's depends on the origin
    assert losses["homo"] == pytest.approx(np.mean(homos))
    assert losses["lumo"] == pytest.approx(np.mean(lumos))
    assert set(losses) == {"forces", "energy", "charges", "dipole", "homo", "lumo"}


def test_force_loss_trains_the_potential(batch):
    objective = PotentialObjective(Potential(PotentialConfig(BACKBONE))).double()
    n, b = len(batch.numbers), len(batch)
    shapes = {"forces": (n, 3), "charges": n, "energy": b, "dipole": (b, 3), "homo": b, "lumo": b}
    targets = {k: torch.zeros(shape, dtype=torch.float64) for k, shape in shapes.items()}
    objective(batch, targets)["forces"].backward()
    weight = objective.potential.head[0].weight
    assert weight.grad.abs().amax() > 0  # the gradient of a gradient


def test_denoising_starts_at_one(encoder, batch):
    denoising = AtomDenoising(encoder, 5).double()
    for parameter in denoising.out[1].parameters():
        parameter.data.zero_()
    tokens = encoder.tokens(batch)
    values = [denoising(tokens, torch.zeros(3, 5, dtype=torch.float64)).item() for _ in range(200)]
    assert np.mean(values) == pytest.approx(1, abs=0.03)
    assert np.std(values) > 0.01


def test_denoising_cannot_move_its_target(encoder, batch):
    denoising = AtomDenoising(encoder, 5).double()
    tokens = encoder.tokens(batch)
    scalars = tokens.scalars.detach().requires_grad_()
    tokens = dataclasses.replace(tokens, scalars=scalars, pairs=tokens.pairs.detach())
    loss = denoising(tokens, torch.zeros(3, 5, dtype=torch.float64))
    assert loss.requires_grad  # the decoder learns
    assert torch.autograd.grad(loss, [scalars, encoder.project.weight], allow_unused=True) == (None, None)


def test_denoising_reads_the_descriptor_and_ignores_padding(encoder, batch):
    denoising = AtomDenoising(encoder, 5).double()
    tokens = encoder.tokens(batch)
    descriptor = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)

    def loss(tokens):
        torch.manual_seed(1)
        return denoising(tokens, descriptor)

    (gradient,) = torch.autograd.grad(loss(tokens), descriptor)
    assert gradient.abs().amin() > 0
    spoilt = torch.where(tokens.real[..., None], tokens.scalars, 99.0)
    torch.testing.assert_close(loss(dataclasses.replace(tokens, scalars=spoilt)), loss(tokens))


def test_variance_and_covariance_against_numpy():
    rows = torch.randn(40, 6, dtype=torch.float64) * torch.tensor([0.1, 0.5, 1.0, 2.0, 0.0, 0.7])
    rows[:, 1] += rows[:, 0]
    variance, covariance = variance_covariance(rows)
    values = rows.numpy()
    deviation = np.sqrt(values.var(0) + 1e-4)
    assert variance.item() == pytest.approx(np.mean(np.maximum(0, 1 - deviation)))
    matrix = np.cov(values.T)
    np.fill_diagonal(matrix, 0)
    assert covariance.item() == pytest.approx((matrix**2).sum() / 36)


def test_effective_dimension_of_a_known_covariance():
    spread = torch.tensor([3.0, 2.0, 1.0, 0.0])
    rows = torch.cat([torch.diag(spread), -torch.diag(spread)]) + 5.0
    assert effective_dimension(rows) == pytest.approx((9 + 4 + 1) ** 2 / (81 + 16 + 1))
    assert effective_dimension(torch.arange(5.0)[:, None] * torch.ones(3)) == pytest.approx(1)


def test_molecular_targets_leave_out_what_is_unknown():
    module = MolecularTargets(4, 3).double()
    descriptor = torch.randn(5, 4, dtype=torch.float64)
    targets = torch.randn(5, 3, dtype=torch.float64)
    targets[0] = targets[3, 1] = torch.nan
    loss = module(descriptor, targets)
    predicted = module.head(descriptor)
    errors = [
        (predicted[i, j] - targets[i, j]).item() ** 2
        for i in range(5)
        for j in range(3)
        if not torch.isnan(targets[i, j])
    ]
    assert len(errors) == 11
    assert loss.item() == pytest.approx(np.mean(errors))
    loss.backward()
    assert torch.isfinite(module.head.weight.grad).all()
    assert module(descriptor, torch.full_like(targets, torch.nan)).item() == 0


def test_handedness_is_odd(encoder, batch):
    module = Handedness(4).double()
    labels = torch.zeros(len(batch.numbers), dtype=torch.int8)
    labels[:9] = torch.tensor([1, -1, 0, 0, -1, 0, 1, 1, -1])
    mirrored = dataclasses.replace(batch, positions=batch.positions * torch.tensor([1.0, 1.0, -1.0]))
    loss = module(encoder.tokens(batch), labels)
    torch.testing.assert_close(module(encoder.tokens(mirrored), -labels), loss)
    assert (module(encoder.tokens(mirrored), labels) - loss).abs() > 1e-6
    tokens = encoder.tokens(batch)
    logits = module.head(tokens.pseudoscalars[tokens.real])[:, 0]
    expected = [softplus(-logits[k] * labels[k]).item() for k in range(9) if labels[k] != 0]
    assert loss.item() == pytest.approx(np.mean(expected))
    assert module(tokens, torch.zeros_like(labels)).item() == 0


def test_atom_environments_leave_out_atoms_without_a_class(encoder, batch):
    module = AtomEnvironments(Words(8, WordsConfig((5, 3)))).double().eval()
    n = len(batch.numbers)
    labels = torch.stack([torch.randint(-1, 5, (n,)), torch.randint(-1, 3, (n,))], 1)
    assert (labels == -1).any(0).all()
    tokens = encoder.tokens(batch)
    encoded = tokens.encoded[tokens.real]
    losses = []
    for head, column in zip(module.heads, labels.T, strict=True):
        log = head(encoded).log_softmax(1)
        losses.append(np.mean([-log[k, c].item() for k, c in enumerate(column.tolist()) if c >= 0]))
    assert module(tokens, labels).item() == pytest.approx(np.mean(losses))
    nothing = module(tokens, torch.full_like(labels, -1))
    assert nothing.item() == 0


def test_atom_environments_ask_some_atoms_in_training(encoder, batch):
    module = AtomEnvironments(Words(8, WordsConfig((5,)))).double()
    labels = torch.randint(0, 5, (len(batch.numbers), 1))
    tokens = encoder.tokens(batch)
    torch.manual_seed(0)
    drawn = torch.tensor([module(tokens, labels).item() for _ in range(400)])
    drawn = drawn[drawn > 0]  # no atom was asked
    assert drawn.std() > 0
    assert drawn.mean().item() == pytest.approx(module.eval()(tokens, labels).item(), rel=0.05)


def test_atom_environments_follow_the_tokens(batch):
    config = REM3DIConfig(BACKBONE, width=8, layers=1, heads=2, pair_width=4, radial=6, readout=12, chiral=4)
    encoder = REM3DI(config).double()
    module = AtomEnvironments(Words(8, WordsConfig((5,)))).double().eval()
    tokens = encoder.tokens(batch)
    labels = torch.randint(0, 5, (len(batch.numbers), 1))
    hydrogen = batch.numbers == 1
    assert hydrogen.any()
    changed = torch.where(hydrogen[:, None], 4 - labels, labels)
    assert module(tokens, changed).item() == module(tokens, labels).item()
    assert module(tokens, 4 - labels).item() != module(tokens, labels).item()


def test_running_standardiser():
    module = RunningStandardiser(3, momentum=0.1)
    scale, shift = torch.tensor([1.0, 5.0, 0.2]), torch.tensor([0.0, -3.0, 7.0])
    for _ in range(300):
        module(torch.randn(64, 3) * scale + shift)
    module.eval()
    rows = torch.randn(5000, 3) * scale + shift
    before = module.mean.clone()
    out = module(rows)
    assert torch.equal(module.mean, before)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), rtol=0, atol=0.15)
    torch.testing.assert_close(out.std(0), torch.ones(3), rtol=0, atol=0.15)
