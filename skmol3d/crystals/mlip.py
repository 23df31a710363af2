"""Lattice energies by interatomic potentials: any ASE calculator, or one of our own."""

from __future__ import annotations

import copy
from itertools import product
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols

from skmol3d.crystals.crystal import MolecularCrystal
from skmol3d.crystals.errors import CrystalError
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.equivariant_transformer import Potential
from skmol3d.encoders.periodic import PeriodicBatch


def lattice_energy(crystal: MolecularCrystal, calculator: Calculator) -> float:
    """Energy (eV) of a molecule in the crystal relative to the same rigid molecule alone.

    E_crystal / Z - E_gas: arXiv:2405.13791, equation 9. With several independent molecules, E_gas is their
    mean, each counted as often as it is in the cell.

    Parameters
    ----------
    crystal : MolecularCrystal
        Its canonical description is what counts, with the symmetry it has.
    calculator : ase Calculator
        For periodic cells and molecules alike, such as those of MACE or tblite, or a `PotentialCalculator`.
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

    In crystals, neighbours are the atoms of all cells within the backbone's cutoff; a cell whose faces are
    closer than that is repeated first. Computes in double precision, as differences of large energies need
    it. The bundled potentials learned single molecules: their energies between molecules are extrapolations.

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
        numbers = current.numbers
        unknown = sorted(set(numbers.tolist()) - set(self.potential.elements))
        if unknown:
            names = ", ".join(chemical_symbols[n] for n in unknown)
            raise CrystalError(f"the potential was not trained on {names}")
        positions = torch.tensor(current.positions, requires_grad=True)
        batch, cells = self._batch(current, torch.tensor(numbers, dtype=torch.long), positions)
        energy = self.potential.energy(batch).sum() / cells
        (gradient,) = torch.autograd.grad(energy, positions)
        self.results = {"energy": energy.item(), "forces": -gradient.numpy()}

    def _batch(self, atoms: Atoms, numbers: torch.Tensor, positions: torch.Tensor) -> tuple[AtomBatch, int]:
        """Batch of one, and how often the cell is repeated in it."""
        charge = torch.zeros(1, dtype=torch.float64)
        if not atoms.pbc.any():
            return AtomBatch(numbers, positions, torch.tensor([len(numbers)]), charge), 1
        if not atoms.pbc.all():
            raise CrystalError("periodic in some directions only")
        cell = atoms.cell.array
        widths = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
        repeats = np.ceil(self.potential.config.backbone.cutoff / widths).astype(int)
        shifts = torch.tensor(np.array(list(product(*map(range, repeats)))) @ cell)
        batch = PeriodicBatch(
            numbers.repeat(len(shifts)),
            (positions + shifts[:, None]).view(-1, 3),
            torch.tensor([len(numbers) * len(shifts)]),
            charge,
            cell=torch.tensor(repeats[:, None] * cell),
        )
        return batch, len(shifts)
