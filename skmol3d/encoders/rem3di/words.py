"""Counts of words: the substructures that atoms are centres of, and the handedness they are found in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch

HEAVIEST = 96  # curium, the last element with a radius
RANKS = 3  # neighbours of a stereocentre that have columns; the fourth is mostly a hydrogen
MIXER, PRIME = 1640531527, 4294967291  # identifiers' low bits alone share columns too often
PYRAMIDAL = (15, 16, 34)  # P, S, Se keep their handedness with three neighbours; amines turn over


@dataclass(frozen=True)
class WordsConfig:
    """Sizes and choices of `Words`; without classes there are none.

    Attributes
    ----------
    classes : tuple of int
        Classes of each vocabulary, the most frequent first: Morgan environments of radius 0, 1, 2 over atom
        types (as in ECFP), then the same over pharmacophoric features (FCFP).
    columns : tuple of int
        How many classes of each vocabulary, the most frequent ones, have a column; others may share one
        (``folded``).
    signed : tuple of int
        The same for the counts that have a sign, of which there are three for each class; the most frequent
        ones are those of neighbours of stereocentres.
    folded : int
        Columns of the environments that have none of their own, by remainder of their identifiers: what is
        rare in the corpus may be frequent in a series of molecules.
    confidence : float
        Probability that a perceived class must exceed to count.
    """

    classes: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()
    signed: tuple[int, ...] = ()
    folded: int = 0
    confidence: float = 0.5

    def __post_init__(self) -> None:
        if any(n < 1 for n in self.classes):
            raise ValueError(f"classes must be positive numbers, got {self.classes}")
        if self.folded < 0:
            raise ValueError(f"folded must not be negative, got {self.folded}")
        if not 0 <= self.confidence < 1:
            raise ValueError(f"confidence must be in [0, 1), got {self.confidence}")
        for name, sizes in (("columns", self.columns), ("signed", self.signed)):
            if len(sizes) > len(self.classes) or any(n < 0 for n in sizes):
                raise ValueError(f"{name} must be sizes of some of the {len(self.classes)} vocabularies")


class Words(nn.Module):
    """Count how many atoms are centres of each of a vocabulary of substructures.

    Where the input has a molecular graph, the substructure around an atom is looked up by its identifier.
    Elsewhere, and where it is not known what the classes stand for, it is perceived: a linear map of the
    atom's token names it. The counts are whole numbers on purpose: trees split on sparse counts far better
    than on dense columns, of which every one tells all molecules apart.

    The ``signed`` counts add +1 or -1 for each atom whose neighbours all differ, by the sense in which they
    are arranged around it (`arrangement`): in one column for all such atoms, and in columns for the class of
    their neighbour of highest rank, of the second, and of the third. They are exactly opposite for a mirror
    image, and zero for what is the same as its own.

    Parameters
    ----------
    width : int
        Channels of an atom.
    config : WordsConfig
    """

    def __init__(self, width: int, config: WordsConfig) -> None:
        super().__init__()
        self.config = config
        self.heads = nn.ModuleList(nn.Linear(width, n) for n in config.classes)
        for k, n in enumerate(config.classes):
            self.register_buffer(f"vocabulary_{k}", torch.zeros(n, dtype=torch.int64))
        for k, n in enumerate(config.signed):
            self.register_buffer(f"signed_{k}", torch.arange(n) % config.classes[k])

    @property
    def named(self) -> bool:
        """Whether it is known what the classes stand for; checkpoints of version 1 do not say."""
        return all(bool(self.get_buffer(f"vocabulary_{k}").any()) for k in range(len(self.heads)))

    @property
    def vocabularies(self) -> list[NDArray[np.uint32]] | None:
        """Identifiers of the Morgan environments that the classes stand for; None if they are unknown."""
        if not self.named:
            return None
        found = [self.get_buffer(f"vocabulary_{k}") for k in range(len(self.heads))]
        return [vocabulary.cpu().numpy().astype(np.uint32) for vocabulary in found]

    def name_classes(self, vocabularies: Sequence[NDArray[np.uint32]]) -> None:
        """Remember which environments the classes of each vocabulary stand for."""
        for k in range(len(self.heads)):
            self.get_buffer(f"vocabulary_{k}").copy_(torch.from_numpy(vocabularies[k].astype(np.int64)))

    @property
    def sizes(self) -> dict[str, int]:
        """Columns of plain, folded and signed counts."""
        signed = 1 + RANKS * sum(self.config.signed) if self.config.signed else 0
        return {"words": sum(self.config.columns), "rare": self.config.folded, "signed": signed}

    def forward(self, classes: Tensor, atoms: AtomBatch) -> Tensor:
        """Counts [B, words] of the `classes` [N, V] of the atoms of a batch."""
        return _tally(classes, self.config.columns, atoms.positions.new_ones(len(classes)), atoms)

    def rare(self, classes: Tensor, atoms: AtomBatch) -> Tensor:
        """Counts [B, rare] of environments without a column, from the `classes` [N, V] and the graph."""
        size = self.config.folded
        counts = atoms.positions.new_zeros(len(atoms) * size)
        if size:
            identifiers = self._identifiers(classes, atoms)
            most = [*self.config.columns, *[0] * len(self.heads)][: len(self.heads)]
            named = (classes >= 0) & (classes < classes.new_tensor(most))
            vocabulary = torch.arange(len(most), device=classes.device)
            mixed = (identifiers + vocabulary) * MIXER % PRIME  # below 2**63
            place = (mixed % size + size * atoms.molecule[:, None])[~named & (identifiers > 0)]
            counts = counts.index_add(0, place, counts.new_ones(len(place)))
        return counts.view(len(atoms), size)

    def _identifiers(self, classes: Tensor, atoms: AtomBatch) -> Tensor:
        """Of the environments [N, V] of atoms: what the graph says, or else their classes; 0 for none."""
        names = [self.get_buffer(f"vocabulary_{k}")[own] for k, own in enumerate(classes.T)]
        identifiers = torch.where(classes >= 0, torch.stack(names, 1), 0)
        if atoms.environments is None or not self.named:
            return identifiers
        told = atoms.environments[:, : len(self.heads)]
        return torch.where(told > 0, told, identifiers)

    def signed(self, classes: Tensor, batch: AtomBatch, identity: Tensor) -> Tensor:
        """Counts [B, signed] from the ``classes`` [N, V] and ``identity`` [N] (`priorities`) of all atoms."""
        if not self.config.signed:
            return batch.positions.new_zeros(len(batch), 0)
        sense, neighbours = arrangement(batch, priorities(batch, identity))
        total = sense.new_zeros(len(batch)).index_add(0, batch.molecule, sense)
        columns = []
        for k, size in enumerate(self.config.signed):
            place = classes.new_full((self.config.classes[k] + 1,), -1)  # the last for atoms of no class
            place[self.get_buffer(f"signed_{k}")] = torch.arange(size, device=place.device)
            columns.append(place[classes[:, k]])
        named = torch.stack(columns, 1)
        parts = [_tally(named[near], self.config.signed, sense, batch) for near in neighbours.T]
        return torch.cat([total[:, None], *parts], 1)

    def classes(self, encoded: Tensor, atoms: AtomBatch) -> Tensor:
        """Class in each vocabulary [N, V] of the encoded atoms [N, width] of a batch, -1 for none."""
        told = atoms.environments if self.named else None
        graph = encoded.new_zeros(len(encoded), dtype=torch.bool)
        if told is not None:
            known = told.new_zeros(len(atoms)).index_add(0, atoms.molecule, told.any(1).long()) > 0
            graph = known[atoms.molecule]
        found = []
        for k, head in enumerate(self.heads):
            word = torch.full_like(atoms.molecule, -1)
            if not bool(graph.all()):
                probability, perceived = head(encoded).softmax(1).max(1)
                word = torch.where(probability > self.config.confidence, perceived, -1)
            if told is not None:
                word = torch.where(graph, self._lookup(told[:, k], k), word)
            found.append(word)
        return torch.stack(found, 1)

    def looked_up(self, environments: Tensor) -> Tensor:
        """Classes [N, V] of identifiers [N, V or more], -1 for those without one."""
        return torch.stack([self._lookup(environments[:, k], k) for k in range(len(self.heads))], 1)

    def _lookup(self, identifiers: Tensor, k: int) -> Tensor:
        vocabulary, order = self.get_buffer(f"vocabulary_{k}").sort()
        place = torch.searchsorted(vocabulary, identifiers.contiguous()).clamp(max=len(vocabulary) - 1)
        return torch.where((vocabulary[place] == identifiers) & (identifiers > 0), order[place], -1)


def _tally(classes: Tensor, columns: Sequence[int], weight: Tensor, atoms: AtomBatch) -> Tensor:
    counts = [weight.new_zeros(len(atoms), 0)]
    for word, size in zip(classes.T, columns, strict=False):
        counted = (word >= 0) & (word < size)
        place = atoms.molecule[counted] * size + word[counted]
        flat = weight.new_zeros(len(atoms) * size).index_add(0, place, weight[counted])
        counts.append(flat.view(len(atoms), size))
    return torch.cat(counts, 1)


def priorities(batch: AtomBatch, identity: Tensor) -> Tensor:
    """Ranks [N] by which the neighbours of an atom are told apart, in the spirit of Cahn, Ingold and Prelog.

    By atomic number, then those of the atoms bonded to it and of the next shell, the largest first, and last
    by ``identity`` [N], whole numbers that are the same for atoms with the same surroundings. Orders of bonds
    do not count, and the ranks are no CIP labels: they only must mean the same in different molecules.
    """
    numbers = batch.pad(batch.numbers)
    bonded = batch.bonded
    near = bonded.to(batch.positions)
    itself = torch.eye(near.shape[1], dtype=torch.bool, device=near.device)
    second = ((near @ near) > 0) & ~bonded & ~itself
    shells = [_largest(numbers, reached)[batch.molecule, batch.slot] for reached in (bonded, second)]
    # Digits of one number, since torch.unique by rows compares them one by one: nine atomic numbers fill 63
    # bits, and their ranks leave room for an identity.
    elements = torch.cat([batch.numbers[:, None], *shells], 1).unbind(1)
    shape = reduce(lambda number, element: number * 128 + element, elements)
    rank = torch.unique(shape, return_inverse=True)[1]
    return torch.unique(rank * 2**32 + identity, return_inverse=True)[1]


def _largest(numbers: Tensor, reached: Tensor, count: int = 4) -> Tensor:
    found = torch.where(reached, numbers[:, None], 0)
    found = nn.functional.pad(found, (0, max(0, count - found.shape[2])))
    return found.topk(count, 2).values


def arrangement(batch: AtomBatch, ranks: Tensor) -> tuple[Tensor, Tensor]:
    """In which sense the neighbours of each atom are arranged, and which they are.

    Parameters
    ----------
    batch : AtomBatch
        With bonds, or close atoms are bonded.
    ranks : LongTensor of shape [N]
        The same for equivalent atoms (`priorities`).

    Returns
    -------
    sense : Tensor of shape [N]
        Seen from the atom, its three neighbours of highest rank go round one way or the other: the sign of
        their triple product, +1 or -1. It is 0 unless there are four neighbours, or three of an element that
        keeps its shape, whose ranks all differ.
    neighbours : LongTensor of shape [N, 3]
        These three, the highest first; the atom itself where the sense is 0.
    """
    bonded = batch.bonded
    degree = bonded.sum(2)[batch.molecule, batch.slot]
    keeps = torch.isin(batch.numbers, batch.numbers.new_tensor(PYRAMIDAL))
    centre = ((degree == 4) | ((degree == 3) & keeps)).nonzero()[:, 0]
    sense = batch.positions.new_zeros(len(batch.numbers))
    neighbours = torch.arange(len(sense), device=sense.device)[:, None].repeat(1, 3)
    if not len(centre):
        return sense, neighbours
    molecule = batch.molecule[centre]
    ranked = torch.where(bonded[molecule, batch.slot[centre]], batch.pad(ranks)[molecule], -1)
    rank, slot = ranked.topk(4, 1)  # of a molecule of at least four atoms
    found = batch.flat_index[molecule[:, None], slot[:, :3]]
    first, second, third = (batch.positions[found] - batch.positions[centre, None]).unbind(1)
    volume = (torch.linalg.cross(first, second) * third).sum(1)
    sense[centre] = torch.where((rank[:, :-1] > rank[:, 1:]).all(1), volume.sign(), 0.0)
    neighbours[centre] = torch.where((sense[centre] != 0)[:, None], found, neighbours[centre])
    return sense, neighbours
