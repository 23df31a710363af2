"""What goes into every backbone (`AtomBatch`) and what comes out of it (`AtomFeatures`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, singledispatch, wraps
from typing import Any, NamedTuple

import numpy as np
import torch
from ase.data import covalent_radii
from torch import Tensor

ORGANIC = (1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 34, 35, 53)
MAX_NUMBER = 119
BOND_TOLERANCE = 1.25
"""Atoms of a batch without bonds are bonded if closer than this times the sum of their covalent radii
(Cordero et al. 2008, doi:10.1039/b801115j). Plain, since it runs on a GPU for every batch;
`skmol3d.structures` gives bonds with every molecule, and perceives them better where the input has none."""


@dataclass(frozen=True)
class AtomBatch:
    """Several molecules as one ragged set of atoms.

    Attributes
    ----------
    numbers : LongTensor of shape [N]
        Atomic numbers, hydrogens included.
    positions : Tensor of shape [N, 3]
        Coordinates in Å.
    counts : LongTensor of shape [B]
        Atoms per molecule; molecule 0 owns the first ``counts[0]`` atoms.
    charge : Tensor of shape [B]
        Total formal charges, e.
    bonds : LongTensor of shape [2, M] or None
        Bonded pairs as indices into the N atoms, each bond once. Without them close atoms count as bonded.
    environments : LongTensor of shape [N, 6] or None
        Identifiers of the Morgan environments around each atom (`skmol3d.structures.atom_environments`), 0
        where there is none. Molecules whose graph is not known have zeros throughout.
    """

    numbers: Tensor
    positions: Tensor
    counts: Tensor
    charge: Tensor
    bonds: Tensor | None = None
    environments: Tensor | None = None

    @classmethod
    def from_arrays(cls, molecules: Sequence[tuple[Any, ...]]) -> AtomBatch:
        """Collate ``(numbers [n], positions [n, 3] Å, charge e, bonds [m, 2] or None)`` tuples.

        A fifth item has the environments [n, 6], or None.

        Each molecule is moved to its centroid in double precision before its positions become float32, which
        would blur a structure far from the origin.
        """
        counts = [len(numbers) for numbers, *_ in molecules]
        starts = np.concatenate([[0], np.cumsum(counts)])
        centred = [p - p.mean(axis=0) for p in (np.asarray(m[1], np.float64) for m in molecules)]
        bonds = None
        if all(m[3] is not None for m in molecules):
            shifted = [
                np.asarray(m[3], np.int64).reshape(-1, 2) + s
                for m, s in zip(molecules, starts[:-1], strict=True)
            ]
            bonds = torch.from_numpy(np.concatenate(shifted).T.copy())
        return cls(
            numbers=torch.from_numpy(np.concatenate([np.asarray(m[0]) for m in molecules]).astype(np.int64)),
            positions=torch.from_numpy(np.concatenate(centred).astype(np.float32)),
            counts=torch.tensor(counts),
            charge=torch.tensor([float(m[2]) for m in molecules]),
            bonds=bonds,
            environments=_environments(molecules),
        )

    def __len__(self) -> int:
        return len(self.counts)

    def to(self, device: torch.device | str) -> AtomBatch:
        """Copy to ``device``."""
        bonds, environments = (None if v is None else v.to(device) for v in (self.bonds, self.environments))
        return AtomBatch(
            self.numbers.to(device),
            self.positions.to(device),
            self.counts.to(device),
            self.charge.to(device),
            bonds,
            environments,
        )

    @cached_property
    def molecule(self) -> Tensor:
        """LongTensor [N]: the molecule each atom belongs to."""
        molecules = torch.arange(len(self), device=self.counts.device)
        # With its size a GPU need not wait for the counts.
        return torch.repeat_interleave(molecules, self.counts, output_size=len(self.numbers))

    def pad(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """Spread per-atom ``values`` [N, ...] over a padded array [B, longest, ...].

        A view where all molecules have one size, as a single one has.
        """
        if len(values) == math.prod(self._grid):
            return values.reshape(*self._grid, *values.shape[1:])
        padded = values.new_full((*self._grid, *values.shape[1:]), fill)
        padded[self.molecule, self.slot] = values
        return padded

    def only_atoms(self, values: Tensor) -> Tensor:
        """Values [N, ...] of atoms, with zeros for any padding that the batch keeps: here there is none."""
        return values

    def unpad(self, padded: Tensor) -> Tensor:
        """Values [N, ...] of the atoms in a padded array [B, longest, ...]: the reverse of `pad`."""
        flat = padded.flatten(0, 1)
        return flat if len(flat) == len(self.numbers) else flat.index_select(0, self.place)

    @cached_property
    def slot(self) -> Tensor:
        """LongTensor [N]: the place of each atom within its molecule."""
        starts = torch.cumsum(self.counts, 0) - self.counts
        return torch.arange(len(self.numbers), device=self.counts.device) - starts[self.molecule]

    @cached_property
    def _grid(self) -> tuple[int, int]:
        return len(self), int(self.counts.max())

    @cached_property
    def place(self) -> Tensor:
        """LongTensor [N]: the place of each atom in the flattened padded array."""
        return self.molecule * self._grid[1] + self.slot

    @cached_property
    def flat_index(self) -> Tensor:
        """LongTensor [B, longest]: the atom in each padded place, -1 where there is none."""
        return self.pad(torch.arange(len(self.numbers), device=self.counts.device), -1)

    @cached_property
    def centroids(self) -> Tensor:
        """Mean position of each molecule's atoms [B, 3], Å."""
        total = self.positions.new_zeros(len(self), 3).index_add(0, self.molecule, self.positions)
        return total / self.counts[:, None]

    @cached_property
    def heavy(self) -> Tensor:
        """LongTensor [H]: the atoms but hydrogens, and all atoms of molecules of hydrogens alone."""
        heavy = self.numbers > 1
        some = torch.zeros_like(self.counts).index_add(0, self.molecule, heavy.long()) > 0
        return (heavy | ~some[self.molecule]).nonzero()[:, 0]

    @cached_property
    def bonded(self) -> Tensor:
        """BoolTensor [B, longest, longest]: bonded pairs, by `bonds` or else by `BOND_TOLERANCE`."""
        if self.bonds is None:
            return self._near()
        bonded = self.counts.new_zeros((len(self), *2 * self._grid[1:]), dtype=torch.bool)
        for first, second in (self.bonds, self.bonds.flip(0)):
            bonded[self.molecule[first], self.slot[first], self.slot[second]] = True
        return bonded

    def _near(self) -> Tensor:
        positions = self.pad(self.positions)
        radii = self.pad(positions.new_tensor(covalent_radii)[self.numbers])
        mode = "donot_use_mm_for_euclid_dist"  # whose rounding is coarse
        distance = torch.cdist(positions, positions, compute_mode=mode)
        real = self.flat_index >= 0
        close = distance < BOND_TOLERANCE * (radii[:, :, None] + radii[:, None])
        itself = torch.eye(close.shape[1], dtype=torch.bool, device=close.device)
        return close & real[:, :, None] & real[:, None] & ~itself


def _environments(molecules: Sequence[tuple[Any, ...]]) -> Tensor | None:
    found = [molecule[4] if len(molecule) > 4 else None for molecule in molecules]
    columns = next((e.shape[1] for e in found if e is not None), None)
    if columns is None:
        return None
    filled = [
        np.zeros((len(m[0]), columns), np.int64) if e is None else np.asarray(e, np.int64)
        for m, e in zip(molecules, found, strict=True)
    ]
    return torch.from_numpy(np.concatenate(filled))


def select_atoms(batch: AtomBatch, index: Tensor) -> AtomBatch:
    """Atoms ``index`` (ascending) of ``batch`` and the bonds among them; every molecule must keep an atom."""
    place = torch.full_like(batch.numbers, -1)
    place[index] = torch.arange(len(index), device=index.device)
    bonds = None
    if batch.bonds is not None:
        bonds = place[batch.bonds]
        bonds = bonds[:, (bonds >= 0).all(0)]
    counts = torch.zeros_like(batch.counts).index_add(0, batch.molecule[index], torch.ones_like(index))
    environments = None if batch.environments is None else batch.environments[index]
    return AtomBatch(batch.numbers[index], batch.positions[index], counts, batch.charge, bonds, environments)


class AtomFeatures(NamedTuple):
    """Per-atom output of every backbone.

    Attributes
    ----------
    scalars : Tensor of shape [N, S]
        Unchanged when the molecule is rotated, translated or reflected.
    vectors : Tensor of shape [N, 3, V]
        Rotate, and change sign under inversion, with the molecule.
    energies : Tensor of shape [N] or None
        Of backbones that know energies themselves, eV: the sum over a molecule is its energy, but for the
        reference energies of its elements.
    """

    scalars: Tensor
    vectors: Tensor
    energies: Tensor | None = None


class Edges(NamedTuple):
    """Directed neighbour pairs; every atom is its own neighbour at distance 0, which ``itself`` marks.

    In crystals an atom can also be a neighbour of its own images, with the same source and target.
    """

    source: Tensor
    target: Tensor
    distance: Tensor
    direction: Tensor
    itself: Tensor


@singledispatch
def radius_edges(batch: AtomBatch, cutoff: float) -> Edges:
    """All pairs of atoms of one molecule closer than ``cutoff`` (Å), and each atom with itself.

    Distances [E] (Å) and unit vectors [E, 3] from source to target are differentiable in the positions; for
    an atom with itself both are zero, without the undefined gradient of a norm at zero. Two atoms in one
    place have no direction, and their features are not finite: readers of structures reject them.
    """
    with torch.no_grad():
        index = batch.flat_index
        padded = batch.pad(batch.positions)
        close = (padded[:, :, None] - padded[:, None]).square().sum(-1) < cutoff**2
        real = index >= 0
        molecule, i, j = (close & real[:, :, None] & real[:, None]).nonzero(as_tuple=True)
        target, source = index[molecule, i], index[molecule, j]
        itself = target == source
    difference = batch.positions.index_select(0, target) - batch.positions.index_select(0, source)
    squared = difference.square().sum(-1)
    distance = torch.where(itself, 1.0, squared).sqrt()
    direction = difference / distance[:, None]
    return Edges(source, target, torch.where(itself, 0.0, distance), direction, itself)


def check_known(numbers: Tensor, elements: Sequence[int], name: str) -> None:
    """Raise ValueError if atomic ``numbers`` [N] are not all among the ``elements`` that ``name`` knows."""
    unknown = sorted(set(numbers.unique().tolist()) - set(elements))
    if unknown:
        raise ValueError(f"atomic numbers {unknown} are not among those that {name} was trained on")


def full_precision(method: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate ``method(self, batch, ...)`` to compute in float32 also where training is in mixed precision.

    Half precision has three digits: too few for forces, and features must be what they are in inference.
    """

    @wraps(method)
    def outside_autocast(self: Any, batch: AtomBatch, *args: Any) -> Any:
        with torch.autocast(batch.positions.device.type, enabled=False):
            return method(self, batch, *args)

    return outside_autocast
