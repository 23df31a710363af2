"""The space group of a crystal, and its symmetry-independent molecules in the standard setting."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import spglib
from ase import Atoms
from ase.neighborlist import neighbor_list
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.molecules import whole_molecules
from skmol3d.crystals.symmetry import SpaceGroup, quiet_spglib, space_group

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class AsymmetricUnit:
    """What is left of a crystal when its space group is taken out.

    Attributes
    ----------
    group : SpaceGroup
        In its standard setting.
    metric : ndarray, shape [3, 3]
        Dot products of the standard axes (Å²), with the symmetry of the group.
    numbers : list of ndarray of int [n]
        Atomic numbers of each independent molecule.
    molecules : list of ndarray [n, 3]
        Their fractional coordinates, whole; averages over all copies in the cell.
    all_numbers, all_places : ndarray [N], [N, 3]
        Atomic numbers and fractional coordinates, in the standard setting, of all atoms as they were given.
    """

    group: SpaceGroup
    metric: Floats
    numbers: list[NDArray[np.int64]]
    molecules: list[Floats]
    all_numbers: NDArray[np.int64]
    all_places: Floats


def asymmetric_unit(atoms: Atoms, symprec: float) -> AsymmetricUnit:
    """Find the independent molecules of a periodic structure; `symprec` in Å.

    Raises
    ------
    CrystalError
        If there are no finite molecules, or spglib finds no space group that holds.
    """
    found = whole_molecules(atoms)
    cell = atoms.cell.array
    order = _fixed_order(atoms)
    with quiet_spglib():
        data = spglib.get_symmetry_dataset(
            (cell, atoms.get_scaled_positions()[order], atoms.numbers[order]), symprec
        )
    if data is None:
        raise CrystalError(f"spglib finds no space group at symprec={symprec:g}")
    group = space_group(data.number)

    # Fractional coordinates x (columns) are transformation_matrix @ x + origin_shift in the standard setting.
    axes = np.linalg.inv(data.transformation_matrix).T @ cell
    turned = group.rotations.transpose(0, 2, 1) @ axes @ axes.T @ group.rotations
    to_standard = np.linalg.inv(axes)
    places = atoms.positions @ to_standard + data.origin_shift
    orbit_of = data.crystallographic_orbits[np.argsort(order)]
    orbits = [min(orbit_of[index]) for index, _ in found]
    independent = [found[orbits.index(orbit)] for orbit in sorted(set(orbits))]
    numbers = [atoms.numbers[index] for index, _ in independent]
    molecules = [whole @ to_standard + data.origin_shift for _, whole in independent]

    lengths = np.linalg.norm(axes, axis=1)
    lattice = data.transformation_matrix.T  # the given axes in the standard setting
    origin = _Matcher(group, lengths, lattice, atoms.numbers, places).origin(numbers, molecules)
    matcher = _Matcher(group, lengths, lattice, atoms.numbers, places - origin)
    averages = [matcher.average(n, m - origin) for n, m in zip(numbers, molecules, strict=True)]
    return AsymmetricUnit(group, turned.mean(0), numbers, averages, atoms.numbers, places - origin)


def _fixed_order(atoms: Atoms) -> NDArray[np.intp]:
    """Order of the atoms by their surroundings.

    Which of the symmetries that hold within its tolerance spglib finds depends on the first atoms.
    """
    i, j, distances = neighbor_list("ijd", atoms, 5.0)
    around = np.bincount(i, atoms.numbers[j] * (5.0 - distances) ** 2, minlength=len(atoms))
    return np.lexsort([around, atoms.numbers])


class _Matcher:
    """Finds the atoms of a crystal nearest to the symmetry images of some of them."""

    def __init__(
        self,
        group: SpaceGroup,
        lengths: Floats,
        lattice: Floats,
        numbers: NDArray[np.int64],
        places: Floats,
    ) -> None:
        self.group = group
        self.lengths = lengths
        centring = group.translations[(group.rotations == np.eye(3)).all((1, 2))]
        # A primitive cell was given without the copies in the centred one; a centred one has them, and where
        # they are not quite alike each stands for itself.
        steps = centring @ np.linalg.inv(lattice)
        centring = centring[np.abs(steps - np.round(steps)).max(1) < 1e-3]
        # How many atoms of a larger cell fall upon each other in the standard one.
        self.copies = round(np.linalg.det(lattice) * len(centring))
        self.trees = {}
        for number in np.unique(numbers):
            # In Å along the axes: for atoms this near to each other the angles make no difference.
            copies = (places[numbers == number] + centring[:, None]).reshape(-1, 3) % 1.0 % 1.0
            self.trees[number] = cKDTree(copies * lengths, boxsize=lengths)

    def displacements(self, numbers: NDArray[np.int64], molecule: Floats) -> Iterator[tuple[Floats, Floats]]:
        """Yield each rotation, and the way [n, 3] from the molecule's images to the atoms in their place."""
        for rotation, translation in zip(self.group.rotations, self.group.translations, strict=True):
            images = (molecule @ rotation.T + translation) % 1.0 % 1.0
            ways = np.empty_like(images)
            for number in np.unique(numbers):
                tree, mine = self.trees[number], numbers == number
                _, nearest = tree.query(images[mine] * self.lengths, k=range(1, self.copies + 1))
                each = tree.data[nearest] / self.lengths - images[mine][:, None]
                ways[mine] = (each - np.round(each)).mean(1)
            yield rotation, ways

    def origin(self, numbers: list[NDArray[np.int64]], molecules: list[Floats]) -> Floats:
        """Where the origin is best put: spglib's may miss the symmetry elements by its tolerance."""
        found = [pair for n, m in zip(numbers, molecules, strict=True) for pair in self.displacements(n, m)]
        moves = np.concatenate([rotation - np.eye(3) for rotation, _ in found])
        missing = np.concatenate([ways.mean(0) for _, ways in found])
        return np.linalg.lstsq(moves, -missing, rcond=1e-8)[0]

    def average(self, numbers: NDArray[np.int64], molecule: Floats) -> Floats:
        """The mean of the molecule and all its copies, brought back to its place."""
        found = self.displacements(numbers, molecule)
        return molecule + np.mean([ways @ np.linalg.inv(rotation).T for rotation, ways in found], axis=0)
