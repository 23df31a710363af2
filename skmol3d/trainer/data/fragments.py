"""Mo3ENet's training set (arXiv:2405.13791, section 3.4), made on the fly from packed conformers.

The paper's six steps, and what they are here: (1) a random molecule, (2) its conformer: drawn from the packed
sets; (3) truncation at rotatable bonds, capped with hydrogen: `truncate`; (4) random torsions and (5) no
severe overlaps: `TorsionScrambling`, which draws an angle again rather than minimising an energy; (6) noise
and a global scale. Random rotations are left out, the network being equivariant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from ase.data import covalent_radii
from numpy.typing import NDArray

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.trainer.data.batches import Batch, Mixture
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.transforms import CoordinateNoise, RandomScale, TorsionScrambling, rotatable_bonds


def suitable(data: PackedSet, index: np.ndarray, elements: Sequence[int], largest: int) -> np.ndarray:
    """Those of the conformers ``index`` with no other elements and no more than ``largest`` atoms."""
    foreign = np.concatenate([[0], np.cumsum(~np.isin(data.numbers, elements))])
    alien = foreign[data.offsets[1:]] > foreign[data.offsets[:-1]]
    return index[~alien[index] & (data.sizes[index] <= largest)]


@dataclass(frozen=True)
class Augmentation:
    """How molecules are changed, batch by batch (`Augmented`).

    Attributes
    ----------
    heavy : int
        Molecules with more heavy atoms are truncated.
    torsions : float
        Share of the batches whose molecules get random torsions.
    noise : float
        Standard deviation of the noise on each coordinate, Å.
    low, high : float
        Limits of the uniform factor that scales a molecule.
    """

    heavy: int
    torsions: float
    noise: float
    low: float
    high: float


@dataclass(frozen=True)
class Augmented:
    """Batches of a `Mixture`, truncated, scrambled, noised and scaled; a function of seed and step."""

    mixture: Mixture
    augment: Augmentation

    def __call__(self, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        noise, scale = CoordinateNoise(self.augment.noise), RandomScale(self.augment.low, self.augment.high)
        steps = count(start, stride)
        for step, (batch, targets) in zip(steps, self.mixture(start, stride), strict=False):
            rng = np.random.default_rng([self.mixture.seed, step])
            source = {name: targets[name] for name in ("set", "row")}
            batch = self._reshaped(batch, rng, rng.random() < self.augment.torsions)
            yield scale(*noise(batch, source, rng), rng)

    def _reshaped(self, batch: AtomBatch, rng: np.random.Generator, scramble: bool) -> AtomBatch:
        heavy = torch.zeros_like(batch.counts).index_add(0, batch.molecule, (batch.numbers > 1).long())
        large = (heavy > self.augment.heavy).tolist()
        if not scramble and not any(large):
            return batch
        from skmol3d.structures.geometry import perceive_bonds  # needs rdkit, which other training does not

        scrambler = TorsionScrambling()
        stop = torch.cumsum(batch.counts, 0).tolist()
        molecules = []
        for begin, end, cut, charge in zip([0, *stop[:-1]], stop, large, batch.charge.tolist(), strict=True):
            numbers = batch.numbers[begin:end].numpy()
            positions = batch.positions[begin:end].numpy().astype(np.float64)
            if cut:
                numbers, positions = truncate(numbers, positions, self.augment.heavy, rng)
            if scramble:
                positions = scrambler.scramble(numbers, positions, perceive_bonds(numbers, positions), rng)
            molecules.append((numbers, positions, charge, None))
        return AtomBatch.from_arrays(molecules)


def truncate(
    numbers: NDArray[np.integer], positions: NDArray[np.float64], heavy: int, rng: np.random.Generator
) -> tuple[NDArray[np.integer], NDArray[np.float64]]:
    """Cut a molecule at random rotatable bonds until it has at most ``heavy`` heavy atoms.

    Of a cut bond a random side is kept, with probabilities as its heavy atoms, and capped with a hydrogen in
    the same direction. A molecule without rotatable bonds stays as it is.
    """
    from skmol3d.structures.geometry import perceive_bonds  # as above

    while (numbers > 1).sum() > heavy:
        ends = rotatable_bonds(numbers, positions, perceive_bonds(numbers, positions))
        if not ends:
            break
        kept, lost, side = ends[rng.integers(len(ends))]
        keep = np.ones(len(numbers), bool)
        keep[side] = False
        if rng.random() < (numbers[side] > 1).sum() / (numbers > 1).sum():
            kept, lost, keep = lost, kept, ~keep
        direction = positions[lost] - positions[kept]
        length = covalent_radii[numbers[kept]] + covalent_radii[1]
        cap = positions[kept] + length / np.linalg.norm(direction) * direction
        numbers = np.append(numbers[keep], 1)
        positions = np.concatenate([positions[keep], cap[None]])
    return numbers, positions
