"""What `CrystalFeaturizer` writes of cell, poses and molecules, with one or several independent molecules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skmol3d.crystals import MolecularCrystal, RigidMolecule  # with its module comes spglib, an extra

Floats = NDArray[np.float64]

BASELINES = {"none": (), "volume": ("volume",), "inertia": ("inertia_x", "inertia_y", "inertia_z")}
"""Descriptions of the molecule that the paper compares with, and their columns."""

MEANS = np.array([1.2037] * 3 + [1.5656, 1.5728, 1.5579] + [0.5] * 3 + [0.0, 0.0, np.pi / 2])
SCALES = np.array([0.6088] * 3 + [0.2339, 0.2075, 0.2598] + [0.289] * 3 + [2.08, 2.08, 1.38])
"""Of the parameters, lengths in molecular radii: the constants in the code of the paper's authors."""

POSES = slice(6, 12)
"""The parameters that differ between the molecules of a crystal."""

SEVERAL = (
    *("spread_u", "spread_v", "spread_w", "spread_theta_x", "spread_theta_y", "spread_theta_z"),
    *("molecules", "z_prime", "spacing", "neighbours", "distance", "alignment", "others"),
)
"""Columns after the twelve parameters; `CrystalFeaturizer` says what they are."""

GROUP = (
    *("group_operations", "group_centring", "group_inversion", "group_rotation", "group_screw"),
    *("group_mirror", "group_glide", "group_higher"),
)
"""The last columns: `skmol3d.crystals.symmetry.operation_kinds`."""

SAME = 1e-3
"""Å; coordinates that differ by less are equal when atoms are put in order."""


class Described(NamedTuple):
    """A crystal as far as it needs no embedding.

    Attributes
    ----------
    molecules : tuple of RigidMolecule, length M
        The independent ones.
    weights : ndarray, shape [M]
        Share of each among the molecules of the cell.
    columns : ndarray, shape [33]
        Standardised parameters, `SEVERAL` and `GROUP`.
    """

    molecules: tuple[RigidMolecule, ...]
    weights: Floats
    columns: Floats


def read_crystals(values: list[object], symprec: float) -> list[Described | str]:
    """Describe crystals, or say why that cannot be."""
    from skmol3d.crystals import CrystalError, MolecularCrystal

    results: list[Described | str] = []
    for value in values:
        try:
            crystal = value if isinstance(value, MolecularCrystal) else MolecularCrystal.read(value, symprec)
            results.append(describe(crystal))
        except CrystalError as error:
            results.append(str(error))
    return results


def describe(crystal: MolecularCrystal) -> Described:
    """Pool cell and poses over the molecules of a crystal, by the formulas of `CrystalFeaturizer`.

    Raises
    ------
    CrystalError
        If its molecules are single atoms, or its cell is flat.
    """
    from skmol3d.crystals import CrystalError
    from skmol3d.crystals.surroundings import surroundings
    from skmol3d.crystals.symmetry import operation_kinds

    radius = max(np.linalg.norm(molecule.positions, axis=1).max() for molecule in crystal.molecules)
    if all(len(molecule.numbers) == 1 for molecule in crystal.molecules):
        raise CrystalError("its molecules are single atoms, which have no radius")
    counts = np.array([len(copies) for copies in crystal.copies])
    weights = counts / counts.sum()
    parameters = crystal.parameters.copy()
    parameters[:, :3] /= radius
    standard = (parameters - MEANS) / SCALES
    mean = weights @ standard
    spread = np.sqrt(weights @ (standard[:, POSES] - mean[POSES]) ** 2)
    around = surroundings(crystal)
    more = [len(counts), crystal.z_prime, around.spacing / radius, *around[1:]]
    kinds = operation_kinds(crystal.space_group)
    return Described(crystal.molecules, weights, np.concatenate([mean, spread, more, kinds]))


def as_atoms(molecule: RigidMolecule) -> Any:
    """The molecule in its standard orientation, with the atoms ordered by element, then by place."""
    from ase import Atoms

    # Featurizers may break a molecule's symmetry by the order of its atoms.
    keys = []
    for column in molecule.positions.T:
        order = np.argsort(column)
        ranks = np.empty(len(column), int)
        ranks[order] = np.cumsum(np.diff(column[order], prepend=column[order[0]]) > SAME)
        keys.append(ranks)
    order = np.lexsort([*keys[::-1], molecule.numbers])
    return Atoms(molecule.numbers[order], molecule.positions[order])


def formula(molecule: RigidMolecule) -> str:
    """Formula of a molecule, for messages."""
    from ase import Atoms

    return Atoms(molecule.numbers).get_chemical_formula()


def baselines(name: str, molecules: list[RigidMolecule]) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Rows [n, columns] of one of the `BASELINES`, and the reasons of those that are NaN."""
    from skmol3d.crystals import CrystalError
    from skmol3d.crystals.pose import orienting_points

    rows = np.full((len(molecules), len(BASELINES[name])), np.nan, np.float32)
    reasons: dict[int, str] = {}
    for i, molecule in enumerate(molecules):
        if name == "inertia":
            squares = (orienting_points(molecule.numbers, molecule.positions) ** 2).sum(0)
            rows[i] = (squares.sum() - squares) * [molecule.handedness, 1, 1]
        elif name == "volume":
            from skmol3d.crystals.energies import pad_molecules
            from skmol3d.crystals.synthesis import molecular_volumes

            try:
                rows[i] = molecular_volumes(*pad_molecules([(molecule.numbers, molecule.positions)])).item()
            except CrystalError as error:
                reasons[i] = str(error)
    return rows, reasons
