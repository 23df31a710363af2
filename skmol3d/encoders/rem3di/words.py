"""Counts of learned words: the substructures that atoms are centres of, and at which distances they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase.data import covalent_radii
from numpy.typing import NDArray
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.config import check_positive

LONGEST_PATH = 10
"""Bonds; pairs further apart, or not connected, share one more distance."""
BOND_TOLERANCE = 1.25
"""Atoms of a batch without bonds are bonded if closer than this times the sum of their covalent radii
(Cordero et al. 2008, doi:10.1039/b801115j). Plain, since it runs on a GPU for every batch;
`skmol3d.structures` gives bonds with every molecule, and perceives them better where the input has none."""
HEAVIEST = 96  # curium, the last element with a radius

# Of the hash functions: classes and their neighbourhoods must scatter over the columns, no more. Changing any
# of them changes the meaning of columns in every checkpoint with words.
PRIME = 1_000_003
SCATTER = 7919  # a prime: neighbouring keys fall into distant columns
WORD_SCATTER, WORD_SHIFT = 104_729, 991
CENTRE_SHIFT, CENTRE_WEIGHT, NEIGHBOUR_WEIGHT = 77, 31, 17


@dataclass(frozen=True)
class WordsConfig:
    """Sizes and choices of `Words`; without classes there are none.

    Attributes
    ----------
    classes : tuple of int
        Classes of each vocabulary, the most frequent first.
    counted, spread, paired : tuple of int
        Vocabularies (by place) whose classes count alone, with the neighbours', and in pairs.
    columns : int
        Most columns of a vocabulary. Class k counts in column k % columns: frequent classes have a column of
        their own or share it with rare ones.
    folded : int
        Columns that neighbourhoods, and pairs, of a vocabulary are folded to.
    confidence : float
        Probability that an atom's class must exceed to count alone.
    pair_classes : int
        Classes told apart in pairs; rarer ones are one more.
    """

    classes: tuple[int, ...] = ()
    counted: tuple[int, ...] = ()
    spread: tuple[int, ...] = ()
    paired: tuple[int, ...] = ()
    columns: int = 512
    folded: int = 1024
    confidence: float = 0.5
    pair_classes: int = 24

    def __post_init__(self) -> None:
        check_positive(self, "columns", "folded", "pair_classes")
        if any(n < 1 for n in self.classes):
            raise ValueError(f"classes must be positive numbers, got {self.classes}")
        if not 0 <= self.confidence < 1:
            raise ValueError(f"confidence must be in [0, 1), got {self.confidence}")
        if not {*self.counted, *self.spread, *self.paired} <= set(range(len(self.classes))):
            raise ValueError("counted, spread and paired must be places in classes")


class Words(nn.Module):
    """Count how many atoms take each class of several vocabularies, with their neighbours and in pairs.

    A linear map per vocabulary names the class of every atom; counts of classes are the columns. They are
    whole numbers on purpose: trees split on sparse counts far better than on dense columns, of which every
    one tells all molecules apart. Three kinds of columns, each folded so that rare classes share them:

    - classes, of atoms whose class is clear (the surroundings of others are too rare to have a class);
    - classes with those of the bonded neighbours, one step of Morgan's algorithm on perceived atoms
      (https://doi.org/10.1021/ci100050t): no vocabulary would hold all of these;
    - pairs of classes with the bonds between them, as atom pairs (https://doi.org/10.1021/ci00046a002).

    Bonds are those of the batch, or else read off the geometry.

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

    @property
    def vocabularies(self) -> list[NDArray[np.uint32]] | None:
        """Identifiers of the Morgan environments that the classes stand for; None if they are unknown."""
        found = [self.get_buffer(f"vocabulary_{k}") for k in range(len(self.heads))]
        if not all(vocabulary.any() for vocabulary in found):
            return None
        return [vocabulary.cpu().numpy().astype(np.uint32) for vocabulary in found]

    def name_classes(self, vocabularies: Sequence[NDArray[np.uint32]]) -> None:
        """Remember which environments the classes of each vocabulary stand for."""
        for k in range(len(self.heads)):
            self.get_buffer(f"vocabulary_{k}").copy_(torch.from_numpy(vocabularies[k].astype(np.int64)))

    @property
    def sizes(self) -> dict[str, int]:
        """Columns of atoms (with and without neighbours) and of pairs."""
        config = self.config
        counted = sum(min(config.classes[v], config.columns) for v in config.counted)
        return {
            "words": counted + len(config.spread) * config.folded,
            "pairs": len(config.paired) * config.folded,
        }

    def forward(self, encoded: Tensor, atoms: AtomBatch) -> Tensor:
        """Counts [B, sum of sizes] of the encoded atoms [N, width] of a batch."""
        config, size = self.config, len(atoms)
        named = {
            v: self.heads[v](encoded).softmax(1).max(1)
            for v in sorted({*config.counted, *config.spread, *config.paired})
        }
        counts = []
        for v in config.counted:
            probability, word = named[v]
            columns = min(config.classes[v], config.columns)
            clear = (probability > config.confidence).to(encoded)
            counts.append(_tally(atoms.molecule, word % columns, clear, size, columns))
        paths = path_lengths(atoms)
        for v in config.spread:
            column = with_neighbours(named[v].indices, atoms, paths == 1) % config.folded
            counts.append(_tally(atoms.molecule, column, encoded.new_ones(len(column)), size, config.folded))
        if config.paired:
            molecule, first, second, bonds = _pairs(atoms, paths)
            for v in config.paired:
                word = named[v].indices.clamp(max=config.pair_classes)
                low, high = torch.minimum(word[first], word[second]), torch.maximum(word[first], word[second])
                key = (high * (high + 1) // 2 + low) * (LONGEST_PATH + 2) + bonds
                column = key * SCATTER % config.folded
                counts.append(_tally(molecule, column, encoded.new_ones(len(column)), size, config.folded))
        return torch.cat(counts, 1)


def with_neighbours(word: Tensor, atoms: AtomBatch, bonded: Tensor) -> Tensor:
    """A hash of each atom's word [N] and the words of its neighbours, whatever their order."""
    # The squares tell sums of different words apart.
    hashed = atoms.pad((word * WORD_SCATTER + WORD_SHIFT) ** 2 % PRIME)
    neighbours = (bonded * hashed[:, None]).sum(2)[atoms.molecule, atoms.slot]
    centre = (word * SCATTER + CENTRE_SHIFT) % PRIME
    return (centre * CENTRE_WEIGHT + neighbours * NEIGHBOUR_WEIGHT) % PRIME


def _tally(molecule: Tensor, column: Tensor, weight: Tensor, size: int, columns: int) -> Tensor:
    counts = weight.new_zeros(size * columns)
    return counts.index_add(0, molecule * columns + column, weight).view(size, columns)


def _pairs(atoms: AtomBatch, paths: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each pair of atoms of a molecule once: molecule, first and second atom, bonds between them."""
    index = atoms.flat_index
    real = (index >= 0)[:, :, None] & (index >= 0)[:, None]
    molecule, i, j = torch.triu(real, 1).nonzero().unbind(1)
    return molecule, index[molecule, i], index[molecule, j], paths[molecule, i, j]


def path_lengths(atoms: AtomBatch) -> Tensor:
    """Bonds on the shortest path between the atoms [B, L, L], `LONGEST_PATH` + 1 where it is longer or none.

    Bonds are those of the batch, or else those that `BOND_TOLERANCE` gives.
    """
    itself = torch.eye(atoms.flat_index.shape[1], dtype=torch.bool, device=atoms.positions.device)
    bonded = (_given_bonds(atoms) if atoms.bonds is not None else _near(atoms) & ~itself).to(atoms.positions)
    paths = torch.full(bonded.shape, LONGEST_PATH + 1, device=bonded.device).masked_fill(itself, 0)
    reached = itself.to(bonded).expand_as(bonded)
    for length in range(1, LONGEST_PATH + 1):
        reached = ((reached @ bonded) > 0).to(bonded)
        paths = torch.where((reached > 0) & (paths > length), length, paths)
    return paths


def _given_bonds(atoms: AtomBatch) -> Tensor:
    size, longest = atoms.flat_index.shape
    bonded = atoms.flat_index.new_zeros((size, longest, longest), dtype=torch.bool)
    assert atoms.bonds is not None
    for first, second in (atoms.bonds, atoms.bonds.flip(0)):
        bonded[atoms.molecule[first], atoms.slot[first], atoms.slot[second]] = True
    return bonded


def _near(atoms: AtomBatch) -> Tensor:
    positions = atoms.pad(atoms.positions)
    radii = atoms.pad(positions.new_tensor(covalent_radii)[atoms.numbers])
    mode = "donot_use_mm_for_euclid_dist"  # whose rounding is coarse
    distance = torch.cdist(positions, positions, compute_mode=mode)
    real = atoms.flat_index >= 0
    close = distance < BOND_TOLERANCE * (radii[:, :, None] + radii[:, None])
    return close & real[:, :, None] & real[:, None]
