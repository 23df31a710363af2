"""Crystals from CIF files: all atoms of the cell, or the reason why there are none."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import gemmi
import numpy as np
from ase import Atoms
from ase.geometry import cellpar_to_cell, find_mic
from numpy.typing import NDArray

from skmol3d.crystals.cif_formula import check_content
from skmol3d.crystals.cif_symmetry import Operation, group_number, symmetry_operations
from skmol3d.crystals.errors import CrystalError
from skmol3d.crystals.hydrogens import LABELS
from skmol3d.crystals.molecules import ONE_COMPONENT

Site = gemmi.SmallStructure.Site

SAME_SITE = 0.05
"""Å; images of a site closer than this are the site itself, on a symmetry element."""

MAX_ATOMS, MAX_LENGTH = 20_000, 1e4
"""In the cell of a crystal; and of its sides, Å."""

OCCUPIED = 0.999
"""Occupancy of a site from which on it is full: refined ones are no round numbers."""

COORDINATE_TAGS = tuple(f"_atom_site_fract_{axis}" for axis in "xyz")


def read_cif(path: Path) -> Iterator[Atoms | CrystalError]:
    """Yield the crystals of a CIF file, block by block: those without a cell are no crystals.

    Text is UTF-8, or Latin-1 where it is none. Of repeated tags, which many files have, the first counts.

    Raises
    ------
    OSError
        If the file cannot be read or unpacked.
    CrystalError
        If there is no crystal in it, with the reason.
    """
    data = path.read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CrystalError("UTF-16, not UTF-8 text")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    empty = True
    for start, block in _blocks(text):
        name = block[0].split()[0][5:45]
        found: Atoms | CrystalError | None
        try:
            found = _read_block("\n".join(block))
        except CrystalError as error:
            found = CrystalError(f"CIF block {name}: {error}")
        except (ValueError, RuntimeError, IndexError) as error:  # whatever gemmi says
            found = CrystalError(f"not a valid CIF block {name}: {_located(str(error), start)}")
        if found is not None:
            empty = False
            yield found
    if empty:
        raise CrystalError(_why_empty(text))


def _why_empty(text: str) -> str:
    """Why there is no crystal in a file."""
    start = text.lstrip()[:2000].lower()
    if not start:
        return "it is empty"
    if start.startswith(("<!doctype", "<html", "<?xml")):
        return "it is a web page (HTML), not a CIF"
    if re.search(r"(^|[\r\n])\s*_cell\.length_a\b", text, re.IGNORECASE):
        return "it is mmCIF (_cell.length_a); expected the tags of small molecules (_cell_length_a)"
    if next(_blocks(text), None) is None:
        return "it is no CIF: no line begins with data_"
    return "it has no crystal: no block has a cell (_cell_length_a)"


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
    number = group_number(block)
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
    sites = _whole_sites(block, sites)
    places = np.array([site.fract.tolist() for site in sites])
    operations = symmetry_operations(structure, number, cell)
    atoms = _expand(sites, places, cell, operations)
    check_content(block, atoms.numbers)
    return atoms


def _column(block: gemmi.cif.Block, name: str, sites: int) -> list[str]:
    """What a column says of each site; "." where it says nothing."""
    column = [gemmi.cif.as_string(value) or "." for value in block.find_values(f"_atom_site_{name}")]
    return column if len(column) == sites else ["."] * sites


def _whole_sites(block: gemmi.cif.Block, sites: list[Site]) -> list[Site]:
    """The sites but for dummies; refused if they are not one atom in one place."""
    columns = (_column(block, name, len(sites)) for name in ("calc_flag", "occupancy", "disorder_group"))
    kept = [row for row in zip(sites, *columns, strict=True) if row[1].lower() != "dum"]
    if not kept:
        raise CrystalError("no atoms")
    odd = [
        f"{share[:20]} of {site.label[:20]}"
        for site, _, share, _ in kept
        if share != "." and np.isnan(gemmi.cif.as_number(share))
    ]
    if odd:
        raise CrystalError(f"{len(odd)} occupancies that are no number ({_listed(odd)})")
    partial = [site.label for site, *_ in kept if not site.occ >= OCCUPIED]
    if partial:
        raise CrystalError(
            f"disordered: {len(partial)} site(s) with an occupancy below one ({_listed(partial)});"
            f" {ONE_COMPONENT}"
        )
    mine = [(site.label, group) for site, _, _, group in kept if group not in (".", "0")]
    groups = {group for _, group in mine}
    if len(groups) > 1 or any(group.startswith("-") for group in groups):
        labels = [label for label, _ in mine]
        raise CrystalError(f"disordered: {_listed(labels)} are in disorder groups; {ONE_COMPONENT}")
    whole = [site for site, *_ in kept]
    for reason, bad in (
        ("without coordinates", [s.label for s in whole if not np.isfinite(s.fract.tolist()).all()]),
        ("that are no element", [s.label for s in whole if s.element.atomic_number == 0]),
    ):
        if bad:
            raise CrystalError(f"{len(bad)} site(s) {reason} ({_listed(bad)})")
    return whole


def _listed(labels: list[str]) -> str:
    return ", ".join(label[:50] for label in labels[:3]) + (", ..." if len(labels) > 3 else "")


def _expand(
    sites: list[Site], places: NDArray[np.float64], cell: NDArray[np.float64], operations: list[Operation]
) -> Atoms:
    all_sites: list[Site] = []
    positions: list[NDArray[np.float64]] = []
    for site, place in zip(sites, places, strict=True):
        images: list[NDArray[np.float64]] = []
        for rotation, translation in operations:
            image = (rotation @ place + translation) % 1.0 @ cell
            if not images or find_mic(image - np.array(images), cell)[1].min() > SAME_SITE:
                images.append(image)
        all_sites += [site] * len(images)
        if len(all_sites) > MAX_ATOMS:
            raise CrystalError(f"more than {MAX_ATOMS:,} atoms in the cell")
        positions += images
    atoms = Atoms([site.element.atomic_number for site in all_sites], positions, cell=cell, pbc=True)
    atoms.set_array(LABELS, np.array([site.label for site in all_sites]))
    return atoms
