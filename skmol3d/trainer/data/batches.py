"""Batches by number: what a run trains on is a function of its seed and the step, and survives a restart."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.trainer.data.sets import PackedSet

Batch = tuple[AtomBatch, dict[str, Tensor]]


def bucketed(
    sizes: np.ndarray, index: np.ndarray, atoms: int, rng: np.random.Generator, window: int = 2048
) -> Iterator[np.ndarray]:
    """Batches of at most ``atoms`` atoms over one shuffled pass; molecules of a batch have similar sizes."""
    order = rng.permutation(index)
    for start in range(0, len(order), window):
        part = order[start : start + window]
        part = part[np.argsort(sizes[part], kind="stable")]
        ordered = sizes[part].tolist()
        batches, first = [], 0
        while first < len(part):
            # Padded arrays grow with the longest molecule, which is the last one here. Bisection, because a
            # resumed run passes all the batches it had before.
            more = range(first + 1, len(part))
            last = more.start + bisect_right(more, atoms, key=lambda k: ordered[k] * (k + 1 - first))
            batches.append(part[first:last])
            first = last
        for k in rng.permutation(len(batches)):
            yield batches[k]


def grouped(
    data: PackedSet, index: np.ndarray, views: int, atoms: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """Batches of at most ``atoms`` atoms over one shuffled pass of the molecules of conformers ``index``.

    Each molecule has ``views`` of its conformers, drawn at random, next to each other in a batch; molecules
    that have fewer are left out.
    """
    order = rng.permutation(index)
    order = order[np.argsort(data.group[order], kind="stable")]
    _, first, counts = np.unique(data.group[order], return_index=True, return_counts=True)
    drawn = order[first[counts >= views][:, None] + np.arange(views)]
    sizes = views * data.sizes[drawn].max(1)  # of a molecule's padded views together
    for part in bucketed(sizes, np.arange(len(drawn)), atoms, rng):
        yield drawn[part].ravel()


def mixed(
    sets: Sequence[PackedSet],
    shares: Sequence[float],
    indices: Sequence[np.ndarray],
    atoms: int,
    rng: np.random.Generator,
    views: Sequence[int] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Endless batches ``(k, indices into set k)``; set k is drawn with probability ``shares[k]``.

    Molecules of set k come as ``views[k]`` conformers each (`grouped`); by default each conformer by itself.

    Raises
    ------
    ValueError
        If a set has nothing to draw, or no molecule of as many conformers.
    """
    views = views or [1] * len(sets)
    empty = [k for k, index in enumerate(indices) if _most(sets[k].group[index]) < views[k]]
    if empty:
        needed = [views[k] for k in empty]
        raise ValueError(
            f"nothing to draw from set(s) {empty} (entries of data, from 0): of the conformers to train on, "
            f"no molecule has {', '.join(map(str, needed))}"
        )
    streams: list[Any] = [iter(()) for _ in sets]
    while True:
        k = int(rng.choice(len(sets), p=np.asarray(shares) / np.sum(shares)))
        try:
            yield k, next(streams[k])
        except StopIteration:
            if views[k] == 1:
                streams[k] = bucketed(sets[k].sizes, indices[k], atoms, rng)
            else:
                streams[k] = grouped(sets[k], indices[k], views[k], atoms, rng)


def _most(group: np.ndarray) -> int:
    """Conformers of the molecule that has most of them."""
    return int(np.unique(group, return_counts=True)[1].max(initial=0))


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
        Fewest conformers of a batch; smaller ones are left out.
    views : sequence of int or None
        Conformers of a molecule in the batches of each set; by default they are drawn independently.
    """

    sets: Sequence[PackedSet]
    shares: Sequence[float]
    indices: Sequence[np.ndarray]
    atoms: int
    seed: int
    smallest: int = 1
    views: Sequence[int] | None = None

    def __call__(self, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """Batches ``start``, ``start + stride``, ...; targets tell ``set``, ``row`` and ``group`` [B].

        Earlier batches are drawn again, though not built: some ten seconds for a million.

        Raises
        ------
        ValueError
            If no batch of a set is as large as the smallest that counts: there would never be one.
        """
        self._check()
        rng = np.random.default_rng(self.seed)
        order = mixed(self.sets, self.shares, self.indices, self.atoms, rng, self.views)
        kept = ((k, index) for k, index in order if len(index) >= self.smallest)
        for k, index in islice(kept, start, None, stride):
            batch, targets = self.sets[k].batch(index)
            source = {"set": torch.full((len(index),), k), "row": torch.from_numpy(index)}
            source["group"] = torch.from_numpy(np.asarray(self.sets[k].group[index]))
            yield batch, targets | source

    def _check(self) -> None:
        views, least = self.views or [1] * len(self.sets), self.smallest
        for k, (data, index) in enumerate(zip(self.sets, self.indices, strict=True)):
            needed = least * np.sort(data.sizes[index])[least - 1 : least]
            # A molecule of as many views is a batch, however large it is.
            if views[k] < least and not (needed <= self.atoms).any():
                raise ValueError(
                    f"set {k} (entries of data, from 0): no {least} of its {len(index)} conformers to train "
                    f"on make a batch of at most {self.atoms} atoms"
                )


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
