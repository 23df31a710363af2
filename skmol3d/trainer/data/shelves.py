"""Conformers by padded size on the training device, for recorded steps (`skmol3d.trainer.recorded`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from skmol3d.encoders.grid import GridBatch
from skmol3d.trainer.data.sets import PackedSet

STEP_OF_SIZES = 8
"""Padded sizes are multiples of this: one step is recorded for each."""


class Shelf(NamedTuple):
    """Conformers of one padded size L, on the device.

    Attributes
    ----------
    numbers : LongTensor [n, L]
    positions : Tensor [n, L, 3]
        Å.
    counts : LongTensor [n]
    charge : Tensor [n]
    atom_targets, molecule_targets : dict of Tensor [n, L, ...] and [n, ...]
    cumulative : ndarray [n]
        Of the probabilities to be drawn, not normalised.
    """

    numbers: Tensor
    positions: Tensor
    counts: Tensor
    charge: Tensor
    atom_targets: dict[str, Tensor]
    molecule_targets: dict[str, Tensor]
    cumulative: np.ndarray

    def batch(self, index: Tensor) -> tuple[GridBatch, dict[str, Tensor]]:
        """Conformers ``index`` as one batch with its targets."""
        targets = {k: v[index].flatten(0, 1) for k, v in self.atom_targets.items()}
        targets |= {k: v[index] for k, v in self.molecule_targets.items()}
        numbers, positions = self.numbers[index].flatten(), self.positions[index].flatten(0, 1)
        return GridBatch(numbers, positions, self.counts[index], self.charge[index]), targets


def shelve(
    sets: Sequence[PackedSet],
    shares: Sequence[float],
    indices: Sequence[np.ndarray],
    targets: Sequence[str],
    device: torch.device | str = "cpu",
) -> list[Shelf]:
    """Conformers ``indices`` of each set, padded, by size; set k is drawn with probability ``shares[k]``.

    ValueError if a set has nothing to draw.
    """
    if empty := [k for k, index in enumerate(indices) if not len(index)]:
        raise ValueError(f"nothing to draw from set(s) {empty} (entries of data, from 0)")
    total = float(np.sum(shares))
    sizes = np.concatenate([s.sizes[i] for s, i in zip(sets, indices, strict=True)])
    places = -(-sizes // STEP_OF_SIZES) * STEP_OF_SIZES
    owner = np.repeat(np.arange(len(sets)), [len(i) for i in indices])
    row = np.concatenate(list(indices))
    drawn = np.array([share / total / len(i) for share, i in zip(shares, indices, strict=True)])[owner]
    shelves = []
    for longest in np.unique(places):
        chosen = np.flatnonzero(places == longest)
        own = [chosen[owner[chosen] == k] for k in range(len(sets))]
        parts = [
            _padded(data, row[rows], int(longest), targets)
            for data, rows in zip(sets, own, strict=True)
            if len(rows)
        ]
        columns = {k: torch.cat([part[k] for part in parts]).to(device) for k in parts[0]}
        shelves.append(
            Shelf(
                columns["numbers"],
                columns["positions"],
                columns["counts"],
                columns["charge"],
                atom_targets={k[5:]: v for k, v in columns.items() if k.startswith("atom.")},
                molecule_targets={k[9:]: v for k, v in columns.items() if k.startswith("molecule.")},
                cumulative=np.cumsum(drawn[np.concatenate(own)]),
            )
        )
    return shelves


def _padded(data: PackedSet, rows: np.ndarray, longest: int, targets: Sequence[str]) -> dict[str, Tensor]:
    batch, known = data.batch(rows)
    place = torch.arange(longest).expand(len(rows), -1) < batch.counts[:, None]

    def spread(values: Tensor) -> Tensor:
        wide = values.new_zeros(len(rows), longest, *values.shape[1:])
        wide[place] = values
        return wide

    columns = {"numbers": spread(batch.numbers), "positions": spread(batch.positions)}
    columns |= {"counts": batch.counts, "charge": batch.charge}
    columns |= {f"atom.{k}": spread(known[k]) for k in data.atom_targets if k in targets}
    return columns | {f"molecule.{k}": known[k] for k in data.molecule_targets if k in targets}
