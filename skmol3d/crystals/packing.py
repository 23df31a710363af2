"""Crystals of one molecule and its symmetry copies, in batches: contacts and energies from one copy alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from skmol3d.crystals.groups import GROUPS, Group
from skmol3d.encoders.periodic import inverse_cells

MOST = 8
"""Cells, each way, beyond which no sum looks: see `Packs.flat`."""

PairTerm = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of pairs of atoms: distances and sums of radii (Å), products of charges (e²), all [E], to energies [E]."""


@dataclass(frozen=True)
class Rigid:
    """Rigid molecules, about their centroids and filled up to the largest.

    Attributes
    ----------
    positions : Tensor of shape [M, n, 3]
        Å.
    radii : Tensor of shape [M, n]
        Å; zero where there is no atom.
    charges : Tensor of shape [M, n]
        e.
    """

    positions: Tensor
    radii: Tensor
    charges: Tensor

    def __getitem__(self, index: Tensor) -> Rigid:
        """Molecules ``index``."""
        return Rigid(self.positions[index], self.radii[index], self.charges[index])


@dataclass(frozen=True)
class Packs:
    """Crystals with one molecule in the asymmetric unit of one space group.

    Attributes
    ----------
    group : int
        Number of the space group, of `GROUPS`.
    molecule : LongTensor of shape [K]
        The molecule in each crystal.
    cells : Tensor of shape [K, 3, 3]
        Conventional cell vectors as rows, Å: a along x, b in the xy plane.
    rotations : Tensor of shape [K, 3, 3]
        From the molecules as given to their poses (columns).
    places : Tensor of shape [K, 3]
        Fractional coordinates of the centroids.
    """

    group: int
    molecule: Tensor
    cells: Tensor
    rotations: Tensor
    places: Tensor

    def __len__(self) -> int:
        return len(self.molecule)

    def __getitem__(self, index: Tensor) -> Packs:
        """Crystals ``index``."""
        return Packs(
            self.group, self.molecule[index], self.cells[index], self.rotations[index], self.places[index]
        )

    def beside(self, others: Packs) -> Packs:
        """These crystals, and others of the same group after them."""
        return Packs(
            self.group,
            torch.cat([self.molecule, others.molecule]),
            torch.cat([self.cells, others.cells]),
            torch.cat([self.rotations, others.rotations]),
            torch.cat([self.places, others.places]),
        )

    def posed(self, molecules: Rigid) -> Tensor:
        """Positions [K, n, 3] (Å) about the centroids."""
        return molecules.positions.index_select(0, self.molecule) @ self.rotations.transpose(1, 2)

    def flat(self, reach: Tensor) -> Tensor:
        """Whether so many cells lie within ``reach`` [K] (Å) that no sum over them is worth its time: [K]."""
        return ~((_spans(self.cells, reach) <= MOST).all(1))


class Images(NamedTuple):
    """Neighbouring copies of molecules; of an image and its inverse, which have one energy, one is there.

    Attributes
    ----------
    crystal, operation : LongTensor of shape [P]
        The crystal, and the operation of its group.
    steps : Tensor of shape [P, 3]
        Whole cells that are added to the operation's translation.
    weight : Tensor of shape [P]
        1, or 1/2 for images that are their own inverse: the sum over images is the energy per molecule.
    """

    crystal: Tensor
    operation: Tensor
    steps: Tensor
    weight: Tensor


def at_once(device: torch.device) -> int:
    """Pairs of atoms that are looked at together."""
    return 40_000_000 if device.type == "cuda" else 2_000_000


def signs_of(group: Group, like: Tensor) -> tuple[Tensor, Tensor]:
    """Signs and translations [G, 3] of a group as tensors like another."""
    return like.new_tensor(group.signs), like.new_tensor(group.translations)


def _spans(cells: Tensor, reach: Tensor) -> Tensor:
    """Cells [K, 3] that a sphere of radius ``reach`` [K] around the nearest image touches, each way."""
    return (reach[:, None] * inverse_cells(cells).norm(dim=1) + 0.5).floor()


@torch.no_grad()
def images(packs: Packs, reach: Tensor) -> Images:
    """Images whose centroids are closer than ``reach`` [K] (Å) to those of the molecules.

    Of flat cells (`Packs.flat`) some images are left out.
    """
    signs, moves = signs_of(GROUPS[packs.group], packs.places)
    spans = _spans(packs.cells, reach).nan_to_num(0.0).clamp(max=MOST).amax(0)
    grid = torch.cartesian_prod(*(torch.arange(-n, n + 1) for n in spans.long().tolist())).to(packs.places)
    ways = packs.places[:, None] * (signs - 1) + moves  # [K, G, 3]
    nearest = ways.round()
    found = []
    for steps in grid.split(max(1, at_once(grid.device) // max(1, ways[..., 0].numel()))):
        ends = (ways - nearest)[:, :, None] + steps
        near = (ends @ packs.cells[:, None]).square().sum(-1) < reach[:, None, None].square()
        crystal, operation, step = near.nonzero(as_tuple=True)
        found.append((crystal, operation, steps[step] - nearest[crystal, operation]))
    crystal, operation, steps = (torch.cat(each) for each in zip(*found, strict=True))
    turned, moved = signs[operation], moves[operation]
    back = -turned * (steps + moved) - moved  # the operation of the inverse image is the same
    order = (steps - back).round() @ steps.new_tensor([10000.0, 100.0, 1.0])
    itself = (operation == 0) & (steps == 0).all(1)
    kept = ((order >= 0) & ~itself).nonzero()[:, 0]
    weight = torch.where(order[kept] > 0, 1.0, 0.5).to(steps)
    return Images(crystal[kept], operation[kept], steps[kept], weight)


def reaches(molecules: Rigid) -> Tensor:
    """Distances [M] (Å) of the farthest atoms from the centroids."""
    return (molecules.positions.norm(dim=-1) * (molecules.radii > 0)).amax(1)


class Pairs(NamedTuple):
    """Pairs of near atoms in a molecule and its images.

    Attributes
    ----------
    one, other : LongTensor of shape [E]
        Atoms, counted through the padded molecules [K · n] of all crystals.
    image : LongTensor of shape [E]
        Which of `near` the other one belongs to.
    near : Images
    """

    one: Tensor
    other: Tensor
    image: Tensor
    near: Images

    def crystal(self, longest: int) -> Tensor:
        """The crystal [E] of each pair, with so many atoms to a molecule."""
        return self.one.div(longest, rounding_mode="floor")


@torch.no_grad()
def atom_pairs(packs: Packs, molecules: Rigid, cutoff: float) -> Pairs:
    """Pairs of atoms closer than ``cutoff`` (Å)."""
    near = images(packs, 2 * reaches(molecules)[packs.molecule] + cutoff)
    here, ways, turned = packs.posed(molecules), _ways(packs, near), _turned(packs, near)
    real = molecules.radii[packs.molecule] > 0
    n = here.shape[1]
    size = max(1, at_once(here.device) // (n * n))
    found = []
    for start in range(0, max(1, len(ways)), size):
        part = slice(start, start + size)
        crystal = near.crystal[part]
        one = here.index_select(0, crystal)
        other = one * turned[part, None] + ways[part, None]
        squares = torch.baddbmm(one.square().sum(-1)[..., None], one, other.transpose(1, 2), alpha=-2.0)
        squares += other.square().sum(-1)[:, None]
        there = real.index_select(0, crystal)
        close = (squares < cutoff**2) & there[:, :, None] & there[:, None]
        image, i, j = close.nonzero(as_tuple=True)
        first = crystal[image] * n
        found.append((first + i, first + j, image + start))
    one, other, image = (torch.cat(each) for each in zip(*found, strict=True))
    return Pairs(one, other, image, near)


def pair_energies(packs: Packs, molecules: Rigid, pairs: Pairs, term: PairTerm, cutoff: float) -> Tensor:
    """Energies [K] per molecule, over those of the pairs that are closer than ``cutoff`` (Å).

    Differentiable in cells, rotations and places.
    """
    distances, sums, charges = _distances(packs, molecules, pairs)
    weights = pairs.near.weight.index_select(0, pairs.image) * (distances < cutoff)
    energies = weights * term(distances, sums, charges)
    crystal = pairs.crystal(molecules.positions.shape[1])
    return energies.new_zeros(len(packs)).index_add(0, crystal, energies)


@torch.no_grad()
def closest_contacts(packs: Packs, molecules: Rigid, pairs: Pairs) -> Tensor:
    """Smallest r/s [K] of the distances r between atoms of different molecules and sums s of radii."""
    distances, sums, _ = _distances(packs, molecules, pairs)
    found = distances.new_full((len(packs),), torch.inf)
    return found.scatter_reduce(0, pairs.crystal(molecules.positions.shape[1]), distances / sums, "amin")


def _distances(packs: Packs, molecules: Rigid, pairs: Pairs) -> tuple[Tensor, Tensor, Tensor]:
    here = packs.posed(molecules).flatten(0, 1)
    moved = here.index_select(0, pairs.other) * _turned(packs, pairs.near).index_select(0, pairs.image)
    moved = moved + _ways(packs, pairs.near).index_select(0, pairs.image)
    # Two atoms in one place have no finite energy, and no direction to leave it.
    distances = (here.index_select(0, pairs.one) - moved).square().sum(-1).clamp(min=0.25).sqrt()
    radii = molecules.radii[packs.molecule].flatten()
    charges = molecules.charges[packs.molecule].flatten()
    sums = radii.index_select(0, pairs.one) + radii.index_select(0, pairs.other)
    return distances, sums, charges.index_select(0, pairs.one) * charges.index_select(0, pairs.other)


def _turned(packs: Packs, near: Images) -> Tensor:
    """Signs [P, 3] of the images' coordinates, Cartesian or fractional."""
    return signs_of(GROUPS[packs.group], packs.places)[0].index_select(0, near.operation)


def _ways(packs: Packs, near: Images) -> Tensor:
    """From the centroids to those of the images [P, 3], Å."""
    signs, moves = signs_of(GROUPS[packs.group], packs.places)
    steps = packs.places.index_select(0, near.crystal) * (signs - 1).index_select(0, near.operation)
    steps = steps + moves.index_select(0, near.operation) + near.steps
    return (steps[:, None] @ packs.cells.index_select(0, near.crystal))[:, 0]
