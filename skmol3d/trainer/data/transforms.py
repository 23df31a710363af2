"""Augmentations of batches: torsions, noise, roto-inversion, scale and masking, to be composed.

Every transform takes ``(batch, targets, rng)``, as `PackedSet.batch` gives the first two (on the CPU), and
returns a new batch and new targets; targets follow the geometry (see each). All chance comes from the NumPy
generator. Mo3ENet's training set (arXiv:2405.13791, section 3.4) has torsions, noise, scale, roto-inversion:

>>> augment = Compose((TorsionScrambling(), CoordinateNoise(0.01), RandomScale(), RotoInversion()))
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from skmol3d.encoders.atoms import MAX_NUMBER, AtomBatch

#: Targets that belong to one geometry; a transform that makes another turns them into NaN.
GEOMETRIC = ("energy", "forces", "charges", "dipole", "homo", "lumo", "electronic")
ATOM_VECTORS, MOLECULE_VECTORS = ("forces", "noise"), ("dipole",)
PSEUDOSCALARS = ("handedness",)  # per atom

MASK = MAX_NUMBER - 1
"""Atomic number of a masked atom: oganesson, which no molecule has; not 0, so that it counts as heavy."""

Targets = dict[str, Tensor]


class Transform(Protocol):
    """What every augmentation does."""

    def __call__(
        self, batch: AtomBatch, targets: Targets, rng: np.random.Generator
    ) -> tuple[AtomBatch, Targets]: ...


@dataclass(frozen=True)
class Compose:
    """Apply transforms one after the other."""

    transforms: Sequence[Transform]

    def __call__(
        self, batch: AtomBatch, targets: Targets, rng: np.random.Generator
    ) -> tuple[AtomBatch, Targets]:
        for transform in self.transforms:
            batch, targets = transform(batch, targets, rng)
        return batch, targets


@dataclass(frozen=True)
class TorsionScrambling:
    """Turn every rotatable bond by a uniform random angle; bond lengths, angles and stereocentres stay.

    Energies, forces and the other targets of the old geometry become NaN.

    Attributes
    ----------
    closest : float
        Å. An angle that brings atoms of the two sides nearer than this is drawn again, ...
    attempts : int
        ... up to so many times; then the bond stays as it was.
    """

    closest: float = 1.5
    attempts: int = 5

    def __call__(
        self, batch: AtomBatch, targets: Targets, rng: np.random.Generator
    ) -> tuple[AtomBatch, Targets]:
        """Raise ValueError if the batch has no bonds."""
        if batch.bonds is None:
            raise ValueError("torsion scrambling needs bonds, but this set was packed without")
        numbers, counts = batch.numbers.numpy(), batch.counts.numpy()
        positions = batch.positions.numpy().astype(np.float64)
        bonds = batch.bonds.numpy().T
        bonds = bonds[np.argsort(bonds[:, 0], kind="stable")]
        ends = np.cumsum(counts)
        first = np.searchsorted(bonds[:, 0], ends - counts)
        last = np.searchsorted(bonds[:, 0], ends)
        for m, (start, end) in enumerate(zip(ends - counts, ends, strict=True)):
            own = bonds[first[m] : last[m]] - start
            positions[start:end] = self.scramble(numbers[start:end], positions[start:end], own, rng)
        moved = torch.from_numpy(positions.astype(np.float32))
        return replace(batch, positions=moved), _without_geometry(targets)

    def scramble(
        self,
        numbers: NDArray[np.integer],
        positions: NDArray[np.float64],
        bonds: NDArray[np.integer],
        rng: np.random.Generator,
    ) -> NDArray[np.float64]:
        """Scramble one molecule: numbers [N], positions [N, 3] (Å), bonds [K, 2]."""
        positions = positions.copy()
        for i, j, side in rotatable_bonds(numbers, positions, bonds):
            axis = positions[j] - positions[i]
            axis /= np.linalg.norm(axis)
            others = np.setdiff1d(np.arange(len(numbers)), [*side, i, j])
            moving = side[side != j]
            for angle in rng.uniform(-np.pi, np.pi, self.attempts):
                turned = Rotation.from_rotvec(angle * axis).apply(positions[moving] - positions[j])
                turned += positions[j]
                distances = np.linalg.norm(turned[:, None] - positions[others], axis=-1)
                if distances.min() >= self.closest:
                    positions[moving] = turned
                    break
        return positions


@dataclass(frozen=True)
class CoordinateNoise:
    """Add Gaussian noise to the positions; the target ``noise`` [N, 3] (Å) is what was added.

    Other targets stay: at 0.01 Å they hold, and for denoising at larger noise they are the clean geometry's.

    Attributes
    ----------
    sigma : float
        Standard deviation of each coordinate, Å.
    """

    sigma: float

    def __call__(
        self, batch: AtomBatch, targets: Targets, rng: np.random.Generator
    ) -> tuple[AtomBatch, Targets]:
        noise = torch.from_numpy(rng.normal(0.0, self.sigma, batch.positions.shape).astype(np.float32))
        return replace(batch, positions=batch.positions + noise), {**targets, "noise": noise}


@dataclass(frozen=True)
class RandomScale:
    """Multiply the positions (and ``noise``) of each molecule by one random factor.

    Energies, forces and the other targets of the old geometry become NaN.

    Attributes
    ----------
    low, high : float
        Limits of the uniform factor; by default Mo3ENet's.
    """

    low: float = 0.9
    high: float = 1.25

    def __call__(
        self, batch: AtomBatch, targets: Targets, rng: np.random.Generator
    ) -> tuple[AtomBatch, Targets]:
        factors = torch.from_numpy(rng.uniform(self.low, self.high, len(batch)).astype(np.float32))
        factors = factors[batch.molecule, None]
        targets = _without_geometry(targets)
        if "noise" in targets:
            targets["noise"] = targets["noise"] * factors
        return replace(batch, positions=batch.positions * factors), targets


@dataclass(frozen=True)
class RotoInversion:
    """Rotate each molecule at random about the origin, and invert it with a given probability.

    ``forces``, ``noise`` and ``dipole`` turn along; ``handedness`` changes sign under inversion.

    Attributes
    ----------
    inversion : float
        Probability; 0 leaves pure rotations.
    """

    inversion: float = 0.5

    def __call__(
        self, batch: AtomBatch, targets: Targets, rng: np.random.Generator
    ) -> tuple[AtomBatch, Targets]:
        # A normalised Gaussian quaternion is a uniform rotation.
        rotations = Rotation.from_quat(rng.normal(size=(len(batch), 4))).as_matrix()
        sign = np.where(rng.random(len(batch)) < self.inversion, -1.0, 1.0)
        matrices = torch.from_numpy((rotations * sign[:, None, None]).astype(np.float32))
        by_atom = matrices[batch.molecule]
        turned = dict(targets)
        for names, matrix in ((ATOM_VECTORS, by_atom), (MOLECULE_VECTORS, matrices)):
            for name in names:
                if name in targets:
                    turned[name] = torch.einsum("nij,nj->ni", matrix, targets[name])
        for name in PSEUDOSCALARS:
            if name in targets:
                turned[name] = targets[name] * torch.from_numpy(sign)[batch.molecule].to(targets[name].dtype)
        return replace(batch, positions=torch.einsum("nij,nj->ni", by_atom, batch.positions)), turned


def mask_elements(
    batch: AtomBatch, share: float, generator: torch.Generator | None = None
) -> tuple[AtomBatch, Tensor]:
    """Hide the element of a random ``share`` of the heavy atoms; BoolTensor [N] says of which.

    Hydrogens keep theirs: a bond length of 1 Å gives it away, and encoders leave them out of the tokens.
    """
    drawn = torch.rand(len(batch.numbers), device=batch.numbers.device, generator=generator)
    masked = (drawn < share) & (batch.numbers > 1)
    return replace(batch, numbers=torch.where(masked, MASK, batch.numbers)), masked


@dataclass(frozen=True)
class ElementMasking:
    """Hide elements (`mask_elements`); the target ``masked_element`` [N] holds them, -1 elsewhere.

    Attributes
    ----------
    rate : float
        Probability of each heavy atom.
    """

    rate: float

    def __call__(
        self, batch: AtomBatch, targets: Targets, rng: np.random.Generator
    ) -> tuple[AtomBatch, Targets]:
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        masked, where = mask_elements(batch, self.rate, generator)
        return masked, {**targets, "masked_element": torch.where(where, batch.numbers, -1)}


#: Å, Cordero et al. 2008 (doi:10.1039/b801115j), as in ASE; a bond shorter than this share of the sum of its
#: atoms' radii is a double or triple bond: C-C 1.37, C-N 1.32, N-N 1.28 Å. Amides (1.33 to 1.38 Å) turn.
MULTIPLE = 0.9


def rotatable_bonds(
    numbers: NDArray[np.integer], positions: NDArray[np.float64], bonds: NDArray[np.integer]
) -> list[tuple[int, int, NDArray[np.intp]]]:
    """Bonds that can turn, found without bond orders.

    They are in no ring, both atoms have other neighbours, and they are not as short as a double bond (which
    noise of more than 0.02 Å on the positions hides).

    Returns
    -------
    list of (i, j, side)
        Bond i-j, and the atoms on the side of j, itself included.
    """
    from ase.data import covalent_radii

    degree = np.bincount(bonds.ravel(), minlength=len(numbers))
    found = []
    for i, j, side in _bridges(len(numbers), bonds):
        length = np.linalg.norm(positions[i] - positions[j])
        radii = covalent_radii[numbers[i]] + covalent_radii[numbers[j]]
        if degree[i] > 1 and degree[j] > 1 and length > MULTIPLE * radii:
            found.append((i, j, side))
    return found


def _bridges(count: int, bonds: NDArray[np.integer]) -> Iterator[tuple[int, int, NDArray[np.intp]]]:
    """Bonds in no ring, each with the atoms behind it.

    Tarjan's algorithm, doi:10.1016/0020-0190(74)90003-9.
    """
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for i, j in bonds.tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    entered = [-1] * count  # when the search came to an atom
    lowest = [0] * count  # the earliest atom that a ring leads back to from there or behind it
    order: list[int] = []  # the atoms behind an atom follow it here
    for root in range(count):
        if entered[root] >= 0:
            continue
        path = [(root, -1, iter(neighbours[root]))]
        entered[root] = lowest[root] = len(order)
        order.append(root)
        while path:
            atom, parent, ahead = path[-1]
            for other in ahead:
                if entered[other] < 0:
                    entered[other] = lowest[other] = len(order)
                    order.append(other)
                    path.append((other, atom, iter(neighbours[other])))
                    break
                if other != parent:
                    lowest[atom] = min(lowest[atom], entered[other])
            else:
                path.pop()
                if parent >= 0:
                    lowest[parent] = min(lowest[parent], lowest[atom])
                    if lowest[atom] == entered[atom]:
                        yield parent, atom, np.array(order[entered[atom] :])


def _without_geometry(targets: Targets) -> Targets:
    return {k: torch.full_like(v, torch.nan) if k in GEOMETRIC else v for k, v in targets.items()}
