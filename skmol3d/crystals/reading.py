"""Crystals from CIF and extxyz files, ASE and pymatgen, as periodic ASE atoms."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from skmol3d.crystals.cif import MAX_ATOMS, MAX_LENGTH, OCCUPIED, read_cif
from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.hydrogens import LABELS
from skmol3d.crystals.molecules import ONE_COMPONENT
from skmol3d.structures.errors import StructureError, shorten
from skmol3d.structures.molecule import is_atoms
from skmol3d.structures.reading import file_suffix, read_records

FORMATS = ("cif", "extxyz", "xyz")
SUFFIXES = ", ".join(f".{name}" for name in FORMATS)

SHORTEST_PERIOD = 1.0
"""Å of a lattice vector."""

ROOM = 1.0, 20_000.0
"""Least and most Å³ per atom. Crystals of molecules have 5 to 30; a search for neighbours takes memory that
grows with the volume."""


def read_periodic(value: object) -> Atoms:
    """Read one crystal as periodic atoms.

    Parameters
    ----------
    value : ase.Atoms, pymatgen Structure, str or path
        A path names a .cif, .extxyz or .xyz file with exactly one crystal.

    Returns
    -------
    ase.Atoms
        A copy, with a right-handed cell and three periodic directions.

    Raises
    ------
    CrystalError
        If it cannot be read, is not periodic in three dimensions, or has sites that are not fully occupied.
    """
    if isinstance(value, StructureError):  # an unreadable record that `iter_crystals` passed on
        raise CrystalError(str(value))
    if isinstance(value, str | os.PathLike):
        try:
            records = list(iter_crystals(value))
        except OSError as error:
            raise CrystalError(f"cannot read {str(value)[:200]}: {error.strerror or error}") from error
        if len(records) != 1:
            raise CrystalError(f"{os.fspath(value)} holds {len(records)} crystals; expected one")
        return read_periodic(records[0])
    if is_atoms(value):
        return _checked(value)
    if hasattr(value, "lattice") and hasattr(value, "frac_coords"):  # pymatgen, which need not be there
        return _checked(_from_pymatgen(value))
    raise CrystalError(
        f"cannot read a {type(value).__name__}; expected ASE Atoms, a pymatgen Structure, or a path ending"
        f" in {SUFFIXES}"
    )


def iter_crystals(path: str | os.PathLike[str]) -> Iterator[object]:
    """Yield the crystals of a file as inputs for `read_periodic`.

    Parameters
    ----------
    path : path
        A .cif, .extxyz or .xyz file, possibly compressed (.gz).

    Yields
    ------
    ase.Atoms or StructureError
        A record that cannot be read is yielded as its error; the others follow. Of a file without a crystal
        comes the error alone.

    Raises
    ------
    CrystalError
        If the name has another suffix, or is no name.
    OSError
        If the file cannot be opened. Both are raised by this call.
    """
    suffix = _checked_suffix(os.fspath(path))
    try:
        Path(path).open("rb").close()
    except ValueError as error:  # of characters that no path has
        raise CrystalError(f"{shorten(os.fspath(path))} is no path: {error}") from error
    return _records(Path(path), suffix)


def _checked_suffix(path: str) -> str:
    if "\n" in path or "\r" in path:
        what = "the text of a CIF" if "data_" in path.lower() else "a text of several lines"
        raise CrystalError(f"this is {what}, not a path: write it to a file, and give the file's name")
    suffix = file_suffix(path)
    if suffix in FORMATS:
        return suffix
    if os.path.isdir(path):
        raise CrystalError(f"{path} is a folder; give its files ({SUFFIXES}) as a list")
    raise CrystalError(f"{path[:200]}: unknown file type; expected {SUFFIXES}")


def _records(path: Path, suffix: str) -> Iterator[object]:
    empty = True
    try:
        if suffix == "cif":
            yield from read_cif(path)
            return
        for record in read_records(path, format="extxyz", max_atoms=MAX_ATOMS):
            empty = False
            yield record.structure
        if empty:
            raise CrystalError("it is empty")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        yield CrystalError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")


def _from_pymatgen(structure: Any) -> Atoms:
    if not structure.is_ordered:
        raise CrystalError(_disorder(sum(not site.is_ordered for site in structure)))
    numbers = [site.specie.Z for site in structure]
    return Atoms(numbers, cell=structure.lattice.matrix, scaled_positions=structure.frac_coords, pbc=True)


def _checked(atoms: Any) -> Atoms:
    if len(atoms) == 0:
        raise CrystalError("no atoms")
    if not all(atoms.pbc) or atoms.cell.rank < 3:
        raise CrystalError("not periodic in three dimensions")
    if not np.isfinite(atoms.positions).all():
        raise CrystalError("coordinates that are not finite")
    if not ((atoms.numbers > 0) & (atoms.numbers < 119)).all():
        raise CrystalError("sites that are no element")
    occupancy = atoms.info.get("occupancy", {})  # of ASE's CIF reader; a number for all is of somebody else's
    sites = occupancy.values() if isinstance(occupancy, dict) else [{"": occupancy}] * len(atoms)
    shares = [max(kind.values()) for kind in sites if isinstance(kind, dict)]
    if any(share < OCCUPIED for share in shares):
        raise CrystalError(_disorder(sum(share < OCCUPIED for share in shares)))
    checked = Atoms(atoms.numbers, atoms.positions, cell=_compact(atoms.cell.array, len(atoms)), pbc=True)
    if LABELS in atoms.arrays:  # for messages
        checked.set_array(LABELS, atoms.arrays[LABELS])
    return checked


def _compact(cell: NDArray[np.float64], atoms: int) -> NDArray[np.float64]:
    """Right-handed cell of the same lattice with the shortest vectors, so that few images of it are near."""
    if not np.abs(cell).max() <= 1e3 * MAX_LENGTH:
        raise CrystalError(f"a cell with a side of {np.abs(cell).max():.3g} Å")
    sides = ", ".join(f"{length:.3g}" for length in np.linalg.norm(cell, axis=1))
    volume = abs(np.linalg.det(cell))
    if volume > ROOM[1] * atoms:
        raise CrystalError(
            f"a cell with sides of {sides} Å is nearly empty: {volume:.3g} Å³ for {atoms} atoms"
        )
    if volume < ROOM[0] * atoms:
        raise CrystalError(f"a cell with sides of {sides} Å is flat: {volume:.3g} Å³ for {atoms} atoms")
    try:
        reduced, _ = minkowski_reduce(cell)
    except RuntimeError as error:
        raise CrystalError(f"a cell with sides of {sides} Å is too skewed: {error}") from error
    periods = np.linalg.norm(reduced, axis=1)
    if periods.min() < SHORTEST_PERIOD:
        raise CrystalError(f"a cell with sides of {sides} Å repeats itself within {SHORTEST_PERIOD:g} Å")
    if periods.max() > MAX_LENGTH:
        raise CrystalError(f"a cell with a side of {periods.max():.3g} Å")
    return reduced * np.sign(np.linalg.det(reduced))


def _disorder(sites: int) -> str:
    return f"disordered: {sites} site(s) with an occupancy below one; {ONE_COMPONENT}"
