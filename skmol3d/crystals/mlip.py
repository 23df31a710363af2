"""Lattice energies by interatomic potentials: any ASE calculator, or one of our own."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols
from numpy.typing import NDArray
from torch import Tensor

from skmol3d.crystals.crystal import MolecularCrystal
from skmol3d.crystals.errors import CrystalError
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.periodic import PeriodicBatch
from skmol3d.encoders.potential import Potential


def lattice_energy(crystal: MolecularCrystal, calculator: Calculator) -> float:
    """Energy (eV) of a molecule in the crystal relative to the same rigid molecule alone.

    E_crystal / Z - E_gas: arXiv:2405.13791, equation 9. With several independent molecules, E_gas is their
    mean, each counted as often as it is in the cell.

    Parameters
    ----------
    crystal : MolecularCrystal
        Its canonical description is what counts, with the symmetry it has.
    calculator : ase Calculator
        For periodic cells and molecules alike: a `PotentialCalculator`, or those of tblite, of MACE (the
        extra `mace`), ...
    """
    gas = 0.0
    for i, (molecule, copies) in enumerate(zip(crystal.molecules, crystal.copies, strict=True)):
        gas += len(copies) * _energy(Atoms(molecule.numbers, crystal.posed(i)), calculator)
    return (_energy(crystal.to_atoms(), calculator) - gas) / crystal.z


def _energy(atoms: Atoms, calculator: Calculator) -> float:
    atoms.calc = calculator
    return float(atoms.get_potential_energy())


class PotentialCalculator(Calculator):
    """A pretrained `Potential` for molecules and fully periodic crystals.

    In crystals, neighbours are the atoms of all cells within the backbone's cutoff. Computes in double
    precision, as differences of large energies need it. The bundled potentials learned single molecules:
    their energies between molecules are extrapolations.

    Parameters
    ----------
    potential : Potential
        From `skmol3d.hub.from_pretrained`, e.g. "et-xtb-small". A copy is used.

    Examples
    --------
    >>> from skmol3d.hub import from_pretrained
    >>> from skmol3d.crystals.mlip import PotentialCalculator
    >>> calculator = PotentialCalculator(from_pretrained("et-xtb-small"))
    """

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 (as its base class has it)

    def __init__(self, potential: Potential) -> None:
        super().__init__()
        self.potential = copy.deepcopy(potential).double().eval()

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """Energy (eV) and forces (eV/Å)."""
        super().calculate(atoms, properties, system_changes)
        current = self.atoms
        assert current is not None
        _check_elements(self.potential, current.numbers)
        positions = torch.tensor(current.positions, requires_grad=True)
        energy = self.potential.energy(_batch([current], positions))[0]
        (gradient,) = torch.autograd.grad(energy, positions)
        self.results = {"energy": energy.item(), "forces": -gradient.numpy()}


@torch.no_grad()
def potential_energies(
    potential: Potential, structures: Sequence[Atoms], at_once: int = 512
) -> NDArray[np.float64]:
    """Energies (eV) of many molecules, or of many crystals per cell; for millions of them.

    Parameters
    ----------
    potential : Potential
        Computes on its own device and in its own precision, but for the energies of the elements, which are
        summed in double precision: they are large and cancel in lattice energies.
    structures : sequence of ase.Atoms
        Either all periodic in three dimensions or none.
    at_once : int, default=512
        Atoms in a batch.

    Raises
    ------
    CrystalError
        If the potential was not trained on some element.
    """
    _check_elements(potential, np.concatenate([atoms.numbers for atoms in structures]))
    parameter = next(potential.parameters())
    bare = copy.deepcopy(potential).eval()
    bare.element_energy.zero_()
    totals = potential.element_energy.double().cpu().numpy()
    energies = np.array([totals[atoms.numbers].sum() for atoms in structures])
    order = np.argsort([len(atoms) for atoms in structures], kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, at_once // len(structures[order[start]]))
        chosen = [structures[i] for i in order[start:stop]]
        positions = torch.tensor(np.concatenate([atoms.positions for atoms in chosen]), dtype=parameter.dtype)
        batch = _batch(chosen, positions).to(parameter.device)
        energies[order[start:stop]] += bare.energy(batch).double().cpu().numpy()
        start = stop
    return energies


def _check_elements(potential: Potential, numbers: NDArray[np.integer]) -> None:
    unknown = sorted(set(numbers.tolist()) - set(potential.elements))
    if unknown:
        names = ", ".join(chemical_symbols[n] for n in unknown)
        raise CrystalError(f"the potential was not trained on {names}")


def _batch(structures: Sequence[Atoms], positions: Tensor) -> AtomBatch:
    """Batch of neutral structures, all periodic or none, with ``positions`` in place of theirs."""
    numbers = torch.tensor(np.concatenate([atoms.numbers for atoms in structures]), dtype=torch.long)
    counts = torch.tensor([len(atoms) for atoms in structures])
    charge = positions.new_zeros(len(structures))
    periodic = np.array([atoms.pbc for atoms in structures])
    if not periodic.any():
        return AtomBatch(numbers, positions, counts, charge)
    if not periodic.all():
        raise CrystalError("periodic in some directions only")
    cells = torch.tensor(np.array([atoms.cell.array for atoms in structures])).to(positions)
    return PeriodicBatch(numbers, positions, counts, charge, cells=cells)
