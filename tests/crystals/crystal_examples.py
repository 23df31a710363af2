"""Crystals made without any of the code under test: ASE's tables of space groups and plain arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import cell_to_cellpar, cellpar_to_cell
from ase.neighborlist import neighbor_list
from ase.spacegroup import Spacegroup, crystal
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
DRY_ICE = crystal("CO", [(0, 0, 0), (0.118,) * 3], spacegroup=205, cellpar=[5.64] * 3 + [90] * 3)
UREA = crystal(
    "CONHH",
    [(0, 0.5, 0.328), (0, 0.5, 0.596), (0.146, 0.646, 0.177), (0.257, 0.757, 0.283), (0.144, 0.644, 0.962)],
    spacegroup=113,
    cellpar=[5.565, 5.565, 4.684, 90, 90, 90],
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
    """Largest difference (Å) between the surroundings of the atoms in two crystals, in both directions.

    The surroundings of an atom are its distances, below `cutoff`, to the atoms of each element. Independent
    of cell, origin, orientation and order; infinite if an element is missing.
    """
    one, other = _surroundings(a, cutoff), _surroundings(b, cutoff)
    if one.keys() != other.keys():
        return np.inf
    pairs = [(x, other[k]) for k, x in one.items()]
    return max(max(_farthest(x, y), _farthest(y, x)) for x, y in pairs)


def _surroundings(atoms: Atoms, cutoff: float) -> dict[int, list[np.ndarray]]:
    i, j, d = neighbor_list("ijd", atoms, cutoff)
    elements = np.unique(atoms.numbers)
    table: dict[int, list[np.ndarray]] = {}
    for k, number in enumerate(atoms.numbers):
        mine = i == k
        kinds = atoms.numbers[j[mine]]
        # Sorted by element, then distance; filled up so that a missing neighbour shows as one at the cutoff.
        row = [np.sort(np.append(d[mine][kinds == e], [cutoff] * 60))[:60] for e in elements]
        table.setdefault(int(number), []).append(np.concatenate(row))
    return table


def _farthest(rows: list[np.ndarray], others: list[np.ndarray]) -> float:
    return float(cKDTree(np.array(others)).query(np.array(rows), p=np.inf)[0].max())


def scrambled(atoms: Atoms, seed: int) -> Atoms:
    """The same crystal in another cell of its lattice, moved, turned, and with its atoms in another order."""
    rng = np.random.default_rng(seed)
    axes = np.eye(3, dtype=int)
    for _ in range(4):
        shear = np.eye(3, dtype=int)
        shear[tuple(rng.choice(3, 2, replace=False))] = rng.integers(-2, 3)
        axes = axes @ shear
    turn = Rotation.random(random_state=int(rng.integers(2**31))).as_matrix()
    positions = (atoms.positions + rng.uniform(-5, 5, 3)) @ turn
    moved = Atoms(atoms.numbers, positions, cell=axes @ atoms.cell.array @ turn, pbc=True)
    moved.wrap()
    return moved[rng.permutation(len(moved))]


def assert_same_description(a: Any, b: Any, tolerance: float = 1e-6) -> None:
    assert a.space_group == b.space_group
    np.testing.assert_allclose(a.parameters, b.parameters, atol=tolerance)
    for one, other in zip(a.molecules, b.molecules, strict=True):
        assert one.handedness == other.handedness
        ways = np.linalg.norm(one.positions[:, None] - other.positions, axis=-1)
        assert ways.min(1).max() < tolerance
        np.testing.assert_array_equal(one.numbers, other.numbers[ways.argmin(1)])


def pack(number, *molecules, seed=0):
    """Molecules far apart in a cell of a triclinic, monoclinic or orthorhombic group, all atoms inside it."""
    rng = np.random.default_rng(seed)
    angles = rng.uniform(80, 100, 3)
    angles[[0, 2]] = angles[[0, 2]] if number < 3 else 90
    angles[1] = angles[1] if number < 16 else 90
    lengths = rng.permutation([17.0, 19.0, 22.0]) + rng.uniform(size=3)
    atoms = Atoms(cell=np.concatenate([lengths, angles]), pbc=True)
    for i, one in enumerate(molecules):
        offsets = one.positions @ Rotation.random(random_state=seed + i).as_matrix()
        # An eighth of the axes away from the symmetry elements of these groups.
        centre = 0.125 + 0.02 * rng.uniform(size=3) + [0.25 * i, 0, 0]
        places = offsets @ np.linalg.inv(atoms.cell.array) + centre
        for rotation, translation in Spacegroup(number).get_symop():
            scaled = (places @ rotation.T + translation) % 1.0
            atoms += Atoms(one.numbers, scaled @ atoms.cell.array)
    return atoms


def write_cif(path, atoms, number, sites):
    """A P2_1/c-like CIF that lists some of the atoms and the operations that give the others."""
    cell = cell_to_cellpar(atoms.cell)
    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_x", *(f"_cell_{tag} {value:.8f}" for tag, value in zip(tags, cell, strict=True))]
    lines += ["loop_", "_symmetry_equiv_pos_as_xyz"]
    for rotation, translation in Spacegroup(number).get_symop():
        rows = ["".join(f"{n:+d}*{x}" for n, x in zip(row, "xyz", strict=True) if n) for row in rotation]
        texts = [f"{t}{row}" for t, row in zip(translation, rows, strict=True)]
        lines.append(f"'{', '.join(texts).replace('1*', '')}'")
    lines += ["loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{axis}" for axis in "xyz"]
    for k, (atom, place) in enumerate(zip(atoms[sites], atoms.get_scaled_positions()[sites], strict=True)):
        lines.append(f"{atom.symbol}{k} {atom.symbol} {' '.join(f'{x:.8f}' for x in place)}")
    path.write_text("\n".join(lines) + "\n")
    return path
