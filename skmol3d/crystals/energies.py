"""Lattice energies: of rigid molecules by pair potentials, in batches, and by any ASE calculator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from ase.data import chemical_symbols, vdw_radii
from torch import Tensor

from skmol3d.crystals.errors import CrystalError
from skmol3d.encoders.periodic import inverse_cells, refuse_flat_cells

if TYPE_CHECKING:  # synthesis runs where there is no spglib, and of ASE its tables alone
    from ase import Atoms
    from ase.calculators.calculator import Calculator

    from skmol3d.crystals.crystal import MolecularCrystal

PairEnergy = Callable[[Tensor, Tensor], Tensor]


def lennard_jones(distances: Tensor, sums: Tensor) -> Tensor:
    """4 [(s/r)¹² - (s/r)⁶] for distances r and sums s of van der Waals radii, both in Å.

    In units of the well's depth, which is the same for all pairs of elements: arXiv:2405.13791, equation 19
    (as its text means it: in print s has lost its exponents).
    """
    sixth = (sums / distances) ** 6
    return 4 * (sixth * sixth - sixth)


def buckingham(distances: Tensor, sums: Tensor) -> Tensor:
    """A exp(-B d) - C/d⁶ of d = r/s, with A = -3.2619, B = 1 and C = -0.2, for r and s as in `lennard_jones`.

    In units of the well's depth, which lies at d = 1. Equation 8 of arXiv:2405.13791 with its constants: the
    exponential attracts and the power repels, more softly than Lennard-Jones.
    """
    ratio = distances / sums
    return -3.2619 * torch.exp(-ratio) + 0.2 / ratio**6


def radii(numbers: np.ndarray) -> np.ndarray:
    """Van der Waals radii (Å) of atomic numbers.

    Bondi 1964, doi:10.1021/j100785a001, and Mantina et al. 2009, doi:10.1021/jp8111556, as ASE lists them.

    Raises
    ------
    CrystalError
        If an element has none.
    """
    found = vdw_radii[numbers]
    if np.isnan(found).any():
        symbol = chemical_symbols[numbers[np.isnan(found)][0]]
        raise CrystalError(f"no van der Waals radius for {symbol}")
    return found


@dataclass(frozen=True)
class RigidCrystals:
    """A batch of crystals as the whole molecules of their cells.

    Attributes
    ----------
    cells : Tensor of shape [B, 3, 3]
        Cell vectors as rows, Å.
    positions : Tensor of shape [M, n, 3]
        Å; filled up to the largest molecule with anything finite.
    radii : Tensor of shape [M, n]
        Van der Waals radii, Å; zero where there is no atom.
    crystal : LongTensor of shape [M]
        The crystal that each molecule belongs to.
    """

    cells: Tensor
    positions: Tensor
    radii: Tensor
    crystal: Tensor

    @classmethod
    def from_crystals(
        cls, crystals: Iterable[MolecularCrystal], dtype: torch.dtype = torch.float64
    ) -> RigidCrystals:
        """Collect all molecules in the conventional cells of the crystals."""
        cells: list[np.ndarray] = []
        molecules, owners = [], []
        for crystal in crystals:
            for molecule, copies in zip(crystal.molecules, crystal.copies, strict=True):
                molecules += [(molecule.numbers, positions) for positions in copies]
                owners += [len(cells)] * len(copies)
            cells.append(crystal.cell)
        positions, radii = pad_molecules(molecules, dtype)
        return cls(torch.tensor(np.array(cells), dtype=dtype), positions, radii, torch.tensor(owners))

    def __len__(self) -> int:
        return len(self.cells)


def pad_molecules(
    molecules: Iterable[tuple[np.ndarray, np.ndarray]], dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Positions [M, n, 3] and van der Waals radii [M, n] of (numbers, positions) of each molecule."""
    sizes = [torch.tensor(radii(numbers), dtype=dtype) for numbers, _ in molecules]
    places = [torch.tensor(positions, dtype=dtype) for _, positions in molecules]
    pad = torch.nn.utils.rnn.pad_sequence
    return pad(places, batch_first=True), pad(sizes, batch_first=True)


def lattice_energies(crystals: RigidCrystals, pair_energy: PairEnergy, cutoff: float = 10.0) -> Tensor:
    """Interaction energies per molecule, relative to molecules infinitely far apart.

    Sums over all pairs of atoms in different molecules, images included, that are closer than the cutoff;
    nothing is shifted or corrected beyond it. Differentiable in cells and positions.

    Parameters
    ----------
    crystals : RigidCrystals
        One or many, of any sizes.
    pair_energy : callable
        `lennard_jones`, `buckingham`, or any other function of distances and sums of radii.
    cutoff : float, default=10.0
        Å.

    Returns
    -------
    Tensor of shape [B]
        In the units of `pair_energy`.

    Raises
    ------
    CrystalError
        If a cell is so flat that its images are too many to sum over.
    """
    one, other, images = _molecule_pairs(crystals, cutoff)
    shifts = (images[:, None] @ crystals.cells[crystals.crystal[one]])[:, 0]
    first, second = crystals.positions[one], crystals.positions[other] + shifts[:, None]
    a, b = crystals.radii[one][:, :, None], crystals.radii[other][:, None, :]
    squares = (first[:, :, None] - second[:, None]).square().sum(-1)
    pair, i, j = torch.nonzero((squares < cutoff**2) & (a > 0) & (b > 0), as_tuple=True)
    # Two atoms in one place have no finite energy, and no direction to leave it.
    distances = squares[pair, i, j].clamp_min(1e-4).sqrt()
    energies = pair_energy(distances, a[pair, i, 0] + b[pair, 0, j])
    totals = torch.zeros_like(crystals.cells[:, 0, 0])
    totals = totals.index_add(0, crystals.crystal[one[pair]], energies)
    return totals / torch.bincount(crystals.crystal, minlength=len(crystals))


@torch.no_grad()
def _molecule_pairs(crystals: RigidCrystals, cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
    """Pairs of molecules [K], [K] that may interact, and the cell [K, 3] of the second; every pair once."""
    real = crystals.radii > 0
    count = real.sum(1, keepdim=True)
    centres = (crystals.positions * real[..., None]).sum(1) / count
    reaches = ((crystals.positions - centres[:, None]).norm(dim=-1) * real).amax(1)

    same = crystals.crystal[:, None] == crystals.crystal
    one, other = torch.nonzero(torch.triu(same), as_tuple=True)
    reach = cutoff + reaches[one] + reaches[other]
    way = centres[other] - centres[one]
    owner = crystals.crystal[one]
    inverse = inverse_cells(crystals.cells)[owner]
    # A sphere of this reach touches planes of the lattice up to reach · |reciprocal vector| away.
    start = (way[:, None] @ inverse)[:, 0]
    most = (reach[:, None] * inverse.norm(dim=1) + start.abs()).ceil()
    extents = torch.zeros_like(crystals.cells[:, 0]).scatter_reduce(
        0, owner[:, None].expand_as(most), most, "amax"
    )
    try:
        refuse_flat_cells(crystals.cells, extents)
    except ValueError as error:
        raise CrystalError(str(error)) from error
    firsts, seconds, images = [], [], []
    for extent in extents.unique(dim=0):
        mine = (extents[owner] == extent).all(1).nonzero()[:, 0]
        grid = torch.cartesian_prod(*(torch.arange(-n, n + 1) for n in extent.tolist())).to(way)
        after_self = _lexicographically_positive(grid)
        for part in mine.split(max(1, 2_000_000 // len(grid))):
            near = (way[part, None] + grid @ crystals.cells[owner[part]]).norm(dim=-1) < reach[part, None]
            near &= after_self | (one[part] != other[part])[:, None]
            k, image = torch.nonzero(near, as_tuple=True)
            firsts.append(one[part[k]])
            seconds.append(other[part[k]])
            images.append(grid[image])
    return torch.cat(firsts), torch.cat(seconds), torch.cat(images)


def _lexicographically_positive(grid: Tensor) -> Tensor:
    x, y, z = grid.T
    return (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))


def lattice_energy(crystal: MolecularCrystal, calculator: Calculator) -> float:
    """Energy (eV) of a molecule in the crystal relative to the same rigid molecule alone.

    E_crystal / Z - E_gas: arXiv:2405.13791, equation 9. With several independent molecules, E_gas is their
    mean, each counted as often as it is in the cell. Ions are taken for neutral.

    Parameters
    ----------
    crystal : MolecularCrystal
        Its canonical description is what counts, with the symmetry it has.
    calculator : ase Calculator
        For periodic cells and molecules alike: a `PotentialCalculator`, or those of tblite, of MACE (the
        extra `mace`), ...

    Raises
    ------
    TypeError
        If `crystal` or `calculator` is something else.
    """
    from ase import Atoms

    if not hasattr(crystal, "copies"):  # its class needs spglib, which other calls here do not
        raise TypeError(
            f"crystal must be a MolecularCrystal, as MolecularCrystal.read gives; got {crystal!r}"
        )
    if not hasattr(calculator, "get_potential_energy"):
        raise TypeError(f"calculator must be one of ASE's, such as a PotentialCalculator; got {calculator!r}")
    gas = 0.0
    for i, (molecule, copies) in enumerate(zip(crystal.molecules, crystal.copies, strict=True)):
        gas += len(copies) * _energy(Atoms(molecule.numbers, crystal.posed(i)), calculator)
    return (_energy(crystal.to_atoms(), calculator) - gas) / crystal.z


def _energy(atoms: Atoms, calculator: Calculator) -> float:
    atoms.calc = calculator
    return float(atoms.get_potential_energy())
