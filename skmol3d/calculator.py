"""Pretrained potentials as ASE calculators, and in batches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols
from ase.stress import full_3x3_to_voigt_6_stress
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.encoders.periodic import PeriodicBatch
from skmol3d.encoders.potential import Potential
from skmol3d.featurizers.parameters import check_choice
from skmol3d.hub import from_pretrained
from skmol3d.inference import find_device
from skmol3d.structures.errors import StructureError
from skmol3d.structures.geometry import check_coordinates, total_charge

WHOLE = 0.01
"""e that a charge may be off a whole number: partial charges are rounded where they are written."""


class PotentialCalculator(Calculator):
    """A pretrained `Potential` for molecules and fully periodic crystals.

    Gives energies (eV; the free energy is the same), forces (eV/Å) and, for crystals, the stress (eV/Å³;
    negative if the cell wants to expand), all of them exact derivatives of the energy. In crystals,
    neighbours are the atoms of all cells within the backbone's cutoff. The charge of a structure is
    ``atoms.info["charge"]``, or else the sum of its initial charges, and must be whole. A calculator keeps
    its last structure, as all of ASE's do: each thread needs one of its own. The bundled potentials learned
    single molecules: their energies between molecules are extrapolations. They have no heads for atomic
    charges or dipoles, so that ASE raises `PropertyNotImplementedError` for these.

    Parameters
    ----------
    potential : str, path or Potential
        What `skmol3d.hub.from_pretrained` takes, e.g. "ec-xtb-forces", or what it returns, of which a copy is
        used.
    device : str, default="auto"
        "auto" (a CUDA device, or else the CPU) or a torch device.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the network; the energies of the elements, large and constant, are double in either.
        Lattice energies and optimisations to small forces need double; dynamics are faster in single.

    Raises
    ------
    ValueError
        If the device is missing, the precision is another, or the checkpoint is no potential.
    StructureError
        In a calculation: no atoms, atoms in the same place, elements that the potential was not trained on, a
        charge that is not whole to 0.01, a structure that is periodic in some directions only, or a cell so
        flat that its sum over images would not end.

    Examples
    --------
    >>> from ase.build import molecule
    >>> from ase.optimize import BFGS
    >>> from skmol3d import PotentialCalculator
    >>> water = molecule("H2O")
    >>> water.calc = PotentialCalculator("ec-xtb-forces", device="cpu")
    >>> water.get_forces().shape
    (3, 3)
    >>> bool(BFGS(water, logfile=None).run(fmax=0.01))
    True

    Several copies at once, for replicas of a simulation:

    >>> energies, forces = water.calc.evaluate(water, [water.positions, 1.01 * water.positions])
    >>> energies.shape, forces.shape
    ((2,), (2, 3, 3))
    """

    implemented_properties = ["energy", "free_energy", "forces", "stress"]  # noqa: RUF012 (as ASE has it)

    def __init__(
        self, potential: str | Path | Potential, device: str = "auto", dtype: str = "float64"
    ) -> None:
        super().__init__()
        check_choice("dtype", dtype, ("float32", "float64"))
        place = find_device(device)
        if place is None:
            raise ValueError(
                f"device={device!r} is not available on this machine; use device='auto' or 'cpu'"
            )
        loaded = from_pretrained(potential) if isinstance(potential, str | Path) else potential
        if not isinstance(loaded, Potential):
            raise ValueError(f"{potential} is a {type(loaded).__name__}, not a potential")
        self.device, self.dtype = place, getattr(torch, dtype)
        bare, self._element_energies = _without_elements(loaded)
        self.potential = bare.to(place, self.dtype).requires_grad_(False)

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """What changed since the last calculation.

        ASE itself does not look at ``info``, and its comparison, which dynamics make several times a step,
        takes as long as some of the network's layers.
        """
        last = self.atoms
        if last is None:
            return list(all_changes)
        pairs = {
            "positions": (last.positions, atoms.positions),
            "numbers": (last.numbers, atoms.numbers),
            "cell": (last.cell.array, atoms.cell.array),
            "pbc": (last.pbc, atoms.pbc),
            "charge": (_charge(last), _charge(atoms)),
        }
        return [name for name, (old, new) in pairs.items() if not np.array_equal(old, new)]

    def calculate(
        self, atoms: Atoms | None = None, properties: Any = ("energy",), system_changes: Any = all_changes
    ) -> None:
        """Energies (eV), forces (eV/Å) and, in crystals, stress (eV/Å³) in Voigt's order."""
        super().calculate(atoms, properties, system_changes)
        current = self.atoms
        assert current is not None
        _check_atoms(self.potential, [current])
        batch = _batch([current], self.dtype).to(self.device)
        positions = batch.positions.requires_grad_()
        wanted, moved = [positions], batch
        if isinstance(batch, PeriodicBatch):
            strain = torch.zeros(3, 3, dtype=self.dtype, device=self.device, requires_grad=True)
            stretch = torch.eye(3, dtype=self.dtype, device=self.device) + strain
            moved = replace(batch, positions=positions @ stretch, cells=batch.cells @ stretch)
            wanted.append(strain)
        energy = _energies(self.potential, moved)[0]
        gradient, *virials = torch.autograd.grad(energy, wanted)
        total = self._element_energies[current.numbers].sum() + energy.item()
        if not np.isfinite(total):
            raise StructureError(_why_no_energy(current))
        forces = -gradient.double().cpu().numpy()
        self.results = {"energy": total, "free_energy": total, "forces": forces}
        for virial in virials:
            virial = (virial + virial.T) / 2  # turning the crystal costs nothing, up to rounding
            stress = virial.double().cpu().numpy() / current.cell.volume
            self.results["stress"] = full_3x3_to_voigt_6_stress(stress)

    def evaluate(self, atoms: Atoms, positions: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Energies and forces of several copies of a structure in one call.

        Parameters
        ----------
        atoms : ase.Atoms
            Elements, charge and cell of all copies.
        positions : array-like of shape (R, N, 3)
            Where the atoms of each copy are, Å.

        Returns
        -------
        energies : ndarray of shape (R,)
            eV; of a crystal, per cell. NaN, like the forces, of copies with coordinates that are not finite,
            or with atoms in the same place.
        forces : ndarray of shape (R, N, 3)
            eV/Å.

        Raises
        ------
        ValueError
            If ``positions`` has another shape.
        StructureError
            As for one structure.
        """
        places = np.asarray(positions, np.float64)
        if places.ndim != 3 or places.shape[1:] != (len(atoms), 3) or not places.size:
            raise ValueError(
                f"positions must have the shape (copies, {len(atoms)}, 3) with at least one copy and atom;"
                f" got {places.shape}"
            )
        lost = np.flatnonzero(~np.isfinite(places).all((1, 2)))
        places = places.copy()
        places[lost] = np.nan  # not infinite: differences of these warn
        _check_atoms(self.potential, [atoms])
        one = _batch([atoms], self.dtype)
        copies = len(places)
        centred = torch.tensor((places - places.mean(1, keepdims=True)).reshape(-1, 3), dtype=self.dtype)
        batch = replace(
            one,
            numbers=one.numbers.repeat(copies),
            positions=centred,
            counts=one.counts.repeat(copies),
            charge=one.charge.repeat(copies),
        )
        if isinstance(batch, PeriodicBatch):
            batch = replace(batch, cells=batch.cells.repeat(copies, 1, 1))
        batch = batch.to(self.device)
        moved = batch.positions.requires_grad_()
        energies = _energies(self.potential, batch)
        (gradient,) = torch.autograd.grad(energies.sum(), moved)
        constant = self._element_energies[atoms.numbers].sum()
        forces = -gradient.double().cpu().numpy().reshape(places.shape)
        found = constant + energies.detach().double().cpu().numpy()
        found[lost] = np.nan
        forces[~np.isfinite(found)] = np.nan
        return found, forces


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
    StructureError
        As a `PotentialCalculator`'s calculations.
    """
    _check_atoms(potential, structures)
    parameter = next(potential.parameters())
    bare, totals = _without_elements(potential)
    energies = np.array([totals[atoms.numbers].sum() for atoms in structures])
    order = np.argsort([len(atoms) for atoms in structures], kind="stable")
    start = 0
    while start < len(order):
        stop = start + max(1, at_once // len(structures[order[start]]))
        chosen = [structures[i] for i in order[start:stop]]
        batch = _batch(chosen, parameter.dtype).to(parameter.device)
        energies[order[start:stop]] += _energies(bare, batch).double().cpu().numpy()
        start = stop
    lost = np.flatnonzero(~np.isfinite(energies)).tolist()
    if lost:
        raise StructureError(f"structure {lost[0]}: {_why_no_energy(structures[lost[0]])}")
    return energies


def _without_elements(potential: Potential) -> tuple[Potential, NDArray[np.float64]]:
    """A copy whose energies lack those of the elements, and these in double precision."""
    bare = copy.deepcopy(potential).eval()
    bare.element_energy.zero_()
    return bare, potential.element_energy.double().cpu().numpy()


def _check_atoms(potential: Potential, structures: Sequence[Atoms]) -> None:
    for i, atoms in enumerate(structures):
        if not len(atoms):
            raise StructureError(f"structure {i} has no atoms")
    unknown = sorted({n for atoms in structures for n in atoms.numbers.tolist()} - set(potential.elements))
    if unknown:
        names = ", ".join(chemical_symbols[n] for n in unknown)
        raise StructureError(f"the potential was not trained on {names}")


def _charge(atoms: Atoms) -> int:
    """`total_charge`, which rounds, of what is whole already: StructureError if it is not."""
    given = atoms.info.get("charge")
    if given is None and not atoms.has("initial_charges"):
        return 0  # dynamics ask several times a step
    whole = total_charge(atoms)
    exact = float(atoms.get_initial_charges().sum() if given is None else given)
    if abs(exact - whole) > WHOLE:
        source = "the initial charges sum to" if given is None else 'info["charge"] is'
        raise StructureError(
            f'{source} {exact:g}, not a whole number; set atoms.info["charge"] to the charge'
        )
    return whole


def _why_no_energy(atoms: Atoms) -> str:
    """The reason, looked for only where an energy is not finite: a step of dynamics has no time for it."""
    inside = atoms.copy()
    if inside.pbc.any():
        inside.wrap()
    try:
        check_coordinates(inside.numbers, inside.positions)
    except StructureError as error:
        return str(error)
    return "the energy is not finite"


def _energies(potential: Potential, batch: AtomBatch) -> Tensor:
    try:
        return potential.energy(batch)
    except ValueError as error:  # a cell that is too flat
        raise StructureError(str(error)) from error


def _batch(structures: Sequence[Atoms], dtype: torch.dtype) -> AtomBatch:
    """Batch of structures, all periodic or none, each about its own centre."""
    if not all(np.isfinite(a.positions).all() and np.isfinite(a.cell.array).all() for a in structures):
        raise StructureError("coordinates that are not finite")  # no atom would have neighbours
    numbers = torch.tensor(np.concatenate([atoms.numbers for atoms in structures]), dtype=torch.long)
    # Single precision would blur a structure far from the origin.
    centred = np.concatenate([atoms.positions - atoms.positions.mean(0) for atoms in structures])
    positions = torch.tensor(centred, dtype=dtype)
    counts = torch.tensor([len(atoms) for atoms in structures])
    charge = torch.tensor([float(_charge(atoms)) for atoms in structures], dtype=dtype)
    periodic = np.array([atoms.pbc for atoms in structures])
    if not periodic.any():
        return AtomBatch(numbers, positions, counts, charge)
    if not periodic.all():
        raise StructureError("periodic in some directions only")
    cells = torch.tensor(np.array([atoms.cell.array for atoms in structures]), dtype=dtype)
    return PeriodicBatch(numbers, positions, counts, charge, cells=cells)
