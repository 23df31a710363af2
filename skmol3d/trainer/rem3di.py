"""Recipe kind ``rem3di``: the encoder over a frozen potential, on several objectives at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from skmol3d import hub
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.config import config_from_dict, config_to_dict
from skmol3d.encoders.equivariant_transformer import Potential
from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig
from skmol3d.trainer.corpus import CorpusStatistics, fingerprint_counts, read_corpus
from skmol3d.trainer.data import PackedSet, bucketed
from skmol3d.trainer.loop import main_process, train
from skmol3d.trainer.objectives.atom_denoising import AtomDenoising
from skmol3d.trainer.objectives.regularisation import effective_dimension, variance_covariance
from skmol3d.trainer.objectives.targets import AtomEnvironments, Handedness, MolecularTargets
from skmol3d.trainer.schedule import Schedule
from skmol3d.trainer.stream import Batch, Mixture


class REM3DIObjective(nn.Module):
    """All pretraining losses of a `REM3DI` encoder over a frozen backbone."""

    def __init__(self, encoder: REM3DI, statistics: CorpusStatistics) -> None:
        super().__init__()
        self.encoder = encoder
        self.encoder.backbone.requires_grad_(False)
        self.statistics = statistics
        size = encoder.pool.size
        # Read-outs see standardised columns, as a user's ridge regression does.
        self.standardise = RunningStandardiser(size)
        self.denoising = AtomDenoising(encoder, size)
        self.environments = AtomEnvironments(encoder.words)
        self.descriptors = MolecularTargets(size, statistics.descriptors)
        self.fingerprint = MolecularTargets(size, statistics.bits)
        self.electronic = MolecularTargets(size, 3)
        self.handedness = Handedness(encoder.config.chiral)

    def forward(self, batch: AtomBatch, targets: dict[str, Tensor]) -> dict[str, Tensor]:
        tokens = self.encoder.tokens(batch)
        raw = self.encoder.invariant(tokens).float()  # statistics, also in mixed precision
        descriptor = self.standardise(raw)
        variance, covariance = variance_covariance(raw, joint=self.training)
        labels = self.statistics
        return {
            "denoising": self.denoising(tokens, descriptor),
            "environments": self.environments(tokens, targets["environment_class"]),
            "descriptors": self.descriptors(descriptor, labels.standardised(targets["descriptors"])),
            "fingerprint": self.fingerprint(
                descriptor, labels.scaled(fingerprint_counts(batch, targets["environments"], labels.bits))
            ),
            "electronic": self.electronic(descriptor, targets["electronic"]),
            "handedness": self.handedness(tokens, targets["handedness"]),
            "variance": variance,
            "covariance": covariance,
        }


class RunningStandardiser(nn.Module):
    """Standardise columns by running statistics, also in training: batches are too small for their own."""

    mean: Tensor
    variance: Tensor

    def __init__(self, size: int, momentum: float = 0.02) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("variance", torch.ones(size))

    def forward(self, rows: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.mean.lerp_(rows.mean(0), self.momentum)
                self.variance.lerp_((rows - self.mean).square().mean(0), self.momentum)
        return (rows - self.mean) / (self.variance + 1e-4).sqrt()


def run(
    recipe: dict[str, Any], data: Path, out: Path, resume: bool, potential: Potential, **hardware: Any
) -> REM3DI:
    """Train the encoder a recipe describes over ``potential``; ``out`` receives logs and ``metrics.json``.

    ``hardware`` goes to `skmol3d.trainer.loop.train`: device, devices, nodes, precision.
    """
    torch.manual_seed(recipe["seed"])
    sets, shares = read_corpus(recipe["data"], data)
    splits = [s.split(recipe["held_out"], recipe["seed"]) for s in sets]
    train_rows = [t for t, _ in splits]
    statistics = CorpusStatistics.load(out) if resume else None
    if statistics is None:
        statistics = CorpusStatistics.measure(sets, train_rows, **recipe["targets"])
        statistics.save(out)
    statistics.label(sets)
    model = {"backbone": config_to_dict(potential.config.backbone), **recipe["model"]}
    model["words"] = {**recipe["model"].get("words", {}), "classes": list(statistics.classes)}
    encoder = REM3DI(config_from_dict(REM3DIConfig, model, "recipe.model"))
    encoder.backbone.load_state_dict(potential.backbone.state_dict())
    measure_features(encoder, sets, train_rows)
    if recipe["initial"] is not None:
        encoder = start_from(encoder, recipe["initial"])

    batches = Mixture(sets, shares, train_rows, recipe["atoms"], recipe["seed"], smallest=2)
    sample = np.random.default_rng(0).permutation(train_rows[0])[:300]

    def evaluate(objective: nn.Module) -> dict[str, float]:
        calibrate(objective, sets[0], sample)
        return held_out_losses(objective, sets[0], splits[0][1][:600])

    best = train(
        REM3DIObjective(encoder, statistics),
        batches,
        recipe["weights"],
        config_from_dict(Schedule, recipe["schedule"], "recipe.schedule"),
        out,
        evaluate=evaluate,
        resume=resume,
        log_every=100,
        evaluate_every=1000,
        seed=recipe["seed"],
        **hardware,
    )
    if main_process():
        (out / "metrics.json").write_text(json.dumps(evaluate(best), indent=1))
    assert isinstance(best.encoder, REM3DI)
    return best.encoder.eval()


def start_from(encoder: REM3DI, checkpoint: str) -> REM3DI:
    """Load the weights of another REM3DI of the same sizes; words, which it may lack, stay as they are.

    Raises
    ------
    ValueError
        The checkpoint is no REM3DI, or its sizes differ.
    """
    other = hub.from_pretrained(checkpoint)
    if not isinstance(other, REM3DI):
        raise ValueError(f"recipe.initial: {checkpoint} is a {type(other).__name__}, not a REM3DI")
    own, found = ({k: v for k, v in e.state_dict().items() if k[:6] != "words."} for e in (encoder, other))
    wrong = [k for k in own | found if k not in own or k not in found or own[k].shape != found[k].shape]
    if wrong:
        names = ", ".join(sorted(wrong))
        raise ValueError(f"recipe.initial: {checkpoint} differs from the recipe's model in {names}")
    encoder.load_state_dict(encoder.state_dict() | found)
    return encoder


def measure_features(
    encoder: REM3DI, sets: list[PackedSet], train: list[np.ndarray], molecules: int = 1000
) -> None:
    """Set the encoder's fixed statistics of the backbone's features over a sample of the training sets."""
    scalars, vectors = [], []
    with torch.no_grad():
        for data, index in zip(sets, train, strict=True):
            sample = np.random.default_rng(0).permutation(index)[:molecules]
            for part in bucketed(data.sizes, sample, 2048, np.random.default_rng(0)):
                batch, _ = data.batch(part)
                features = encoder.backbone(batch)
                heavy = batch.numbers > 1
                scalars.append(features.scalars[heavy])
                vectors.append(features.vectors[heavy].square().mean(1))
    invariants = torch.cat(scalars)
    encoder.scalar_mean.copy_(invariants.mean(0))
    encoder.scalar_std.copy_(invariants.std(0).clamp(min=1e-4))
    encoder.vector_rms.copy_(torch.cat(vectors).mean(0).sqrt().clamp(min=1e-6))


def calibrate(objective: Any, data: PackedSet, index: np.ndarray) -> None:
    """Set the read-outs' standardisation to the columns of ``objective`` over training molecules.

    In training it follows the raw weights; the averaged ones, which are evaluated, have other columns.
    """
    objective.eval()
    encoder = objective.encoder
    with torch.no_grad():
        rows = torch.cat(
            [encoder.invariant(encoder.tokens(batch)) for batch, _ in _passes(objective, data, index)]
        )
    objective.standardise.mean.copy_(rows.mean(0))
    objective.standardise.variance.copy_(rows.var(0))


def held_out_losses(objective: Any, data: PackedSet, index: np.ndarray) -> dict[str, float]:
    """Mean losses over held-out molecules, and the effective dimension of their descriptors."""
    objective.eval()
    sums: dict[str, float] = {}
    rows = []
    with torch.no_grad():
        for batch, targets in _passes(objective, data, index):
            for name, value in objective(batch, targets).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(batch) / len(index)
            rows.append(objective.encoder(batch)[:, : objective.encoder.pool.size])
    return sums | {"effective_dimension": effective_dimension(torch.cat(rows))}


def _passes(objective: nn.Module, data: PackedSet, index: np.ndarray) -> Iterator[Batch]:
    device = next(objective.parameters()).device
    for part in bucketed(data.sizes, index, 2048, np.random.default_rng(0)):
        batch, targets = data.batch(part)
        yield batch.to(device), {k: v.to(device) for k, v in targets.items()}
