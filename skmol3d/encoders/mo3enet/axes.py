"""Axes that a molecule's own geometry gives it, also where it is symmetric."""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCE = 1e-3  # Å² or, of skewness, 1: differences smaller than this are ties
THIN = 0.02  # Å²: an axis along which the atoms spread less than this fades out
FIRST, SECOND = 0.2, 0.1  # additional weights of the two marked atoms


def molecular_axes(positions: Tensor, numbers: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    """Three axes per molecule that turn with it, and the coordinates of its atoms along them.

    An equivariant function of a symmetric molecule returns vectors that the symmetry leaves alone: none but
    zero for benzene, methane or CO2, which is why summed atom vectors of such molecules cancel
    (arXiv:2405.13791, section 4.1; the authors add random noise to the positions). Here two atoms are
    *marked*: the one farthest from the centroid, and the one farthest from the line through it; of several
    that are equally far by `TOLERANCE` (crowded and heavy ones count as a little farther), the first in the
    input's order. The axes are the eigenvectors of the gyration tensor in which marked atoms weigh slightly
    more, longest first; each points to where the third moment of the atoms is positive or, where that is
    zero, to the first of the atoms farthest along it. No random number and no fixed frame is involved.

    What this promises: rotating, reflecting or inverting the molecule does the same to the axes, symmetric
    or not. Reordering the atoms changes nothing unless the molecule is symmetric; then the axes may move by
    one of its symmetry operations, because nothing but the order tells equivalent atoms apart. Axes along
    which the molecule has no extent are zero, since their direction would be arbitrary: the third of a
    planar molecule, the last two of a linear one, all three of a single atom. What it cannot promise is
    continuity: where the order of two spreads, a third moment or the choice of a marked atom changes,
    the axes jump.

    Parameters
    ----------
    positions : Tensor of shape [B, L, 3]
        Å, padded, relative to each molecule's centroid.
    numbers : LongTensor of shape [B, L]
        Atomic numbers.
    real : BoolTensor of shape [B, L]
        Places that hold an atom.

    Returns
    -------
    axes : Tensor of shape [B, 3, 3]
        Column k is axis k: unit vectors, shortened to zero as the extent along them vanishes.
    coordinates : Tensor of shape [B, L, 3]
        Å, along unit axes.

    Neither is differentiable in the positions.
    """
    with torch.no_grad():
        # Eigenvectors of nearly equal eigenvalues need the digits.
        x = positions.double()
        atoms = real.sum(1, keepdim=True).clamp(min=1)[:, :, None]
        distances = (x[:, :, None] - x[:, None]).square().sum(-1)
        crowding = 0.1 * (torch.exp(-0.5 * distances) * numbers[:, None]).sum(2)
        first = _take(x, _first_largest(x.square().sum(-1) + crowding, real))
        direction = first / first.norm(dim=1, keepdim=True).clamp(min=1e-9)
        aside = x - (x @ direction[:, :, None]) * direction[:, None]
        second = _take(x, _first_largest(aside.square().sum(-1) + crowding, real))
        marked = FIRST * first[:, :, None] * first[:, None] + SECOND * second[:, :, None] * second[:, None]
        spread, axes = torch.linalg.eigh((x.transpose(1, 2) @ x + marked) / atoms)
        spread, axes = spread.flip(1).clamp(min=0.0), axes.flip(2)
        coordinates = x @ axes
        skewness = coordinates.pow(3).sum(1) / coordinates.square().sum(1).clamp(min=1e-12).pow(1.5)
        reach = [_first_largest(coordinates[..., k].abs(), real) for k in range(3)]
        farthest = torch.stack([_take(coordinates, place)[:, k] for k, place in enumerate(reach)], 1)
        towards = torch.where(skewness.abs() > TOLERANCE, skewness, farthest)
        sign = torch.where(towards < 0, -1.0, 1.0).to(x.dtype)
        axes, coordinates = axes * sign[:, None], coordinates * sign[:, None]
        faded = axes * (spread / (spread + THIN))[:, None]
        return faded.to(positions.dtype), coordinates.to(positions.dtype)


def _first_largest(values: Tensor, real: Tensor) -> Tensor:
    """Place of the first of the atoms whose value is the largest, within `TOLERANCE`: [B]."""
    values = values.masked_fill(~real, -torch.inf)
    largest = values.amax(1, keepdim=True)
    return (values >= largest - TOLERANCE).to(torch.uint8).argmax(1)


def _take(values: Tensor, place: Tensor) -> Tensor:
    return values[torch.arange(len(values), device=values.device), place]
