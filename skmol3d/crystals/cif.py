"""Crystals from CIF files: all atoms of the cell, or the reason why there are none."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gemmi
import numpy as np
from ase import Atoms
from ase.geometry import cellpar_to_cell, find_mic
from numpy.typing import NDArray

from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.molecules import ADD_HYDROGENS, ONE_COMPONENT
from skmol3d.structures.errors import shorten

SAME_SITE = 0.05
"""Å; images of a site closer than this are the site itself, on a symmetry element."""

FIT = 0.02
"""Share by which lengths and angles of a cell may differ after a symmetry operation."""

MOST_OPERATIONS = 192
"""In a cell of space group 225 to 228; none has more."""

MAX_ATOMS, MAX_LENGTH = 20_000, 1e4
"""In the cell of a crystal; and of its sides, Å."""

COORDINATE_TAGS = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")
NUMBER_TAGS = ("_space_group_IT_number", "_symmetry_Int_Tables_number")


def read_cif(path: Path) -> Iterator[Atoms | CrystalError]:
    """Yield the crystals of a CIF file, block by block: those without a cell are no crystals.

    Text is UTF-8, or Latin-1 where it is none. Of repeated tags, which many files have, the first counts.

    Raises
    ------
    OSError
        If the file cannot be read or unpacked.
    """
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    for start, block in _blocks(text):
        name = block[0].split()[0][5:45]
        try:
            found = _read_block("\n".join(block))
        except CrystalError as error:
            yield CrystalError(f"CIF block {name}: {error}")
        except (ValueError, RuntimeError, IndexError) as error:  # whatever gemmi says
            yield CrystalError(f"not a valid CIF block {name}: {_located(str(error), start)}")
        else:
            if found is not None:
                yield found


def _blocks(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each block and how many lines stand before it: apart, so that one that is broken spoils no other."""
    block: list[str] = []
    start, in_text = 0, False
    for number, line in enumerate(re.split("\r\n|\r|\n", text)):
        if line.startswith(";"):
            in_text = not in_text
        elif line[:5].lower() == "data_" and not in_text:
            if block:
                yield start, block
            start, block = number, []
        elif not block:
            continue  # comments before the first block
        block.append(line)
    if block:
        yield start, block


def _located(message: str, start: int) -> str:
    """What gemmi says of a text that begins after `start` lines, with the place in the file."""
    message = " ".join(message.split())[:200]
    found = re.match(r"string:(\d+):\d+\(\d+\)", message)
    return message if found is None else f"line {start + int(found[1])}{message[found.end() :]}"


def _read_block(text: str) -> Atoms | None:
    block = gemmi.cif.read_string(text, check_level=0).sole_block()
    if block.find_value("_cell_length_a") is None:
        return None
    number = _group_number(block)
    structure = gemmi.make_small_structure_from_block(block)
    lengths, angles = structure.cell.parameters[:3], structure.cell.parameters[3:]
    whole = structure.cell.is_crystal() and structure.cell.volume > 0
    if not (whole and max(lengths) <= MAX_LENGTH and 0 < min(angles) <= max(angles) < 180):
        raise CrystalError("lengths or angles of the cell are missing, or belong to no cell")
    cell = cellpar_to_cell(structure.cell.parameters)
    sites = list(structure.sites)
    if not sites:
        raise CrystalError("no atoms")
    # gemmi takes the coordinates of a column that is not there for zero.
    missing = [tag for tag in COORDINATE_TAGS if len(block.find_values(tag)) != len(sites)]
    if missing:
        raise CrystalError(f"no fractional coordinates: {missing[0]} is missing")
    _check_sites(sites)
    places = np.array([site.fract.tolist() for site in sites])
    numbers = np.array([site.element.atomic_number for site in sites])
    atoms = _expand(numbers, places, cell, _operations(structure, number, cell))
    formula = block.find_value("_chemical_formula_sum")
    if formula is not None:
        _check_hydrogens(gemmi.cif.as_string(formula), atoms.numbers)
    return atoms


def _check_sites(sites: list[gemmi.SmallStructure.Site]) -> None:
    """Refuse sites that are not one atom in one place."""
    partial = [site.label for site in sites if not site.occ >= 1]
    if partial:
        raise CrystalError(
            f"disordered: {len(partial)} site(s) with an occupancy below one ({_listed(partial)});"
            f" {ONE_COMPONENT}"
        )
    groups = {site.disorder_group for site in sites} - {0}
    if len(groups) > 1 or min(groups, default=0) < 0:
        mine = [site.label for site in sites if site.disorder_group]
        raise CrystalError(f"disordered: {_listed(mine)} are in disorder groups; {ONE_COMPONENT}")
    for reason, bad in (
        ("without coordinates", [s.label for s in sites if not np.isfinite(s.fract.tolist()).all()]),
        ("that are no element", [s.label for s in sites if s.element.atomic_number == 0]),
    ):
        if bad:
            raise CrystalError(f"{len(bad)} site(s) {reason} ({_listed(bad)})")


def _listed(labels: list[str]) -> str:
    return ", ".join(label[:20] for label in labels[:3]) + (", ..." if len(labels) > 3 else "")


def _group_number(block: gemmi.cif.Block) -> int | None:
    """Number of the space group, where one is given."""
    values = [gemmi.cif.as_string(value) for value in map(block.find_value, NUMBER_TAGS) if value is not None]
    given = next(filter(None, values), None)
    return None if given is None else _checked_number(given)


def _checked_number(text: str) -> int:
    if not (text.isdecimal() and len(text) < 4 and 1 <= int(text) <= 230):
        raise CrystalError(f"space group number {text[:20]}; expected a whole number from 1 to 230")
    return int(text)


def _operations(
    structure: gemmi.SmallStructure, number: int | None, cell: NDArray[np.float64]
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Rotations and translations of fractional columns, from the first that a block has of: listed
    operations, a Hall symbol, a Hermann–Mauguin symbol, a number; P1 if it has none."""
    name = structure.spacegroup_hm
    if structure.symops:
        if len(structure.symops) > MOST_OPERATIONS:
            raise CrystalError(
                f"{len(structure.symops)} symmetry operations; there are {MOST_OPERATIONS} at most"
            )
        found = list(map(_operation, structure.symops))
    elif structure.spacegroup_hall:
        found = list(gemmi.symops_from_hall(structure.spacegroup_hall))
    elif name and not name.isdecimal():
        angles = structure.cell.alpha, structure.cell.gamma  # of rhombohedral or hexagonal axes
        group = gemmi.find_spacegroup_by_name(name, *angles)
        if group is None:
            raise CrystalError(f"unknown space group {shorten(name)}, and no symmetry operations")
        found = list(group.operations())
    else:
        number = number or (_checked_number(name) if name else 1)
        group = gemmi.find_spacegroup_by_number(number)
        found = list(group.operations())
    operations = []
    metric = cell @ cell.T
    for op in found:
        rotation, translation = np.array(op.rot) / op.DEN, np.array(op.tran) / op.DEN
        scale = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
        if (
            abs(op.det_rot()) != op.DEN**3
            or (abs(rotation.T @ metric @ rotation - metric) > FIT * scale).any()
        ):
            raise CrystalError(
                f"{op.triplet()} is no symmetry operation of a cell with these lengths and angles"
            )
        operations.append((rotation, translation))
    return operations


def _operation(text: str) -> gemmi.Op:
    try:
        return gemmi.Op(text)
    except RuntimeError as error:
        raise CrystalError(f"{shorten(text)} is no symmetry operation: {str(error)[:80]}") from error


def _expand(
    numbers: NDArray[np.int64],
    places: NDArray[np.float64],
    cell: NDArray[np.float64],
    operations: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
) -> Atoms:
    all_numbers, positions = [], []
    for number, place in zip(numbers, places, strict=True):
        images: list[NDArray[np.float64]] = []
        for rotation, translation in operations:
            image = (rotation @ place + translation) % 1.0 @ cell
            if not images or find_mic(image - np.array(images), cell)[1].min() > SAME_SITE:
                images.append(image)
        all_numbers += [number] * len(images)
        if len(all_numbers) > MAX_ATOMS:
            raise CrystalError(f"more than {MAX_ATOMS:,} atoms in the cell")
        positions += images
    return Atoms(all_numbers, positions, cell=cell, pbc=True)


def _check_hydrogens(formula: str, numbers: NDArray[np.int64]) -> None:
    """Refuse a cell that has the heavy atoms of the formula in its ratios, but fewer hydrogen atoms."""
    expected: dict[int, float] = {}
    for symbol, count in re.findall(r"([A-Z][a-z]?)\s*(\d+(?:\.\d+)?)?", formula):
        number = gemmi.Element(symbol).atomic_number
        expected[number] = expected.get(number, 0.0) + float(count or 1)
    found = Counter(numbers.tolist())
    hydrogens, present = expected.pop(1, 0.0), found.pop(1, 0)
    if not expected or not all(expected.values()) or expected.keys() != found.keys():
        return
    units = {round(found[number] / expected[number], 3) for number in expected}
    if len(units) == 1 and present < (missing := hydrogens * units.pop()) - 0.5:
        raise CrystalError(
            f"hydrogen atoms are missing: {present} of the {missing:g} that the formula {shorten(formula)}"
            f" has; {ADD_HYDROGENS}"
        )
