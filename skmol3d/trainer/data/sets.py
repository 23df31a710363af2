"""Sets of conformers side by side in flat arrays; trains without rdkit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.trainer.data.positions import POSITION_UNIT


@dataclass
class PackedSet:
    """Conformers side by side in flat arrays.

    Attributes
    ----------
    numbers : uint8 [A]
    positions : int16 or float32 [A, 3]
        int16 in units of 0.001 Å; float32 in Å where reference forces belong to unrounded positions: rounding
        changes the force on a stiff bond by about 10 meV/Å.
    offsets : int64 [M + 1]
        Conformer m owns atoms ``offsets[m]:offsets[m + 1]``.
    charge : float32 [M]
        Total charge, e.
    group : int64 [M]
        Molecule a conformer belongs to: sets are split by group.
    atom_targets, molecule_targets : dict of arrays [A, ...] and [M, ...]
    bonds : integers [K, 2] or None
        Each bond once, as places of its two atoms within their conformer.
    bond_offsets : int64 [M + 1] or None
        Conformer m has bonds ``bond_offsets[m]:bond_offsets[m + 1]``.
    """

    numbers: np.ndarray
    positions: np.ndarray
    offsets: np.ndarray
    charge: np.ndarray
    group: np.ndarray
    atom_targets: dict[str, np.ndarray]
    molecule_targets: dict[str, np.ndarray]
    bonds: np.ndarray | None = None
    bond_offsets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def sizes(self) -> np.ndarray:
        """Atoms per conformer [M]."""
        return np.diff(self.offsets)

    def batch(self, index: np.ndarray) -> tuple[AtomBatch, dict[str, Tensor]]:
        """Conformers ``index`` as one batch with its targets."""
        # Only what the batch needs is touched: the arrays may be memory-mapped and larger than the memory.
        first, last = np.asarray(self.offsets[index]), np.asarray(self.offsets[index + 1])
        atoms = np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)])
        positions = self.positions[atoms].astype(np.float32)
        if self.positions.dtype.kind == "i":
            positions *= POSITION_UNIT
        batch = AtomBatch(
            numbers=torch.from_numpy(self.numbers[atoms].astype(np.int64)),
            positions=torch.from_numpy(positions),
            counts=torch.from_numpy(last - first),
            charge=torch.from_numpy(self.charge[index].astype(np.float32)),
            bonds=self._bonds(index, last - first),
        )
        targets = {k: _tensor(v[atoms]) for k, v in self.atom_targets.items()}
        targets |= {k: _tensor(v[index]) for k, v in self.molecule_targets.items()}
        return batch, targets

    def _bonds(self, index: np.ndarray, counts: np.ndarray) -> Tensor | None:
        if self.bonds is None or self.bond_offsets is None:
            return None
        parts = [self.bonds[self.bond_offsets[m] : self.bond_offsets[m + 1]] for m in index]
        starts = np.repeat(np.cumsum(counts) - counts, [len(part) for part in parts])
        return torch.from_numpy((np.concatenate(parts).astype(np.int64) + starts[:, None]).T.copy())

    def without_targets(self) -> PackedSet:
        """The structures alone, which make smaller batches."""
        return replace(self, atom_targets={}, molecule_targets={})

    def split(self, fraction: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Indices (train, held out) of conformers; ``fraction`` of the molecules is held out."""
        groups = np.unique(self.group)
        held = np.random.default_rng(seed).permutation(groups)[: round(fraction * len(groups))]
        if len(held) in (0, len(groups)):
            raise ValueError(
                f"a share of {fraction} held out of {len(groups)} molecules leaves one side empty"
            )
        out = np.isin(self.group, held)
        return np.flatnonzero(~out), np.flatnonzero(out)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values if values.dtype.kind in "iu" else values.astype(np.float32))


@dataclass(frozen=True)
class Row:
    """One conformer on its way into a `PackedSet`; attributes as there, targets of this conformer alone."""

    numbers: np.ndarray
    positions: np.ndarray
    charge: float
    group: int
    atom_targets: dict[str, Any] = field(default_factory=dict)
    molecule_targets: dict[str, Any] = field(default_factory=dict)
    bonds: np.ndarray | None = None


def stack(rows: Sequence[Row]) -> PackedSet:
    """Put conformers that have the same targets side by side; bonds are kept if all have them.

    ValueError if there is none, or one has other numbers of positions or of atoms' targets than of atoms; it
    names the row.
    """
    if not rows:
        raise ValueError("no conformers to put side by side")
    first = rows[0]
    for k, row in enumerate(rows):
        atoms = len(row.numbers)
        if np.shape(row.positions) != (atoms, 3):
            raise ValueError(f"row {k}: {atoms} atoms, but positions of shape {np.shape(row.positions)}")
        if wrong := [name for name, values in row.atom_targets.items() if len(values) != atoms]:
            raise ValueError(f"row {k}: {atoms} atoms, but {len(row.atom_targets[wrong[0]])} {wrong[0]}")
    bonds = [row.bonds for row in rows if row.bonds is not None]
    bonded = len(bonds) == len(rows)
    return PackedSet(
        numbers=np.concatenate([row.numbers for row in rows]).astype(np.uint8),
        positions=np.concatenate([row.positions for row in rows]),
        offsets=_offsets([len(row.numbers) for row in rows]),
        charge=np.array([row.charge for row in rows], np.float32),
        group=np.array([row.group for row in rows], np.int64),
        atom_targets={k: np.concatenate([row.atom_targets[k] for row in rows]) for k in first.atom_targets},
        molecule_targets={
            k: np.stack([row.molecule_targets[k] for row in rows]) for k in first.molecule_targets
        },
        bonds=np.concatenate(bonds).astype(np.int16) if bonded else None,
        bond_offsets=_offsets([len(part) for part in bonds]) if bonded else None,
    )


def _offsets(counts: list[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
