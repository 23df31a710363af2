"""Molecular crystals: a molecule, twelve numbers and a space group, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import cell_to_cellpar, cellpar_to_cell
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from skmol3d.crystals.asymmetric import AsymmetricUnit, asymmetric_unit
from skmol3d.crystals.canonical import Placement, describe
from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.pose import principal_frames, rotation_matrix
from skmol3d.crystals.reading import read_periodic
from skmol3d.crystals.symmetry import space_group

Floats = NDArray[np.float64]

PARAMETERS = ("a", "b", "c", "alpha", "beta", "gamma", "u", "v", "w", "theta_x", "theta_y", "theta_z")
"""The columns of `MolecularCrystal.parameters`."""

SAME = 0.05
"""Å; symmetry copies of a molecule this close are one molecule on a symmetry element."""


@dataclass(frozen=True, slots=True, eq=False)
class RigidMolecule:
    """One symmetry-independent molecule in its standard orientation.

    Attributes
    ----------
    numbers : ndarray of int, shape [N]
        Atomic numbers; the order of the atoms means nothing.
    positions : ndarray of float, shape [N, 3]
        Å, relative to the centroid of all atoms: principal axes along (±x, y, z), see `principal_frames`.
    handedness : int
        1, or -1 where the signed principal axes are left-handed (the first then points along -x). The mirror
        image of a chiral molecule has the opposite handedness and the mirrored (-x, y, z) positions.
    """

    numbers: NDArray[np.int64]
    positions: Floats
    handedness: int


@dataclass(frozen=True, eq=False)
class MolecularCrystal:
    """A crystal of rigid molecules in its canonical description.

    The description does not depend on the cell in which the crystal was given, its origin and orientation,
    the order of the atoms, or which of the symmetry copies were listed. Its parameters refer to the
    conventional cell of the space group's standard setting with the shortest axes: for triclinic crystals,
    the Niggli cell.

    Special cases are described by these rules:

    - **Z' < 1** (molecules on symmetry elements): the whole molecule is kept, and copies that coincide count
      as one.
    - **Z' > 1 and several components** (co-crystals, hydrates, salts): one row of parameters for each
      symmetry-independent molecule; the cell is the same in all of them. Ions are molecules like others.
    - **Symmetric tops**, linear molecules and single atoms have no unique standard orientation: of the
      equivalent ones that with the shortest rotation vector is taken. Linear molecules turn by the shortest
      rotation, single atoms by none.
    - Networks of bonds without end (polymers, ionic crystals with short contacts), partially occupied sites
      and overlapping atoms are a `CrystalError`.

    Attributes
    ----------
    space_group : int
        Number in the International Tables, 1 to 230.
    parameters : ndarray of float, shape [M, 12]
        For each independent molecule the lengths a, b, c (Å) and angles alpha, beta, gamma (rad) of the cell,
        the fractional coordinates u, v, w of the centroid, and the rotation vector (rad) from the standard
        orientation to the pose, with a along x and b in the xy plane.
    molecules : tuple of RigidMolecule, length M
        The independent molecules, smaller ones first.
    deviation : float
        Å; the largest distance between an atom of the input and its place in this description, zero if there
        was no input. It is the input's own departure from its space group.

    References
    ----------
    M. Kilgour et al., arXiv:2405.13791, appendix F.

    Examples
    --------
    >>> from ase.spacegroup import crystal
    >>> from skmol3d.crystals import MolecularCrystal
    >>> atoms = crystal("CO", [(0, 0, 0), (0.118,) * 3], spacegroup=205, cellpar=[5.64] * 3 + [90] * 3)
    >>> dry_ice = MolecularCrystal.read(atoms)
    >>> dry_ice.symbol, dry_ice.z, len(dry_ice.molecules)
    ('Pa-3', 4, 1)
    """

    space_group: int
    parameters: Floats
    molecules: tuple[RigidMolecule, ...]
    deviation: float = 0.0

    @classmethod
    def read(cls, value: object, symprec: float = 0.01) -> MolecularCrystal:
        """Describe a crystal.

        Parameters
        ----------
        value : ase.Atoms, pymatgen Structure, str or path
            A path names a .cif, .extxyz or .xyz file with exactly one crystal (see `iter_crystals` for more).
        symprec : float, default=0.01
            Å by which atoms may miss their symmetric places. Loosely relaxed crystals need 0.1 to be
            recognised as symmetric; the description's positions are the symmetric ones.

        Raises
        ------
        CrystalError
            With the reason: unreadable, disordered, or no finite molecules.
        """
        atoms = read_periodic(value)
        crystal = _canonical(asymmetric_unit(atoms, symprec))
        built = crystal.to_atoms()
        expected = len(atoms) * built.cell.volume / atoms.cell.volume
        if crystal.deviation > 10 * symprec or abs(len(built) - expected) > 0.5:
            raise CrystalError(
                f"space group {crystal.symbol}, found at symprec={symprec:g}, does not reproduce the crystal;"
                " try a smaller symprec"
            )
        return crystal

    @classmethod
    def from_molecules(
        cls, molecules: Sequence[tuple[Any, Any]], cell: Any, number: int = 1
    ) -> MolecularCrystal:
        """Describe independent molecules in a cell of a space group, whatever their contacts.

        Parameters
        ----------
        molecules : sequence of (numbers [n], positions [n, 3] in Å)
            Whole; one row of parameters for each.
        cell : array_like, shape [3, 3]
            Right-handed cell vectors as rows, Å, of the group's standard setting. Where they lack its
            symmetry, they are averaged over it.
        number : int, default=1
            Of the space group. Nothing looks whether the crystal has a higher symmetry.
        """
        cell = np.asarray(cell, float)
        numbers = [np.asarray(n, np.int64) for n, _ in molecules]
        places = [np.asarray(positions, float) @ np.linalg.inv(cell) for _, positions in molecules]
        group = space_group(number)
        turned = group.rotations.transpose(0, 2, 1) @ cell @ cell.T @ group.rotations
        atoms = np.concatenate(numbers), np.concatenate(places)
        return _canonical(AsymmetricUnit(group, turned.mean(0), numbers, places, *atoms))

    @property
    def symbol(self) -> str:
        """Hermann–Mauguin symbol of the space group's standard setting."""
        return space_group(self.space_group).symbol

    @property
    def cell(self) -> Floats:
        """Cell vectors as rows [3, 3], Å."""
        lengths, angles = self.parameters[0, :3], self.parameters[0, 3:6]
        return cellpar_to_cell(np.concatenate([lengths, np.degrees(angles)]))

    @property
    def z(self) -> int:
        """Molecules in the conventional cell."""
        return sum(map(len, self.copies))

    @property
    def z_prime(self) -> float:
        """Molecules in the asymmetric unit: below one if they lie on symmetry elements."""
        return self.z / len(space_group(self.space_group).rotations)

    def posed(self, i: int = 0) -> Floats:
        """Positions [N, 3] (Å) of independent molecule `i` as it stands in the crystal."""
        parameters = self.parameters[i]
        turned = self.molecules[i].positions @ rotation_matrix(parameters[9:]).T
        return turned + parameters[6:9] @ self.cell

    @cached_property
    def copies(self) -> list[list[Floats]]:
        """Positions [N, 3] (Å) of the molecules in the cell: for each independent one, all its copies."""
        return [self._orbit(i) for i in range(len(self.molecules))]

    def to_atoms(self) -> Atoms:
        """Build the crystal: all atoms of the conventional cell, molecule by molecule and whole."""
        numbers = [m.numbers for m, copies in zip(self.molecules, self.copies, strict=True) for _ in copies]
        positions = [positions for copies in self.copies for positions in copies]
        return Atoms(np.concatenate(numbers), np.concatenate(positions), cell=self.cell, pbc=True)

    def _orbit(self, i: int) -> list[Floats]:
        group, cell, centroid = space_group(self.space_group), self.cell, self.parameters[i, 6:9]
        offsets = self.posed(i) @ np.linalg.inv(cell) - centroid
        places = group.rotations @ centroid + group.translations
        places -= np.floor(places + 1e-9)
        positions = (places[:, None] + offsets @ group.rotations.transpose(0, 2, 1)) @ cell
        kept: list[int] = []
        for k, place in enumerate(places):
            lattice = np.round(places[kept] - place)
            near = np.linalg.norm((places[kept] - place - lattice) @ cell, axis=1) < SAME
            for other, way in zip(np.array(kept)[near], lattice[near] @ cell, strict=True):
                if cKDTree(positions[other]).query(positions[k] + way)[0].max() < SAME:
                    break
            else:
                kept.append(k)
        return list(positions[kept])


def _canonical(unit: AsymmetricUnit) -> MolecularCrystal:
    cell = cellpar_to_cell(cell_to_cellpar(np.linalg.cholesky(unit.metric)))
    compositions = [(len(n), tuple(sorted(n))) for n in unit.numbers]
    ranks = sorted(set(compositions))
    placements = []
    for composition, numbers, places in zip(compositions, unit.numbers, unit.molecules, strict=True):
        centroid = places.mean(0)
        frames = principal_frames(numbers, (places - centroid) @ cell)
        placements.append(Placement(ranks.index(composition), centroid, frames))

    chosen = describe(unit.group, unit.metric, placements)
    new_cell = cellpar_to_cell(chosen.cellpar)
    cellpar = np.concatenate([chosen.cellpar[:3], np.radians(chosen.cellpar[3:])])
    parameters, molecules = [], []
    for choice in chosen.choices:
        places = unit.molecules[choice.molecule]
        posed = (places - places.mean(0)) @ choice.turn.T @ new_cell
        rigid = RigidMolecule(unit.numbers[choice.molecule], posed @ choice.rotation, choice.handedness)
        molecules.append(rigid)
        parameters.append(np.concatenate([cellpar, choice.centroid, choice.rotation_vector]))
    crystal = MolecularCrystal(unit.group.number, np.array(parameters), tuple(molecules))
    places = (unit.all_places - chosen.origin) @ chosen.axes.T
    return replace(crystal, deviation=_deviation(crystal, unit.all_numbers, places))


def _deviation(crystal: MolecularCrystal, numbers: NDArray[np.int64], places: Floats) -> float:
    """Largest distance (Å) of atoms at fractional `places` from the nearest ones of the built crystal."""
    atoms = crystal.to_atoms()
    lengths = np.linalg.norm(crystal.cell, axis=1)
    built = atoms.get_scaled_positions() % 1.0
    largest = 0.0
    for number in np.unique(numbers):
        tree = cKDTree(built[atoms.numbers == number] * lengths, boxsize=lengths)
        mine = places[numbers == number] % 1.0 % 1.0
        ways = tree.data[tree.query(mine * lengths)[1]] / lengths - mine
        largest = max(largest, np.linalg.norm((ways - np.round(ways)) @ crystal.cell, axis=1).max())
    return float(largest)
