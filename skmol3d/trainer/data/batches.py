"""Batches by number: what a run trains on is a function of its seed and the step, and survives a restart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.trainer.data.online import OnlineConformers
from skmol3d.trainer.data.sets import PackedSet, mixed

Batch = tuple[AtomBatch, dict[str, Tensor]]


@dataclass(frozen=True)
class Mixture:
    """Endless batches over several sets, each batch from one of them.

    Attributes
    ----------
    sets, shares, indices : sequences
        The sets, how often each is drawn, and which of its conformers may be.
    atoms : int
        Most atoms of a batch, padding included.
    seed : int
    smallest : int
        Fewest molecules of a batch; smaller ones are left out.
    """

    sets: Sequence[PackedSet]
    shares: Sequence[float]
    indices: Sequence[np.ndarray]
    atoms: int
    seed: int
    smallest: int = 1

    def __call__(self, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """Batches ``start``, ``start + stride``, ...; targets tell ``set`` and ``row`` [B] of each molecule.

        Earlier batches are drawn again, though not built: some ten seconds for a million.
        """
        order = mixed(self.sets, self.shares, self.indices, self.atoms, np.random.default_rng(self.seed))
        kept = ((k, index) for k, index in order if len(index) >= self.smallest)
        for k, index in islice(kept, start, None, stride):
            batch, targets = self.sets[k].batch(index)
            source = {"set": torch.full((len(index),), k), "row": torch.from_numpy(index)}
            yield batch, targets | source


@dataclass(frozen=True)
class WithOnline:
    """Batches of a mixture, of which a share is replaced by conformers embedded meanwhile.

    Which batches these are is a function of seed and step; which conformers they hold is not (see
    `OnlineConformers`), so a resumed run does not repeat them.

    Attributes
    ----------
    packed : Mixture
    online : OnlineConformers
        Its molecules' ``set`` is the number of packed sets.
    share : float
        Of the batches.
    """

    packed: Mixture
    online: OnlineConformers
    share: float

    def __call__(self, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """Batches ``start``, ``start + stride``, ..."""
        fresh = self.online.batches(self.packed.atoms)
        for step, batch in zip(count(start, stride), self.packed(start, stride), strict=False):
            if np.random.default_rng([self.packed.seed, step]).random() < self.share:
                atoms, targets = next(fresh)
                yield atoms, targets | {"set": torch.full((len(atoms),), len(self.packed.sets))}
            else:
                yield batch


def one_by_one(batch: Batch) -> Iterator[Batch]:
    """Each molecule of a batch as a batch of its own."""
    atoms, targets = batch
    stop = torch.cumsum(atoms.counts, 0)
    for m, (first, last) in enumerate(zip((stop - atoms.counts).tolist(), stop.tolist(), strict=True)):
        molecule = slice(m, m + 1)
        bonds = None
        if atoms.bonds is not None:
            bonds = atoms.bonds[:, (atoms.bonds[0] >= first) & (atoms.bonds[0] < last)] - first
        yield (
            AtomBatch(
                numbers=atoms.numbers[first:last],
                positions=atoms.positions[first:last].detach(),
                counts=atoms.counts[molecule],
                charge=atoms.charge[molecule],
                bonds=bonds,
            ),
            # Where there are as many atoms as molecules, both slices are the same.
            {k: v[first:last] if len(v) == len(atoms.numbers) else v[molecule] for k, v in targets.items()},
        )
