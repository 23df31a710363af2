"""Conformers of extxyz and SD files as a `PackedSet`, for training on data of one's own.

Positions stay in single precision: reference forces belong to the geometry as it was computed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skmol3d.structures import Molecule, Record, StructureError, read_molecule, read_records
from skmol3d.trainer.data.sets import PackedSet, Row, stack

PER_ATOM = ("forces", "charges")
PER_CONFORMER = ("energy", "dipole")
FEW = 10  # molecules of a trajectory
SHOWN = 10  # broken records that an error message lists


def read_extxyz(path: Path | str, group_by: str = "molecule") -> PackedSet:
    """Read single molecules with reference values from an extended XYZ file.

    Parameters
    ----------
    path : path
        ``.xyz`` or ``.extxyz``, also ``.gz``. Per frame, what ASE knows as ``energy`` (eV), ``forces``
        (eV/Å), ``charges`` (e) and ``dipole`` (e·Å) become targets; each is in all frames or in none. The
        total charge is ``charge`` of the comment line, or else the rounded sum of the initial charges.
    group_by : {"molecule", "frame"}, default="molecule"
        What `PackedSet.split` keeps together: frames with the same elements in the same order and the same
        total charge, or single frames (for a file with one molecule).

    Returns
    -------
    PackedSet
        Positions are centred, atoms in the file's order, bonds guessed from the distances.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        Names the frames, counted from 0, that cannot be read or lack a value that others have.
    """
    if group_by not in ("molecule", "frame"):
        raise ValueError(f"group_by must be 'molecule' or 'frame', got {group_by!r}")
    path = Path(path)
    rows = _Rows(path, "frame")
    expected: set[str] | None = None
    groups: dict[Any, int] = {}
    for record in read_records(path):
        k = record.index
        try:
            molecule = read_molecule(record.structure)
            targets = _reference_values(record.structure, len(molecule.numbers))
            expected = set(targets) if expected is None else expected
            if targets.keys() != expected:
                wrong = ", ".join(sorted(targets.keys() ^ expected))
                raise StructureError(f"{wrong} in some frames only")
            same = k if group_by == "frame" else (molecule.numbers.tobytes(), molecule.charge)
            rows.add(molecule, groups.setdefault(same, len(groups)), targets)
        except StructureError as error:
            rows.fail(k, error)
    return rows.stacked()


def read_trajectory(path: Path) -> PackedSet:
    """Read an extended XYZ file, grouped by frame if it has fewer than `FEW` molecules."""
    data = read_extxyz(path)
    if len(np.unique(data.group)) < FEW:
        data.group = np.arange(len(data))
    return data


def read_sdf(path: Path | str, targets: Sequence[str] = ()) -> PackedSet:
    """Read conformers, and numbers among their properties, from an SD file.

    Parameters
    ----------
    path : path
        ``.sdf``, also ``.gz``. Records with the same canonical isomeric SMILES (as their geometry has it) are
        conformers of one molecule, wherever they stand: `PackedSet.split` keeps them together. A salt is
        reduced to its largest organic fragment, and missing hydrogens are added.
    targets : sequence of str
        Properties that every record has as a number; they become molecule targets of these names.

    Returns
    -------
    PackedSet
        Positions are centred, atoms in `read_molecule`'s order, with bonds.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        Names the records, counted from 0, that cannot be read, have no 3D coordinates or lack a property.
    """
    path = Path(path)
    rows = _Rows(path, "record")
    groups: dict[str | None, int] = {}
    for record in read_records(path):
        try:
            molecule = read_molecule(record.structure)
            if molecule.coordinates is None:
                raise StructureError("no 3D coordinates")
            values = {name: _property(record, name) for name in targets}
            rows.add(molecule, groups.setdefault(molecule.smiles, len(groups)), values)
        except StructureError as error:
            rows.fail(record.index, error)
    return rows.stacked()


def _property(record: Record, name: str) -> float:
    if name not in record.columns:
        raise StructureError(f"no property {name!r}")
    try:
        value = float(record.columns[name])
    except ValueError as error:
        raise StructureError(f"property {name!r} is no number: {record.columns[name]!r}") from error
    if not math.isfinite(value):
        raise StructureError(f"property {name!r} is {value}")
    return value


def _reference_values(atoms: Any, count: int) -> dict[str, np.ndarray]:
    results = {} if atoms.calc is None else atoms.calc.results
    values = {name: np.asarray(results[name]) for name in (*PER_ATOM, *PER_CONFORMER) if name in results}
    shapes = {"forces": (count, 3), "charges": (count,), "energy": (), "dipole": (3,)}
    for name, value in values.items():
        if value.shape != shapes[name] or value.dtype.kind not in "iuf":
            raise StructureError(
                f"{name} has {value.dtype} of shape {value.shape}, not {shapes[name]} numbers"
            )
        if not np.isfinite(value).all():
            raise StructureError(f"{name}: NaN or infinity")
        # Total energies differ in digits that single precision does not have.
        values[name] = value.astype(np.float64 if name == "energy" else np.float32)
    return values


class _Rows:
    """Collects the records of a file, and the reasons of those that cannot be used."""

    def __init__(self, path: Path, what: str) -> None:
        self.path, self.what = path, what
        self.rows: list[Row] = []
        self.failed: list[str] = []

    def add(self, molecule: Molecule, group: int, targets: dict[str, Any]) -> None:
        assert molecule.coordinates is not None  # the readers see to it
        for positions in molecule.coordinates:
            self.rows.append(
                Row(
                    numbers=molecule.numbers,
                    positions=(positions - positions.mean(axis=0)).astype(np.float32),
                    charge=molecule.charge,
                    group=group,
                    atom_targets={k: v for k, v in targets.items() if k in PER_ATOM},
                    molecule_targets={k: v for k, v in targets.items() if k not in PER_ATOM},
                    bonds=molecule.bonds,
                )
            )

    def fail(self, k: int, error: StructureError) -> None:
        self.failed.append(f"{self.what} {k}: {error}")

    def stacked(self) -> PackedSet:
        if self.failed:
            rest = [f"... and {len(self.failed) - SHOWN} more"] if len(self.failed) > SHOWN else []
            raise ValueError(f"{self.path}: " + "\n".join(self.failed[:SHOWN] + rest))
        if not self.rows:
            raise ValueError(f"{self.path}: no {self.what}s")
        return stack(self.rows)
