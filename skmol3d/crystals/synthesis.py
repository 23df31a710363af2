"""Random crystals in space group P1, one molecule in the cell, made in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from ase.geometry import minkowski_reduce
from torch import Tensor

from skmol3d.crystals.crystal import MolecularCrystal
from skmol3d.crystals.energies import (
    RigidCrystals,
    lattice_energies,
    lennard_jones,
    pad_molecules,
)

SPHERE_POINTS = 256


@dataclass(frozen=True)
class Synthesis:
    """How random crystals are made.

    Parameters
    ----------
    packing : float, default=0.5
        Volume of the molecule as a share of the random cell's.
    steps : int, default=500
        At most so many steps of descent in the Lennard-Jones energy.
    cutoff : float, default=10.0
        Å, of that energy.
    copies : int, default=10
        Noisy copies of each optimised crystal.
    noise : float, default=0.05
        Standard deviation of the copies' lengths (as a share), angles and rotation vectors (rad).
    """

    packing: float = 0.5
    steps: int = 500
    cutoff: float = 10.0
    copies: int = 10
    noise: float = 0.05


@dataclass(frozen=True)
class PackedCells:
    """P1 crystals of one molecule each, as they are optimised.

    Attributes
    ----------
    molecule : LongTensor of shape [K]
        The molecule in each crystal.
    lengths, angles : Tensor of shape [K, 3]
        Of the cells, Å and rad; Minkowski-reduced before the noise.
    rotations : Tensor of shape [K, 3, 3]
        From the molecules' given to their poses (columns).
    energies : Tensor of shape [K]
        Lennard-Jones, per molecule.
    optimised : BoolTensor of shape [K]
        False for noisy copies.
    """

    molecule: Tensor
    lengths: Tensor
    angles: Tensor
    rotations: Tensor
    energies: Tensor
    optimised: Tensor

    def __len__(self) -> int:
        return len(self.molecule)


def synthesise(
    molecules: Sequence[tuple[np.ndarray, np.ndarray]],
    settings: Synthesis,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
) -> PackedCells:
    """Make random P1 crystals by the recipe of Mo3ENet.

    For each molecule: a random orientation in a random cell at the given packing, rigid descent in the
    Lennard-Jones energy, and noisy copies of the result. Its distribution of random cells is not printed;
    here the logarithms of the lengths are normal with a standard deviation of 0.25 about a common mean that
    the packing decides, and the angles normal about π/2 with 0.2, both as real cells roughly are.

    Parameters
    ----------
    molecules : sequence of (numbers [n], positions [n, 3] in Å)
        Conformers; the same one may be there several times.
    settings : Synthesis
        Steps, copies and the rest.
    generator : torch.Generator
        On the CPU, so that a seed gives the same starting points on every device.
    device : device, default="cpu"
        Where the descent is done.

    Returns
    -------
    PackedCells
        The optimised crystals first, in the order of the molecules, then the noisy copies, molecule by
        molecule.

    References
    ----------
    M. Kilgour et al., arXiv:2405.13791, section 4.4.
    """
    centred = [(numbers, positions - np.mean(positions, axis=0)) for numbers, positions in molecules]
    positions, sizes = (x.to(device) for x in pad_molecules(centred))
    count = len(positions)
    lengths, angles = _random_cells(count, generator)
    lengths, angles = lengths.to(device), angles.to(device)
    volumes = torch.linalg.det(cell_vectors(lengths, angles))
    target = molecular_volumes(positions, sizes) / settings.packing
    lengths = lengths * (target / volumes)[:, None] ** (1 / 3)
    rotations = _random_rotations(count, generator).to(device)

    cells, rotations = _descend(positions, sizes, cell_vectors(lengths, angles), rotations, settings)
    # Noise on the angles of a skewed cell could leave it flat.
    lengths, angles, rotations = _reduced(cells, rotations)
    optimal = _score(
        torch.arange(count, device=device), positions, sizes, lengths, angles, rotations, settings
    )

    index = torch.arange(count, device=device).repeat_interleave(settings.copies)
    noise = settings.noise * torch.randn(len(index), 9, generator=generator).to(device)
    noisy = _score(
        index,
        positions,
        sizes,
        lengths[index] * torch.exp(noise[:, :3]),
        angles[index] + noise[:, 3:6],
        rotation_matrices(noise[:, 6:]) @ rotations[index],
        settings,
    )
    noisy = replace(noisy, optimised=torch.zeros_like(noisy.optimised))
    return PackedCells(
        *(torch.cat([getattr(optimal, name), getattr(noisy, name)]) for name in PackedCells.__annotations__)
    )


def rigid_crystals(
    cells: PackedCells, molecules: Sequence[tuple[np.ndarray, np.ndarray]], dtype: torch.dtype = torch.float32
) -> RigidCrystals:
    """Molecules and cells of synthesised crystals, for other energies; `molecules` as in `synthesise`."""
    centred = [(numbers, positions - np.mean(positions, axis=0)) for numbers, positions in molecules]
    device = cells.lengths.device
    positions, sizes = (x.to(device) for x in pad_molecules(centred, dtype))
    return _pose(cells.molecule, positions, sizes, cells.lengths, cells.angles, cells.rotations)


def canonical_crystal(
    cells: PackedCells, k: int, molecules: Sequence[tuple[np.ndarray, np.ndarray]]
) -> MolecularCrystal:
    """The canonical description of synthesised crystal `k`; `molecules` as in `synthesise`."""
    numbers, positions = molecules[int(cells.molecule[k])]
    posed = (positions - np.mean(positions, axis=0)) @ cells.rotations[k].double().cpu().numpy().T
    cell = cell_vectors(cells.lengths[k : k + 1].double(), cells.angles[k : k + 1].double())[0]
    return MolecularCrystal.from_molecules([(numbers, posed)], cell.cpu().numpy())


def cell_vectors(lengths: Tensor, angles: Tensor) -> Tensor:
    """Cell vectors [K, 3, 3] as rows from lengths and angles (rad) [K, 3]; a along x, b in the xy plane."""
    a, b, c = lengths.T
    cos_alpha, cos_beta, cos_gamma = angles.cos().T
    sin_gamma = angles[:, 2].sin()
    zero = torch.zeros_like(a)
    x, y = cos_beta, (cos_alpha - cos_beta * cos_gamma) / sin_gamma
    z = (1 - x * x - y * y).clamp_min(1e-6).sqrt()
    rows = [a, zero, zero, b * cos_gamma, b * sin_gamma, zero, c * x, c * y, c * z]
    return torch.stack(rows, 1).view(-1, 3, 3)


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Rotation matrices [K, 3, 3] (on columns) of rotation vectors [K, 3] (rad)."""
    x, y, z = vectors.T
    zero = torch.zeros_like(x)
    return torch.matrix_exp(torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3))


def molecular_volumes(positions: Tensor, sizes: Tensor) -> Tensor:
    """Volumes (Å³) of unions of spheres: positions [M, n, 3] and radii [M, n], zero where there is no atom.

    Every point within a sphere counts for one over the number of spheres around it, at `SPHERE_POINTS`
    fixed points of each: exact to about 2 %.
    """
    k = torch.arange(SPHERE_POINTS, dtype=positions.dtype, device=positions.device) + 0.5
    height, turn = 1 - 2 * k / SPHERE_POINTS, k * (np.pi * (5**0.5 - 1))
    ring = (1 - height**2).sqrt()
    shell = torch.stack([ring * turn.cos(), ring * turn.sin(), height], 1)
    points = shell * ((k * (5**0.5 - 1) * 3.7) % 1.0)[:, None] ** (1 / 3)
    totals = []
    for place, size in zip(positions, sizes, strict=True):  # molecule by molecule for memory's sake
        place, size = place[size > 0], size[size > 0]
        inside = place[:, None] + size[:, None, None] * points
        around = (inside[:, :, None] - place).norm(dim=-1) <= size * (1 + 1e-6)
        totals.append((4 / 3 * np.pi * size**3 * (1 / around.sum(-1)).mean(1)).sum())
    return torch.stack(totals)


def _random_cells(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    lengths = torch.exp(0.25 * torch.randn(count, 3, generator=generator))
    angles = np.pi / 2 + 0.2 * torch.randn(count, 3, generator=generator)
    return lengths, angles.clamp(np.pi / 3, 2 * np.pi / 3)


def _random_rotations(count: int, generator: torch.Generator) -> Tensor:
    quaternions = torch.randn(count, 4, generator=generator)
    w, x, y, z = (quaternions / quaternions.norm(dim=1, keepdim=True)).T
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, 1).view(-1, 3, 3)


def _descend(
    positions: Tensor, sizes: Tensor, cells: Tensor, rotations: Tensor, settings: Synthesis
) -> tuple[Tensor, Tensor]:
    """Optimise cells and orientations; each crystal keeps the best that it has passed through.

    By Rprop, which looks at the signs of the gradient alone: overlapping atoms make gradients of any size.
    """
    scale = torch.linalg.det(cells)[:, None] ** (1 / 3)
    strain = torch.zeros(len(cells), 6, device=cells.device, requires_grad=True)
    turn = torch.zeros(len(cells), 3, device=cells.device, requires_grad=True)
    optimiser = torch.optim.Rprop([strain, turn], lr=0.01, step_sizes=(1e-4, 0.05))
    owners = torch.arange(len(cells), device=cells.device)
    best = torch.full((len(cells),), torch.inf, device=cells.device)
    kept = cells.clone(), rotations.clone()
    for step in range(settings.steps + 1):
        moved = _strained(cells, strain, scale)
        turned = rotation_matrices(turn) @ rotations
        crystals = RigidCrystals(moved, positions @ turned.transpose(1, 2), sizes, owners)
        energies = lattice_energies(crystals, lennard_jones, settings.cutoff)
        better = energies.detach() < best
        best = torch.where(better, energies.detach(), best)
        better = better[:, None, None]
        kept = (
            torch.where(better, moved.detach(), kept[0]),
            torch.where(better, turned.detach(), kept[1]),
        )
        if step < settings.steps:
            optimiser.zero_grad()
            energies.sum().backward()
            optimiser.step()
    return kept


def _strained(cells: Tensor, strain: Tensor, scale: Tensor) -> Tensor:
    """Lower triangular cells with the diagonal changed by factors and the rest in shares of `scale`."""
    diagonal = torch.diagonal(cells, dim1=1, dim2=2) * strain[:, :3].exp()
    lower = torch.stack([cells[:, 1, 0], cells[:, 2, 0], cells[:, 2, 1]], 1) + strain[:, 3:] * scale
    zero = torch.zeros_like(scale[:, 0])
    (x, y, z), (yx, zx, zy) = diagonal.T, lower.T
    return torch.stack([x, zero, zero, yx, y, zero, zx, zy, z], 1).view(-1, 3, 3)


def _lengths_and_angles(cells: Tensor) -> tuple[Tensor, Tensor]:
    lengths = cells.norm(dim=2)
    units = cells / lengths[..., None]
    cosines = torch.stack([(units[:, i] * units[:, j]).sum(1) for i, j in ((1, 2), (0, 2), (0, 1))], 1)
    return lengths, cosines.acos()


def _reduced(cells: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lengths, angles and orientations in the Minkowski-reduced cells."""
    found = np.array([minkowski_reduce(cell)[0] for cell in cells.double().cpu().numpy()])
    found *= np.sign(np.linalg.det(found))[:, None, None]
    reduced = torch.from_numpy(found).to(cells)
    lengths, angles = _lengths_and_angles(reduced)
    # The reduced cells stand anywhere; turn them, and the molecules with them, so that a lies along x.
    turns = torch.linalg.solve(reduced, cell_vectors(lengths, angles)).transpose(1, 2)
    return lengths, angles, turns @ rotations


def _pose(
    molecule: Tensor, positions: Tensor, sizes: Tensor, lengths: Tensor, angles: Tensor, rotations: Tensor
) -> RigidCrystals:
    cells = cell_vectors(lengths.to(positions), angles.to(positions))
    posed = positions[molecule] @ rotations.to(positions).transpose(1, 2)
    return RigidCrystals(cells, posed, sizes[molecule], torch.arange(len(molecule), device=positions.device))


@torch.no_grad()
def _score(
    molecule: Tensor,
    positions: Tensor,
    sizes: Tensor,
    lengths: Tensor,
    angles: Tensor,
    rotations: Tensor,
    settings: Synthesis,
) -> PackedCells:
    crystals = _pose(molecule, positions, sizes, lengths, angles, rotations)
    energies = lattice_energies(crystals, lennard_jones, settings.cutoff)
    return PackedCells(
        molecule, lengths, angles, rotations, energies, torch.ones_like(molecule, dtype=torch.bool)
    )
