"""Columns with a physical meaning: what a solvent sees of a molecule, from geometry and partial charges."""

from __future__ import annotations

import math

import torch
from ase.data.vdw_alvarez import vdw_radii
from torch import Tensor, nn

from skmol3d.encoders.atoms import MAX_NUMBER, AtomBatch

COULOMB = 14.3996  # eV Å / e²
PROBE = 1.4  # Å, a water molecule
BONDED, GEMINAL, APART = (0.61, 1.33), (0.19, 0.0), (0.30, 0.42)
BY_BONDS = (1.0, 0.65, 0.80, 1.01, 1.29)
"""How much of an atom's surface another atom takes, of what it would take from a free sphere: a hydrogen, or
a heavier atom; times a factor by the number of the atom's own bonds. The formula is that of Hasel,
Hendrickson & Still (1988, doi:10.1016/0898-5529(88)90015-2), whose numbers need atom types; these are fitted
to areas by Shrake and Rupley of 250 drug-like molecules."""
OFFSET, DESCREENING = 0.09, 0.8  # Å, and the scale of the descreening spheres (doi:10.1021/jp961710n)
LONGEST_BORN = 30.0  # Å
WATER = 0.5 * COULOMB * (1 - 1 / 78.5)
CHARGES = torch.linspace(-0.8, 0.6, 15)  # e
POTENTIALS = torch.linspace(-4.0, 4.0, 11)  # V
CHARGE_WIDTH, POTENTIAL_WIDTH = 0.06, 0.6
GROUPS: dict[str, tuple[int, ...]] = {
    "C": (6,),
    "N": (7,),
    "O": (8,),
    "F": (9,),
    "S": (16,),
    "Cl_Br_I": (17, 35, 53),
    "other": (5, 14, 15, 34),
}
PARTS = ("polar_H", "apolar_H", *GROUPS)
COLUMNS = (
    *(f"{what}_{part}" for what in ("area", "charge_area", "solvation") for part in PARTS),
    *(f"area_at_{q:+.1f}e" for q in CHARGES.tolist()),
    *(f"area_at_{v:+.1f}V" for v in POTENTIALS.tolist()),
    "area",
    "polar_area",
    "charge2_area",
    "potential_area",
    "potential2_area",
    "solvation",
    "self_solvation",
    "atoms",
    "volume",
    "highest_potential",
    "lowest_potential",
    "highest_charge",
    "lowest_charge",
    "mean_Born_radius",
    "longest_Born_radius",
    "best_solvated",
    "dipole",
    "axis_1",
    "axis_2",
    "axis_3",
    "radius_of_gyration",
    "farthest_atom",
    "hydrogen_bonds",
)
"""Names of the columns: areas in Å², charges in e, potentials in V, energies in eV, lengths in Å."""


LEVELS = 8
"""Steps that a column is rounded to per standard deviation."""


class Surface(nn.Module):
    """Exposed areas by element, charge and potential, solvation energies, shape, internal hydrogen bonds.

    Partial charges are linear in the backbone's scalars, element by element, fitted to reference charges
    when the encoder is trained; everything else follows from charges and positions by textbook formulas:
    areas as in `BY_BONDS`, potentials of the other atoms' charges at each atom, the generalised Born energy
    in water (doi:10.1021/ja00172a038). Rows are unchanged by rotation, translation and reflection, and smooth
    in the positions but for the rounding: columns are whole multiples of a step, an eighth of their standard
    deviation over the training molecules, because trees would take finer differences for news.

    Parameters
    ----------
    scalars : int
        Of the backbone.
    """

    charge_weight: Tensor
    charge_bias: Tensor
    step: Tensor
    radii: Tensor

    def __init__(self, scalars: int) -> None:
        super().__init__()
        self.register_buffer("charge_weight", torch.zeros(MAX_NUMBER, scalars))
        self.register_buffer("charge_bias", torch.zeros(MAX_NUMBER))
        self.register_buffer("step", torch.zeros(len(COLUMNS)))
        radii = torch.tensor(vdw_radii[:MAX_NUMBER], dtype=torch.float32).nan_to_num(2.0)
        self.register_buffer("radii", radii, persistent=False)

    def deviation(self) -> Tensor:
        """Standard deviations [columns] over the training molecules; 0 where they have not been measured."""
        return self.step * LEVELS

    def charges(self, batch: AtomBatch, scalars: Tensor) -> Tensor:
        """Partial charges [N], e, that add up to each molecule's charge."""
        numbers = batch.numbers
        own = (scalars * self.charge_weight[numbers]).sum(1) + self.charge_bias[numbers]
        total = own.new_zeros(len(batch)).index_add(0, batch.molecule, own)
        return own + ((batch.charge.to(own) - total) / batch.counts)[batch.molecule]

    def forward(self, batch: AtomBatch, scalars: Tensor) -> Tensor:
        """Rows [B, columns] from the backbone's standardised scalars [N, S] of all atoms."""
        row = self.unrounded(batch, self.charges(batch, scalars))
        return torch.where(self.step > 0, (row / self.step.clamp(min=1e-12)).round() * self.step, row)

    def unrounded(self, batch: AtomBatch, charges: Tensor) -> Tensor:
        """Rows [B, columns] from partial charges [N]."""
        real = batch.flat_index >= 0
        numbers, x, q = batch.pad(batch.numbers), batch.pad(batch.positions), batch.pad(charges)
        radius = self.radii.to(x)[numbers]
        pairs = real[:, :, None] & real[:, None] & ~torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        squared = (x[:, :, None] - x[:, None]).square().sum(-1)
        distance = torch.where(pairs, squared, 1.0).sqrt()
        bonded = batch.bonded
        area = exposed_areas(radius, distance, pairs, bonded, numbers > 1) * real
        potential = COULOMB * (torch.where(pairs, q[:, None] / distance, 0.0)).sum(2)
        born = _born_radii(radius, distance, pairs)
        product = born[:, :, None] * born[:, None]
        separation = torch.where(pairs, squared, 0.0)
        screened = (separation + product * torch.exp(-separation / (4 * product))).sqrt()
        both = real[:, :, None] & real[:, None]
        solvation = -WATER * torch.where(both, q[:, :, None] * q[:, None] / screened, 0.0).sum(2)
        alone = -WATER * q.square() / born * real
        on_carbon = (bonded & (numbers == 6)[:, None]).any(2)
        parts = [(numbers == 1) & ~on_carbon & real, (numbers == 1) & on_carbon]
        parts += [torch.isin(numbers, numbers.new_tensor(members)) for members in GROUPS.values()]
        share = torch.stack(parts, 1).to(x)  # [B, parts, L]
        columns = [(share @ v[..., None])[..., 0] for v in (area, area * q, solvation)]
        columns.append(_histogram(area, q, CHARGES.to(x), CHARGE_WIDTH))
        columns.append(_histogram(area, potential, POTENTIALS.to(x), POTENTIAL_WIDTH))
        atoms = batch.counts.to(x)
        centred = (x - x.sum(1, keepdim=True) / atoms[:, None, None]) * real[..., None]
        single = [
            area.sum(1),
            (area * q.abs()).sum(1),
            (area * q.square()).sum(1),
            (area * potential.abs()).sum(1),
            (area * potential.square()).sum(1),
            solvation.sum(1),
            alone.sum(1),
            atoms,
            (4 / 3 * math.pi * radius**3 * real).sum(1),
            *_extremes(potential, real),
            *_extremes(q, real),
            (born * real).sum(1) / atoms,
            born.masked_fill(~real, 0.0).amax(1),
            solvation.amin(1),
            (q[..., None] * centred).sum(1).norm(dim=1),
            *_axes(centred, atoms),
            (centred.square().sum((1, 2)) / atoms).sqrt(),
            centred.norm(dim=2).amax(1),
            _hydrogen_bonds(numbers, parts[0], distance, pairs, bonded),
        ]
        return torch.cat([*columns, torch.stack(single, 1)], 1)


def exposed_areas(radius: Tensor, distance: Tensor, pairs: Tensor, bonded: Tensor, heavy: Tensor) -> Tensor:
    """Exposed area of each atom [B, L], Å²: what its neighbours leave of a sphere, as if independent.

    ``radius`` [B, L] and ``distance`` [B, L, L] are in Å; ``pairs`` [B, L, L] are of two different atoms.
    """
    outer = radius + PROBE
    whole = 4 * math.pi * outer**2
    overlap = (outer[:, :, None] + outer[:, None] - distance).clamp(min=0.0)
    lean = 1 + (radius[:, None] - radius[:, :, None]) / distance
    taken = math.pi * outer[:, :, None] * overlap * lean / whole[:, :, None]
    links = bonded.to(radius)
    kinds = torch.where(bonded, 0, torch.where(links @ links > 0, 1, 2))
    weight = radius.new_tensor((BONDED, GEMINAL, APART))[kinds, heavy.long()[:, None]]
    weight = weight * radius.new_tensor(BY_BONDS)[bonded.sum(2).clamp(max=4)][:, :, None]
    left = (1 - weight * taken.clamp(0.0, 1.0)).clamp(min=0.0)
    return whole * torch.where(pairs, left, 1.0).prod(2)


def _born_radii(radius: Tensor, distance: Tensor, pairs: Tensor) -> Tensor:
    """Born radii [B, L], Å, by pairwise descreening (doi:10.1021/jp961710n)."""
    own = (radius - OFFSET)[:, :, None]
    other = DESCREENING * (radius - OFFSET)[:, None]
    upper = distance + other
    lower = torch.maximum(own, (distance - other).abs())
    near, far = 1 / lower, 1 / upper
    integral = 0.5 * (
        near
        - far
        + 0.25 * (distance - other**2 / distance) * (far**2 - near**2)
        + 0.5 * torch.log(lower / upper) / distance
    )
    integral = torch.where(pairs & (upper > own), integral, 0.0).sum(2)
    return 1 / (1 / own[..., 0] - integral).clamp(min=1 / LONGEST_BORN)


def _histogram(area: Tensor, value: Tensor, centres: Tensor, width: float) -> Tensor:
    near = torch.exp(-0.5 * ((value[..., None] - centres) / width).square())
    return (area[..., None] * near).sum(1)


def _extremes(values: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    return values.masked_fill(~real, -torch.inf).amax(1), values.masked_fill(~real, torch.inf).amin(1)


def _axes(centred: Tensor, atoms: Tensor) -> list[Tensor]:
    """Root-mean-square extent along the principal axes, the longest first."""
    tensor = centred.transpose(1, 2) @ centred / atoms[:, None, None]
    return list(torch.linalg.eigvalsh(tensor).clamp(min=0.0).sqrt().flip(1).unbind(1))


def _hydrogen_bonds(
    numbers: Tensor, polar: Tensor, distance: Tensor, pairs: Tensor, bonded: Tensor
) -> Tensor:
    """Polar hydrogens near a nitrogen or oxygen that is not their own, each contact between 0 and 1."""
    acceptor = torch.isin(numbers, numbers.new_tensor((7, 8)))
    contact = pairs & ~bonded & polar[:, :, None] & acceptor[:, None]
    return torch.where(contact, torch.exp(-(((distance - 1.9) / 0.3).square())), 0.0).sum((1, 2))
