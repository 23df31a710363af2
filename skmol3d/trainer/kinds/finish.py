"""What training does not change, from training molecules: scales, charges, levels, strain, compression."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from skmol3d.encoders.mo3enet.pooled import PooledMo3ENet
from skmol3d.encoders.potential import Potential
from skmol3d.encoders.rem3di import REM3DI
from skmol3d.encoders.rem3di.encoder import WIDEST
from skmol3d.encoders.rem3di.surface import LEVELS
from skmol3d.encoders.rem3di.words import arrangement, priorities
from skmol3d.trainer.data.batches import bucketed
from skmol3d.trainer.data.sets import PackedSet

RIDGE = 1e-2  # elements with few atoms in the sample
SAMPLE = 4000  # training molecules of each set that the rows are measured on


def measure_features(
    encoder: REM3DI | PooledMo3ENet, sets: list[PackedSet], train: list[np.ndarray], molecules: int = 1000
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


@torch.no_grad()
def measure_charges(
    encoder: REM3DI, sets: list[PackedSet], train: list[np.ndarray], molecules: int = 2500
) -> None:
    """Fit the linear map from the backbone's scalars to the reference charges of the first set that has some.

    Raises
    ------
    ValueError
        If no set has ``charges``.
    """
    surface = encoder.surface
    if surface is None:
        return
    labelled = [(s, t) for s, t in zip(sets, train, strict=True) if "charges" in s.atom_targets]
    if not labelled:
        raise ValueError(
            "model.surface: no data with reference charges (`skmol3d label`) to learn charges from"
        )
    data, index = labelled[0]
    rows: dict[int, list[Tensor]] = {}
    wanted: dict[int, list[Tensor]] = {}
    sample = np.random.default_rng(0).permutation(index)[:molecules]
    for part in bucketed(data.sizes, sample, 2048, np.random.default_rng(0)):
        batch, targets = data.batch(part)
        scalars = (encoder.backbone(batch).scalars - encoder.scalar_mean) / encoder.scalar_std
        for number in batch.numbers.unique().tolist():
            own = batch.numbers == number
            rows.setdefault(number, []).append(scalars[own].double())
            wanted.setdefault(number, []).append(targets["charges"][own].double())
    for number in rows:
        x, y = torch.cat(rows[number]), torch.cat(wanted[number])
        mean = y.mean()
        ridge = RIDGE * len(x) ** 0.5 * torch.eye(x.shape[1], dtype=x.dtype)
        weight = torch.linalg.solve(x.T @ x + ridge, x.T @ (y - mean))
        surface.charge_weight[number] = weight.to(surface.charge_weight)
        surface.charge_bias[number] = mean.to(surface.charge_bias)


def check_size(encoder: REM3DI, train: list[np.ndarray]) -> None:
    """Refuse before training what `measure_rows` could not do after it.

    Raises
    ------
    ValueError
        If the row has too many dense columns for so few molecules.
    """
    molecules, size = sum(min(len(index), SAMPLE) for index in train), encoder.config.dense
    if size and molecules <= size:
        raise ValueError(
            f"model.dense: {size} columns need more than {size} molecules, there are {molecules}"
        )


@torch.no_grad()
def measure_words(
    encoder: REM3DI, sets: list[PackedSet], train: list[np.ndarray], molecules: int = 10_000
) -> None:
    """Give columns with a sign to the classes that are most frequent next to stereocentres."""
    words = encoder.words
    if not words.config.signed:
        return
    seen = [torch.zeros(n, dtype=torch.int64) for n in words.config.classes]
    for data, index in zip(sets, train, strict=True):
        sample = np.random.default_rng(0).permutation(index)[:molecules]
        for part in bucketed(data.sizes, sample, 2048, np.random.default_rng(0)):
            batch, targets = data.batch(part)
            batch = replace(batch, environments=targets["environments"].long())
            assert batch.environments is not None
            nothing = batch.positions.new_zeros(len(batch.numbers), encoder.config.width)
            classes = words.classes(nothing, batch)
            sense, neighbours = arrangement(batch, priorities(batch, batch.environments[:, WIDEST]))
            near = classes[neighbours[sense != 0]].flatten(0, 1)
            for k in range(len(words.config.signed)):
                own = near[:, k]
                seen[k] += torch.bincount(own[own >= 0], minlength=len(seen[k]))
    for k, size in enumerate(words.config.signed):
        words.get_buffer(f"signed_{k}").copy_(seen[k].argsort(descending=True, stable=True)[:size])


@torch.no_grad()
def measure_strain(
    encoder: REM3DI,
    potential: Potential,
    sets: list[PackedSet],
    train: list[np.ndarray],
    molecules: int = 10_000,
) -> None:
    """Take the potential's energy head, and fit what elements and words let expect of its energies."""
    strain = encoder.strain
    if strain is None:
        return
    assert potential.head is not None  # else the encoder could not have been built
    strain.head.load_state_dict(potential.head.state_dict())
    counts, energies = [], []
    for data, index in zip(sets, train, strict=True):
        sample = np.random.default_rng(0).permutation(index)[:molecules]
        for part in bucketed(data.sizes, sample, 2048, np.random.default_rng(0)):
            batch, targets = data.batch(part)
            batch = replace(batch, environments=targets["environments"].long())
            energies.append(strain.energy(batch, potential.energy_scalars(encoder.backbone(batch))))
            nothing = batch.positions.new_zeros(len(batch.numbers), encoder.config.width)
            counts.append(strain.counts(batch, encoder.words(encoder.words.classes(nothing, batch), batch)))
    strain.fit(torch.cat(counts), torch.cat(energies))


@torch.no_grad()
def measure_rows(
    encoder: REM3DI, sets: list[PackedSet], train: list[np.ndarray], molecules: int = SAMPLE
) -> None:
    """Fit the compression, ``properties`` and the levels of ``surface`` to training molecules of each set."""
    if not encoder.config.dense:
        return
    encoder.eval()
    dense, surface, descriptors = [], [], []
    for data, index in zip(sets, train, strict=True):
        sample = np.random.default_rng(0).permutation(index)[:molecules]
        for part in bucketed(data.sizes, sample, 2048, np.random.default_rng(0)):
            batch, targets = data.batch(part)
            tokens = encoder.tokens(batch.to(encoder.scalar_mean.device))
            if encoder.config.properties:
                descriptors.append(targets["descriptors"])
            dense.append(encoder.uncompressed(tokens))
            if encoder.surface is not None:
                charges = encoder.surface.charges(tokens.batch, tokens.standardised)
                surface.append(encoder.surface.unrounded(tokens.batch, charges))
    rows = torch.cat(dense)
    encoder.compress.fit(rows)
    if encoder.config.properties:
        encoder.properties.fit(encoder.compress.standardised(rows), torch.cat(descriptors).to(rows.device))
    if encoder.surface is not None:
        encoder.surface.step.copy_(torch.cat(surface).std(0) / LEVELS)
