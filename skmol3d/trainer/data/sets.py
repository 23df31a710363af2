"""Packed sets of conformers and size-bucketed batches; trains without rdkit."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.trainer.data.positions import POSITION_UNIT

RELAXED = 2  # the ``kind`` of conformers relaxed with the method that labelled them


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


def read_xtb(path: Path | str) -> PackedSet:
    """Read one set of GFN2-xTB labels.

    Parameters
    ----------
    path : Path
        npz with, per conformer, ``offsets``, ``row`` (its molecule), ``total_charge`` (e), ``energy``,
        ``homo`` and ``lumo`` (eV), ``dipole`` (e·Å) and, per atom, ``numbers``, ``positions`` (0.001 Å),
        ``forces`` (eV/Å) and ``charges`` (e). From ``kind``, where there is one, comes the target
        ``equilibrium``: whether the conformer is a minimum of its energy (`RELAXED`).
    """
    with np.load(path, allow_pickle=False) as data:
        arrays = {k: data[k] for k in data.files}
    targets = {k: arrays[k] for k in ("energy", "dipole", "homo", "lumo")}
    if "kind" in arrays:
        targets["equilibrium"] = arrays["kind"] == RELAXED
    return PackedSet(
        numbers=arrays["numbers"],
        positions=arrays["positions"],
        offsets=arrays["offsets"],
        charge=arrays["total_charge"].astype(np.float32),
        group=arrays["row"].astype(np.int64),
        atom_targets={"forces": arrays["forces"], "charges": arrays["charges"]},
        molecule_targets=targets,
    )


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


def element_energies(data: PackedSet, index: np.ndarray, largest: int = 119) -> np.ndarray:
    """Reference energy of each element (eV) [largest] by least squares over the conformers ``index``."""
    composition = np.zeros((len(data), largest))
    owner = np.repeat(np.arange(len(data)), data.sizes)
    np.add.at(composition, (owner, data.numbers), 1.0)
    seen = composition[index].sum(0) > 0
    fit, *_ = np.linalg.lstsq(composition[index][:, seen], data.molecule_targets["energy"][index], rcond=None)
    energies = np.zeros(largest)
    energies[seen] = fit
    return energies


def mixed(
    sets: Sequence[PackedSet],
    shares: Sequence[float],
    indices: Sequence[np.ndarray],
    atoms: int,
    rng: np.random.Generator,
) -> Iterator[tuple[int, np.ndarray]]:
    """Endless batches ``(k, indices into set k)``; set k is drawn with probability ``shares[k]``."""
    empty = [k for k, index in enumerate(indices) if not len(index)]
    if empty:
        raise ValueError(f"nothing to draw from set(s) {empty}")
    streams: list[Any] = [iter(()) for _ in sets]
    while True:
        k = int(rng.choice(len(sets), p=np.asarray(shares) / np.sum(shares)))
        try:
            yield k, next(streams[k])
        except StopIteration:
            streams[k] = bucketed(sets[k].sizes, indices[k], atoms, rng)
