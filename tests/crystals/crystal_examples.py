"""Crystals made without any of the code under test: ASE's tables of space groups and plain arithmetic."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import cellpar_to_cell
from ase.neighborlist import neighbor_list
from ase.spacegroup import Spacegroup
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

# Bromochlorofluoromethane: chiral, and no two of its axes are alike.
CHIRAL = Atoms(
    "CHFClBr",
    [
        (0.0, 0.0, 0.0),
        (0.62, 0.62, 0.65),
        (-0.78, -0.79, 0.77),
        (-1.02, 1.01, -1.03),
        (1.12, -1.11, -1.13),
    ],
)


def random_cell(number: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """Cell vectors of the crystal system, about `size` Å long."""
    a, b, c = size * rng.uniform(0.85, 1.2, 3)
    alpha, beta, gamma = rng.uniform(75, 105, 3)
    if number > 2:
        alpha, gamma = 90, 90
    if number > 15:
        beta = 90
    if number > 74:
        b = a
    if 142 < number < 195:
        gamma = 120
    if number > 194:
        c = a
    return cellpar_to_cell([a, b, c, alpha, beta, gamma])


def random_crystal(number: int, seed: int, molecules: tuple[Atoms, ...] = (CHIRAL,)) -> Atoms:
    """Put molecules at random places of a random cell, so that copies do not come close, in random order.

    Molecules are not whole: every atom stands in the cell.
    """
    rng = np.random.default_rng(seed)
    operations = Spacegroup(number).get_symop()
    size = (len(operations) * len(molecules)) ** (1 / 3) * 5.5
    while True:
        cell = random_cell(number, size, rng)
        numbers, places = [], []
        for molecule in molecules:
            offsets = molecule.positions @ Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
            fractions = offsets @ np.linalg.inv(cell) + rng.uniform(size=3)
            for rotation, translation in operations:
                numbers += list(molecule.numbers)
                places += list(fractions @ rotation.T + translation)
        atoms = Atoms(numbers, cell=cell, scaled_positions=np.array(places) % 1.0, pbc=True)
        within = sum(len(neighbor_list("i", molecule, 3.0)) for molecule in molecules)
        if len(neighbor_list("i", atoms, 3.0)) == within * len(operations):
            return atoms[rng.permutation(len(atoms))]
        size *= 1.02


def same_crystal(a: Atoms, b: Atoms, cutoff: float = 7.0) -> float:
    """Largest difference (Å) of the distances in two crystals, each from one kind of element to another.

    Independent of cell, origin, orientation and order: for each pair of elements, the distances below
    `cutoff` around an atom, sorted, and the atoms sorted by them. Infinite for other numbers of atoms.
    """
    largest = 0.0
    tables = [_distances(atoms, cutoff) for atoms in (a, b)]
    if tables[0].keys() != tables[1].keys():
        return np.inf
    for key, one in tables[0].items():
        other = tables[1][key]
        # Supercells list every atom several times: compare each with the nearest of the other crystal.
        width = min(one.shape[1], other.shape[1])
        for x, y in ((one[:, :width], other[:, :width]), (other[:, :width], one[:, :width])):
            largest = max(largest, cKDTree(x).query(y, p=np.inf)[0].max())
    return largest


def _distances(atoms: Atoms, cutoff: float) -> dict[tuple[int, int], np.ndarray]:
    i, j, d = neighbor_list("ijd", atoms, cutoff)
    table = {}
    for one in np.unique(atoms.numbers):
        for other in np.unique(atoms.numbers):
            rows = [
                np.sort(d[(i == k) & (atoms.numbers[j] == other)])
                for k in np.flatnonzero(atoms.numbers == one)
            ]
            # Distances within 0.01 Å of the cutoff may be on either side of it.
            shortest = min((row < cutoff - 0.01).sum() for row in rows)
            table[int(one), int(other)] = np.array([row[:shortest] for row in rows])
    return table
