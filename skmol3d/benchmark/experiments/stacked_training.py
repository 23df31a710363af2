"""What trains networks side by side: frames of one molecule on a device, batches of each seed, an optimiser.

For `stacked_potentials.StackedPotentials`: whatever is M of one network is a row of one array.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skmol3d.benchmark.experiments.stacked_potentials import StackedPotentials
from skmol3d.trainer.data.sets import PackedSet

AT_ONCE = 64  # frames of each network that are evaluated together


class Frames:
    """Frames of one molecule on a device: positions [F, N, 3], energies [F] less ``level``, forces."""

    def __init__(self, data: PackedSet, device: str, level: float = 0.0) -> None:
        size = int(data.sizes[0])
        numbers = data.numbers.reshape(-1, size)
        if (data.sizes != size).any() or (numbers != numbers[0]).any():
            raise ValueError("frames must be of one molecule, with its atoms in one order")
        batch, _ = data.batch(np.arange(len(data)))
        self.numbers = torch.from_numpy(numbers[0].astype(np.int64))
        self.positions = batch.positions.view(-1, size, 3).to(device)
        energy = np.asarray(data.molecule_targets["energy"], np.float64) - level
        self.energy = torch.from_numpy(energy.astype(np.float32)).to(device)
        found = data.atom_targets.get("forces")
        self.forces = None if found is None else torch.from_numpy(found.astype(np.float32)).to(device)
        if self.forces is not None:
            self.forces = self.forces.view_as(self.positions)


def frame_errors(
    stack: StackedPotentials, frames: Frames, rows: Tensor, weights: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean absolute errors of the force components and of the energy of each network's frames ``rows``.

    Both [M, F], on the CPU, for rows [M, F]; those of forces are NaN where frames have none.
    """
    energies, components = [], []
    for part in rows.split(AT_ONCE, 1):
        energy, forces = stack.energy_and_forces(frames.positions[part], weights)
        energies.append((energy + offset[:, None] - frames.energy[part]).abs())
        if frames.forces is not None:
            components.append((forces - frames.forces[part]).abs().mean((2, 3)))
    energy = torch.cat(energies, 1).cpu()
    return torch.cat(components, 1).cpu() if components else torch.full_like(energy, torch.nan), energy


def orders(rows: Sequence[NDArray], size: int, seeds: Sequence[int]) -> Iterator[NDArray]:
    """Endless batches [S, size] of rows, shuffled passes of each seed one after the other."""
    draws = [np.random.default_rng(seed) for seed in seeds]
    left = [np.empty(0, int) for _ in rows]
    while True:
        batch = []
        for k, (own, rng) in enumerate(zip(rows, draws, strict=True)):
            while len(left[k]) < size:
                left[k] = np.concatenate([left[k], rng.permutation(own)])
            batch.append(left[k][:size])
            left[k] = left[k][size:]
        yield np.array(batch)


class Adam:
    """AdamW with a learning rate, a limit of the gradient's norm and an average for each row of weights."""

    def __init__(self, weights: Tensor, rates: Tensor, clip: float, decay: float, ema: float) -> None:
        self.weights, self.rates, self.clip, self.decay, self.ema = weights, rates[:, None], clip, decay, ema
        self.mean, self.square = torch.zeros_like(weights), torch.zeros_like(weights)
        self.average = weights.detach().clone()
        self.steps = 0

    @torch.no_grad()
    def step(self, gradient: Tensor, share: float) -> None:
        """One step with ``share`` of the learning rates."""
        gradient = gradient * (self.clip / (gradient.norm(dim=1, keepdim=True) + 1e-6)).clamp(max=1.0)
        self.steps += 1
        self.mean.lerp_(gradient, 0.1)
        self.square.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        rate = share * self.rates
        size = (self.square / (1 - 0.999**self.steps)).sqrt_().add_(1e-8)
        self.weights.mul_(1 - self.decay * rate)
        self.weights.sub_(rate / (1 - 0.9**self.steps) * self.mean / size)
        self.average.lerp_(self.weights, 1.0 if self.steps == 1 else 1 - self.ema)
