"""Counts of learned words: the substructures that atoms are centres of, and at which distances they stand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch

LONGEST_PATH = 10
"""Bonds; pairs further apart, or not connected, share one more distance."""
BOND_TOLERANCE = 1.25
# Single-bond covalent radii in Å by atomic number (https://doi.org/10.1039/b801115j), to iodine.
# fmt: off
COVALENT_RADII = (
    0.0, 0.31, 0.28, 1.28, 0.96, 0.84, 0.76, 0.71, 0.66, 0.57, 0.58, 1.66, 1.41, 1.21, 1.11, 1.07, 1.05, 1.02,
    1.06, 2.03, 1.76, 1.7, 1.6, 1.53, 1.39, 1.39, 1.32, 1.26, 1.24, 1.32, 1.22, 1.22, 1.2, 1.19, 1.2, 1.2,
    1.16, 2.2, 1.95, 1.9, 1.75, 1.64, 1.54, 1.47, 1.46, 1.42, 1.39, 1.45, 1.44, 1.42, 1.39, 1.39, 1.38, 1.39,
)
# fmt: on


class Words(nn.Module):
    """Count how many atoms take each class of several vocabularies, and how many pairs each pair of classes.

    A linear map per vocabulary names the class of every atom; the counts of the classes are the columns. They
    are whole numbers on purpose: trees split on sparse counts far better than on dense columns, of which
    every one tells all molecules apart. An atom whose surroundings are too rare to have a class would count
    as some other: atoms without a clear class do not count. Pairs of classes count by the number of bonds
    between them (as atom pairs do, https://doi.org/10.1021/ci00046a002); bonds are read off the geometry.

    Parameters
    ----------
    width : int
        Channels of an atom.
    classes : tuple of int
        Classes of each vocabulary, the most frequent first.
    columns : int
        Most columns of a vocabulary. Class k counts in column k % columns: frequent classes have a column of
        their own or share it with rare ones.
    confidence : float
        Probability that an atom's class must exceed to count.
    paired : tuple of int
        Vocabularies (by place) whose pairs count.
    pair_classes, pair_columns : int
        Classes told apart in pairs, rarer ones being one more, and columns that the pairs are folded to.
    """

    def __init__(
        self,
        width: int,
        classes: tuple[int, ...],
        columns: int,
        confidence: float,
        paired: tuple[int, ...],
        pair_classes: int,
        pair_columns: int,
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(width, n) for n in classes)
        self.columns = tuple(min(n, columns) for n in classes)
        self.confidence = confidence
        self.paired, self.pair_classes, self.pair_columns = paired, pair_classes, pair_columns

    @property
    def size(self) -> int:
        """Columns in all."""
        return sum(self.columns) + len(self.paired) * self.pair_columns

    def forward(self, encoded: Tensor, atoms: AtomBatch) -> Tensor:
        """Counts [B, size] of the encoded atoms [N, width] of a batch."""
        counts, classes = [], []
        for head, columns in zip(self.heads, self.columns, strict=True):
            probability, word = head(encoded).softmax(1).max(1)
            clear = (probability > self.confidence).to(encoded)
            counts.append(_tally(atoms.molecule, word % columns, clear, len(atoms), columns))
            classes.append(word)
        if self.paired:
            molecule, first, second, bonds = _pairs(atoms)
            for vocabulary in self.paired:
                word = classes[vocabulary].clamp(max=self.pair_classes)
                low, high = torch.minimum(word[first], word[second]), torch.maximum(word[first], word[second])
                key = (high * (high + 1) // 2 + low) * (LONGEST_PATH + 2) + bonds
                # A fixed multiplier scatters neighbouring keys over the columns.
                column = key * 7919 % self.pair_columns
                counts.append(
                    _tally(
                        molecule, column, torch.ones_like(column).to(encoded), len(atoms), self.pair_columns
                    )
                )
        return torch.cat(counts, 1)


def _tally(molecule: Tensor, column: Tensor, weight: Tensor, size: int, columns: int) -> Tensor:
    counts = weight.new_zeros(size * columns)
    return counts.index_add(0, molecule * columns + column, weight).view(size, columns)


def _pairs(atoms: AtomBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each pair of atoms of a molecule once: molecule, first and second atom, bonds between them."""
    index = atoms.flat_index
    paths = path_lengths(atoms)
    real = (index >= 0)[:, :, None] & (index >= 0)[:, None]
    molecule, i, j = torch.triu(real, 1).nonzero().unbind(1)
    return molecule, index[molecule, i], index[molecule, j], paths[molecule, i, j]


def path_lengths(atoms: AtomBatch) -> Tensor:
    """Bonds on the shortest path between the atoms [B, L, L], `LONGEST_PATH` + 1 where it is longer or none.

    Atoms are bonded if closer than 1.25 times the sum of their covalent radii.
    """
    positions = atoms.pad(atoms.positions)
    radii = atoms.pad(positions.new_tensor(COVALENT_RADII)[atoms.numbers])
    real = atoms.flat_index >= 0
    mode = "donot_use_mm_for_euclid_dist"  # whose rounding is coarse
    distance = torch.cdist(positions, positions, compute_mode=mode)
    close = distance < BOND_TOLERANCE * (radii[:, :, None] + radii[:, None])
    itself = torch.eye(real.shape[1], dtype=torch.bool, device=real.device)
    bonded = (close & real[:, :, None] & real[:, None] & ~itself).to(positions)
    paths = torch.full(close.shape, LONGEST_PATH + 1, device=real.device).masked_fill(itself, 0)
    reached = itself.to(positions).expand_as(bonded)
    for length in range(1, LONGEST_PATH + 1):
        reached = ((reached @ bonded) > 0).to(positions)
        paths = torch.where((reached > 0) & (paths > length), length, paths)
    return paths
