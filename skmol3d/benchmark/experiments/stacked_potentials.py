"""Many potentials of one architecture as one network, for graphics processors that one of them cannot fill.

A step of one small potential on small molecules is a thousand short kernels, and a GPU waits for each to be
launched. Here the weights of M networks lie side by side, each with frames of its own molecule, and every
kernel serves all of them. All atoms of a molecule are neighbours: beyond the cutoff the filters are zero, so
that energies are those of `skmol3d.encoders.Potential`, but no shape depends on the positions.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from skmol3d.encoders import Potential
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.backbones import EquivariantConvolution, EquivariantConvolutionConfig
from skmol3d.encoders.backbones.equivariant_convolution import spherical_harmonics

FAR = 1000.0
"""Å from the origin, and apart, of the hydrogens that fill up smaller molecules; they feel nothing."""


class Copies(AtomBatch):
    """Molecules of one size, so that nothing about the batch has to be read back from a GPU."""

    @cached_property
    def _grid(self) -> tuple[int, int]:
        return len(self.counts), len(self.numbers) // len(self.counts)

    @cached_property
    def molecule(self) -> Tensor:
        """LongTensor [N]: the molecule each atom belongs to."""
        count, size = self._grid
        return torch.arange(count, device=self.counts.device)[:, None].expand(count, size).reshape(-1)


class AllPairs(EquivariantConvolution):
    """Equivariant convolutions over all pairs of atoms of molecules of one size."""

    def _filters(self, batch: AtomBatch) -> Tensor:
        positions = batch.pad(batch.positions)
        molecules, size, _ = positions.shape
        apart = positions[:, :, None] - positions[:, None]
        itself = torch.eye(size, dtype=apart.dtype, device=apart.device)
        distance = (apart.square().sum(-1) + itself).sqrt()
        harmonics = spherical_harmonics((apart / distance[..., None]).flatten(0, 2), self.config.degree)
        radial = self.radial(distance.flatten()) * (1.0 - itself).expand(molecules, -1, -1).reshape(-1, 1)
        values = harmonics[:, :, None] * radial[:, None]
        values = values.view(molecules, size, size, *values.shape[1:])
        return values.permute(0, 3, 1, 2, 4).flatten(3)


class StackedPotentials(nn.Module):
    """M potentials with weights of their own, each on copies of a molecule of its own.

    Parameters
    ----------
    potentials : sequence of Potential
        Of one architecture, equivariant convolutions. Their reference energies are left out.
    numbers : LongTensor [M, N]
        Atomic numbers of each network's molecule.

    Attributes
    ----------
    weights : Parameter [M, P]
        The parameters of each network in a row.
    """

    numbers: Tensor

    def __init__(self, potentials: Sequence[Potential], numbers: Tensor) -> None:
        super().__init__()
        first = potentials[0]
        if not isinstance(first.config.backbone, EquivariantConvolutionConfig):
            raise ValueError("potentials of equivariant convolutions are stacked, no others")
        if any(p.config != first.config for p in potentials):
            raise ValueError("potentials that are stacked must have one architecture")
        bare = copy.deepcopy(first)
        bare.backbone = AllPairs(first.config.backbone)
        bare.element_energy.zero_()
        self._bare = [bare.requires_grad_(False)]  # in a list: its parameters are not this module's
        self.shapes = {name: p.shape for name, p in bare.named_parameters()}
        rows = [torch.cat([dict(p.named_parameters())[n].flatten() for n in self.shapes]) for p in potentials]
        self.weights = nn.Parameter(torch.stack(rows).detach().clone())
        self.register_buffer("numbers", numbers)

    def _apply(self, fn: Any, recurse: bool = True) -> StackedPotentials:
        self._bare[0]._apply(fn, recurse)
        super()._apply(fn, recurse)
        return self

    def forward(self, positions: Tensor, weights: Tensor | None = None) -> Tensor:
        """Energies [M, B] (eV), without those of the elements, at positions [M, B, N, 3] (Å)."""
        weights = self.weights if weights is None else weights
        pieces = weights.split([math.prod(shape) for shape in self.shapes.values()], 1)
        parameters = {
            name: piece.view(-1, *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }
        count, size = positions.shape[1:3]
        counts = torch.full((count,), size, device=positions.device)
        charge = positions.new_zeros(count)

        def one(parameters: dict[str, Tensor], numbers: Tensor, places: Tensor) -> Tensor:
            batch = Copies(numbers.repeat(count), places.reshape(-1, 3), counts, charge)
            return functional_call(self._bare[0], parameters, (batch,))[:, 0]

        return torch.func.vmap(one)(parameters, self.numbers, positions)

    def energy_and_forces(self, positions: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Energies [M, B] (eV) and forces [M, B, N, 3] (eV/Å), which no gradient goes through."""
        places = positions.detach().requires_grad_()
        with torch.enable_grad():
            energy = self(places, self.weights.detach() if weights is None else weights)
            (gradient,) = torch.autograd.grad(energy.sum(), places)
        return energy.detach(), -gradient

    def potential(self, k: int, weights: Tensor | None = None) -> Potential:
        """Network ``k`` by itself, on the CPU."""
        row = (self.weights if weights is None else weights)[k].detach().cpu()
        pieces = row.split([math.prod(shape) for shape in self.shapes.values()])
        found = Potential(self._bare[0].config)
        state = {n: p.view(s) for (n, s), p in zip(self.shapes.items(), pieces, strict=True)}
        found.load_state_dict(state, strict=False)
        return found.eval()


def fill(numbers: Tensor, positions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Numbers [size] and positions [..., size, 3] of a molecule with hydrogens added that are `FAR` away."""
    missing = size - len(numbers)
    away = FAR * torch.arange(1, missing + 1).to(positions)[:, None].expand(missing, 3)
    away = away.expand(*positions.shape[:-2], missing, 3)
    return torch.cat([numbers, numbers.new_ones(missing)]), torch.cat([positions, away], -2)
