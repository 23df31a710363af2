"""Random crystals of one molecule in the commonest space groups, made in batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from skmol3d.crystals.energies import lennard_jones, pad_molecules
from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.packing import (
    Packs,
    PairTerm,
    Rigid,
    at_once,
    atom_pairs,
    closest_contacts,
    pair_energies,
    reaches,
)

SPHERE_POINTS = 256

SKIN = 1.5
"""Å by which molecules may come closer before neighbours are looked for again, after `REFRESH` steps."""

REFRESH = 10

POLAR_RADIUS = 0.6
"""Å; of hydrogen atoms on N and O, which may come nearer to others than their van der Waals radius says."""

POLAR_BOND = 1.3
"""Å; to the N or O atom."""

CLOSER = 0.93
"""Share of the sums of radii at which the Lennard-Jones energy changes its sign: with 1, as in the paper,
crystals are looser than real ones; with 0.89 the well would lie at the sums."""

PLACE = 3.0
"""Å; noise of places for one rad of that of orientations."""

COULOMB = 14.3996 / 0.003
"""e²/4πε₀ in well depths of the Lennard-Jones energy times Å, with 3 meV for one: about that of UFF's carbon
and hydrogen atoms."""


@dataclass(frozen=True)
class Synthesis:
    """How random crystals are made.

    Parameters
    ----------
    packing : float, default=0.5
        Volume of the molecules as a share of the random cell's.
    starts : int, default=6
        Random cells and poses for each crystal, of which the one of lowest energy is optimised.
    steps : int, default=150
        Of descent.
    cutoff : float, default=7.0
        Å, of the energy that is descended in.
    copies : int, default=4
        Noisy copies of each optimised crystal.
    noise : float, default=0.03
        Standard deviation of the copies' lengths (as a share), angles and rotation vectors (rad); `PLACE`
        times as much (Å) that of their places.
    closest : float, default=0.72
        Crystals with a contact below this share of the sum of radii overlap, and are left out.
    """

    packing: float = 0.5
    starts: int = 6
    steps: int = 150
    cutoff: float = 7.0
    copies: int = 4
    noise: float = 0.03
    closest: float = 0.72


def rigid_molecules(
    molecules: Sequence[tuple[np.ndarray, np.ndarray]], charges: Sequence[np.ndarray] | None = None
) -> Rigid:
    """Molecules (numbers [n], positions [n, 3] in Å, and charges [n] in e, else none) about their centroids.

    Radii are those of van der Waals, but for hydrogens on N and O (`POLAR_RADIUS`).
    """
    centred = [(numbers, positions - np.mean(positions, axis=0)) for numbers, positions in molecules]
    positions, radii = pad_molecules(centred)
    for k, (numbers, places) in enumerate(centred):
        hydrogens, polar = np.flatnonzero(numbers == 1), np.isin(numbers, (7, 8))
        if len(hydrogens) and polar.any():
            gaps = np.linalg.norm(places[hydrogens, None] - places[polar], axis=-1).min(1)
            radii[k, torch.from_numpy(hydrogens[gaps < POLAR_BOND])] = POLAR_RADIUS
    filled = torch.zeros_like(radii)
    for k, each in enumerate(charges or ()):
        filled[k, : len(each)] = torch.as_tensor(np.asarray(each), dtype=filled.dtype)
    return Rigid(positions, radii, filled)


def descended(cutoff: float) -> PairTerm:
    """Lennard-Jones energies (in well depths) and Coulomb's, whose forces fall to zero at the cutoff (Å)."""

    def term(distances: Tensor, sums: Tensor, charges: Tensor) -> Tensor:
        shifted = 1.0 / distances - 2.0 / cutoff + distances / cutoff**2
        return lennard_jones(distances, CLOSER * sums) + COULOMB * charges * shifted

    return term


def synthesise(
    molecules: Rigid,
    chosen: Tensor,
    group: int,
    settings: Synthesis,
    generator: torch.Generator,
) -> tuple[Packs, Tensor]:
    """Make random crystals in a space group, with one molecule in the asymmetric unit.

    For each crystal: random orientations and places in random cells at the given packing, rigid descent of
    the best of them in a Lennard-Jones energy and that of the atoms' charges, and noisy copies of the result
    (the recipe of Mo3ENet, which has one start and no charges, and P1 alone). The logarithms of the lengths
    are normal with a standard deviation of 0.25 about a common mean that the packing decides, and the angles
    normal about π/2 with 0.2, both as real cells roughly are. Crystals that overlap are left out: their
    energies, which grow without bounds, say nothing about crystals.

    Parameters
    ----------
    molecules : Rigid
        From `rigid_molecules`, on the device where the work is done.
    chosen : LongTensor of shape [K]
        The molecules to make a crystal of; the same one may be there several times.
    group : int
        Number of the space group, of `skmol3d.crystals.groups.GROUPS`.
    settings : Synthesis
        Steps, copies and the rest.
    generator : torch.Generator
        On the CPU, so that a seed gives the same starting points on every device.

    Returns
    -------
    packs : Packs
        The optimised crystals, then the noisy copies.
    optimised : BoolTensor of shape [K']
        False for noisy copies.

    References
    ----------
    M. Kilgour et al., arXiv:2405.13791, section 4.4.
    """
    packs = _descend(_best_start(molecules, chosen, group, settings, generator), molecules, settings)
    index = torch.arange(len(packs), device=chosen.device).repeat_interleave(settings.copies)
    noise = settings.noise * torch.randn(len(index), 12, generator=generator).to(packs.places)
    skew = noise.new_tensor(GROUPS[group].skew)
    size = torch.linalg.det(packs.cells[index])[:, None] ** (1 / 3)
    copies = replace(
        packs[index],
        cells=_strained(packs.cells[index], torch.cat([noise[:, :3], noise[:, 3:6] * skew], 1), size),
        rotations=rotation_matrices(noise[:, 6:9]) @ packs.rotations[index],
        places=packs.places[index] + PLACE * noise[:, 9:] / size,
    )
    every = packs.beside(copies)
    optimised = torch.arange(len(every), device=chosen.device) < len(packs)
    kept = (~overlapping(every, molecules, settings.closest)).nonzero()[:, 0]
    return every[kept], optimised[kept]


def overlapping(packs: Packs, molecules: Rigid, closest: float) -> Tensor:
    """Whether crystals [K] have a contact below ``closest`` times the sum of radii, or a flat cell."""
    contacts = closest_contacts(packs, molecules, atom_pairs(packs, molecules, 4.0))
    return ~(contacts >= closest) | packs.flat(2 * reaches(molecules)[packs.molecule] + 10.0)


def rotation_matrices(vectors: Tensor) -> Tensor:
    """Rotation matrices [K, 3, 3] (on columns) of rotation vectors [K, 3] (rad)."""
    angle = vectors.norm(dim=1).clamp(min=1e-7)[:, None, None]
    x, y, z = vectors.T
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], 1).view(-1, 3, 3) / angle
    unit = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    return unit + angle.sin() * cross + (1 - angle.cos()) * (cross @ cross)


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
    step = max(1, at_once(positions.device) // (SPHERE_POINTS * sizes.shape[1] ** 2))
    for place, size in zip(positions.split(step), sizes.split(step), strict=True):
        inside = place[:, :, None] + size[..., None, None] * points  # [m, n, points, 3]
        gaps = (inside[:, :, :, None] - place[:, None, None]).square().sum(-1)
        within = gaps <= (size * (1 + 1e-6)).square()[:, None, None]
        around = (within & (size > 0)[:, None, None]).sum(-1).clamp(min=1)
        totals.append((4 / 3 * np.pi * size**3 * (1 / around).mean(2)).sum(1))
    return torch.cat(totals)


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


def _best_start(
    molecules: Rigid,
    chosen: Tensor,
    group: int,
    settings: Synthesis,
    generator: torch.Generator,
) -> Packs:
    """Of several random crystals of each molecule, that with the lowest energy."""
    count = len(chosen) * settings.starts
    index = chosen.repeat_interleave(settings.starts)
    numbers = torch.randn(count, 10, generator=generator).to(molecules.positions)
    places = torch.rand(count, 3, generator=generator).to(molecules.positions)
    skew = places.new_tensor(GROUPS[group].skew)[[2, 1, 0]]  # b·x is that of γ, c·x of β, c·y of α
    angles = (np.pi / 2 + 0.2 * numbers[:, 3:6] * skew).clamp(np.pi / 3, 2 * np.pi / 3)
    cells = cell_vectors(torch.exp(0.25 * numbers[:, :3]), angles)
    mine = molecules[chosen]
    volumes = molecular_volumes(mine.positions, mine.radii).repeat_interleave(settings.starts)
    wanted = volumes * len(GROUPS[group].signs) / settings.packing
    cells = cells * (wanted / torch.linalg.det(cells))[:, None, None] ** (1 / 3)
    packs = Packs(group, index, _standard(cells, group), _rotations(numbers[:, 6:]), places)
    pairs = atom_pairs(packs, molecules, settings.cutoff)
    energies = pair_energies(packs, molecules, pairs, descended(settings.cutoff), settings.cutoff)
    best = energies.view(-1, settings.starts).argmin(1)
    return packs[best + settings.starts * torch.arange(len(chosen), device=best.device)]


def _standard(cells: Tensor, group: int) -> Tensor:
    """Cells without the rounding errors in what the group says is zero."""
    b_x, c_x, c_y = GROUPS[group].skew
    mask = [[1, 0, 0], [b_x, 1, 0], [c_x, c_y, 1]]
    return cells * cells.new_tensor(mask)


def _rotations(quaternions: Tensor) -> Tensor:
    w, x, y, z = (quaternions / quaternions.norm(dim=1, keepdim=True)).T
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, 1).view(-1, 3, 3)


def _descend(packs: Packs, molecules: Rigid, settings: Synthesis) -> Packs:
    """Optimise cells, places and orientations; each crystal keeps the best that it has passed through.

    By Rprop, which looks at the signs of the gradient alone: overlapping atoms make gradients of any size.
    """
    scale = torch.linalg.det(packs.cells)[:, None] ** (1 / 3)
    skew = scale.new_tensor(GROUPS[packs.group].skew)
    strain, turn, move = (
        torch.zeros(len(packs), n, device=scale.device, requires_grad=True) for n in (6, 3, 3)
    )
    optimiser = torch.optim.Rprop([strain, turn, move], lr=0.01, step_sizes=(1e-4, 0.05))
    best = torch.full_like(scale[:, 0], torch.inf)
    kept = packs
    term = descended(settings.cutoff)
    for step in range(settings.steps + 1):
        moved = replace(
            packs,
            cells=_strained(packs.cells, torch.cat([strain[:, :3], strain[:, 3:] * skew], 1), scale),
            rotations=rotation_matrices(turn) @ packs.rotations,
            places=packs.places + move,
        )
        if step % REFRESH == 0:
            pairs = atom_pairs(moved, molecules, settings.cutoff + SKIN)
            best.fill_(torch.inf)  # of neighbours that were missed nothing was known
        energies = pair_energies(moved, molecules, pairs, term, settings.cutoff)
        better = energies.detach() < best
        best = torch.where(better, energies.detach(), best)
        kept = _choose(better, moved, kept)
        if step < settings.steps:
            optimiser.zero_grad()
            energies.sum().backward()
            optimiser.step()
    return kept


@torch.no_grad()
def _choose(better: Tensor, one: Packs, other: Packs) -> Packs:
    """Crystals of ``one`` where they are ``better`` [K], else those of the ``other``."""
    return replace(
        other,
        cells=torch.where(better[:, None, None], one.cells, other.cells).detach(),
        rotations=torch.where(better[:, None, None], one.rotations, other.rotations).detach(),
        places=torch.where(better[:, None], one.places, other.places).detach(),
    )


def _strained(cells: Tensor, strain: Tensor, scale: Tensor) -> Tensor:
    """Lower triangular cells with the diagonal changed by factors and the rest in shares of `scale`."""
    diagonal = torch.diagonal(cells, dim1=1, dim2=2) * strain[:, :3].exp()
    lower = torch.stack([cells[:, 1, 0], cells[:, 2, 0], cells[:, 2, 1]], 1) + strain[:, 3:] * scale
    zero = torch.zeros_like(scale[:, 0])
    (x, y, z), (yx, zx, zy) = diagonal.T, lower.T
    return torch.stack([x, zero, zero, yx, y, zero, zx, zy, z], 1).view(-1, 3, 3)
