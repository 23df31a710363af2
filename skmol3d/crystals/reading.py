"""Crystals from CIF and extxyz files, ASE and pymatgen, as periodic ASE atoms."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.geometry import find_mic
from ase.io.cif import CIFBlock, parse_cif
from ase.io.extxyz import XYZError
from ase.spacegroup.spacegroup import parse_sitesym

from skmol3d.crystals.errors import CrystalError
from skmol3d.structures.molecule import is_atoms

CIF_OPERATIONS = (
    "_space_group_symop_operation_xyz",
    "_space_group_symop.operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
)
SAME_SITE = 0.05
"""Å; images of a site of a CIF closer than this are the site itself, on a symmetry element."""

FILE_SUFFIXES = (".cif", ".extxyz", ".xyz")


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
    if isinstance(value, CrystalError):  # an unreadable record that `iter_crystals` passed on
        raise value
    if isinstance(value, str | os.PathLike):
        records = list(iter_crystals(value))
        if len(records) != 1:
            raise CrystalError(f"{os.fspath(value)} holds {len(records)} crystals; expected one")
        return read_periodic(records[0])
    if is_atoms(value):
        return _checked(value)
    if hasattr(value, "lattice") and hasattr(value, "frac_coords"):  # pymatgen, which need not be there
        return _checked(_from_pymatgen(value))
    raise CrystalError(
        f"cannot read a {type(value).__name__}; expected ASE Atoms, a pymatgen Structure, or a path ending"
        f" in {', '.join(FILE_SUFFIXES)}"
    )


def iter_crystals(path: str | os.PathLike[str]) -> Iterator[object]:
    """Yield the crystals of a file as inputs for `read_periodic`.

    Parameters
    ----------
    path : path
        A .cif, .extxyz or .xyz file, possibly compressed (.gz).

    Yields
    ------
    ase.Atoms or CrystalError
        A record that cannot be read is yielded as its error.
    """
    path = Path(path)
    name = path.name.removesuffix(".gz").lower()
    if not name.endswith(FILE_SUFFIXES):
        raise CrystalError(f"{path}: unknown file type; expected {', '.join(FILE_SUFFIXES)}")
    try:
        if name.endswith(".cif"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on duplicate keys and the like, which most files have
                blocks = list(parse_cif(str(path)))
            yield from (_from_cif(block) for block in blocks if "_cell_length_a" in block)
        else:
            yield from ase.io.iread(str(path), index=":", format="extxyz")
    except OSError as error:
        yield CrystalError(f"cannot read {path}: {error.strerror or error}")
    except (ValueError, KeyError, IndexError, AssertionError, ase.io.ParseError, XYZError, RuntimeError) as e:
        yield CrystalError(f"not a valid {name.rsplit('.', 1)[-1]} record: {type(e).__name__}: {e}")


def _from_cif(block: CIFBlock) -> Atoms | CrystalError:
    # Not ASE's own way from block to atoms, which needs to know the name of the space group's setting.
    try:
        partial = [float(x) for x in block.get("_atom_site_occupancy") or [] if isinstance(x, int | float)]
        if any(occupancy < 1 for occupancy in partial):
            raise CrystalError(_disorder(sum(occupancy < 1 for occupancy in partial)))
        sites = block.get_unsymmetrized_structure()
        listed = next((block[tag] for tag in CIF_OPERATIONS if tag in block), None)
        if listed is None:
            operations = block.get_spacegroup(subtrans_included=True).get_symop()
        else:
            operations = list(
                zip(*parse_sitesym([listed] if isinstance(listed, str) else listed), strict=True)
            )
        return _expand(sites, operations)
    except CrystalError as error:
        return error
    except (ValueError, KeyError, TypeError, AssertionError, RuntimeError) as error:
        return CrystalError(f"not a valid CIF block {block.name}: {type(error).__name__}: {error}")


def _expand(sites: Atoms, operations: list[tuple[Any, Any]]) -> Atoms:
    numbers, positions = [], []
    for number, site in zip(sites.numbers, sites.get_scaled_positions(), strict=True):
        images: list[np.ndarray] = []
        for rotation, translation in operations:
            image = (rotation @ site + translation) @ sites.cell
            if not images or find_mic(image - np.array(images), sites.cell)[1].min() > SAME_SITE:
                images.append(image)
        numbers += [number] * len(images)
        positions += images
    return Atoms(numbers, positions, cell=sites.cell, pbc=True)


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
    shares = [max(kind.values()) for kind in atoms.info.get("occupancy", {}).values()]
    if any(share < 1 for share in shares):
        raise CrystalError(_disorder(sum(share < 1 for share in shares)))
    clean = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True)
    if clean.cell.handedness < 0:
        clean.set_cell(-clean.cell.array)  # the same lattice
    return clean


def _disorder(sites: int) -> str:
    return f"disordered: {sites} site(s) with an occupancy below one"
