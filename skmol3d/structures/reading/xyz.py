"""XYZ and extended XYZ files."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from skmol3d.structures.errors import StructureError, shorten
from skmol3d.structures.geometry import MAX_ATOMS
from skmol3d.structures.reading.record import Lines, Record

INVALID = "not a valid XYZ frame"


def read_xyz(lines: Lines, max_atoms: int = MAX_ATOMS) -> Iterator[Record]:
    """Frames: the number of atoms, a comment (or the keys of extended XYZ), and a line per atom.

    Frames have no separator. After a broken one, the next begins at a line that holds nothing but a whole
    number.
    """
    index = 0
    for line in lines:
        if not line.strip():
            continue
        first = lines.number
        frame = [line]
        try:
            count = _atom_count(line, max_atoms)
            frame += _frame_lines(lines, count)
            atoms = _parse_frame(frame)
        except StructureError as error:
            if len(frame) == 1:
                _skip_to_count(lines)
            yield Record(index, first, None, error)
        else:
            name = atoms.info.get("name")
            yield Record(index, first, None if name is None else str(name), atoms, dict(atoms.info))
        index += 1


def _atom_count(line: str, most: int) -> int:
    if not line.strip().isdecimal():
        raise StructureError(f"{INVALID}: expected a number of atoms, got {shorten(line.strip())}")
    # Before anything is read or reserved: the file may claim any number.
    if len(line.strip()) > 9 or int(line) > most:
        raise StructureError(f"{shorten(line.strip())} atoms; at most {most} are supported")
    return int(line)


def _frame_lines(lines: Lines, count: int) -> list[str]:
    found: list[str] = []
    for line in lines:
        if len(found) == count + 1 or (found and len(line.split()) < 4):
            lines.put_back([line])
            break
        found.append(line)
    if len(found) != count + 1:
        lines.put_back(found)  # the next frame may begin anywhere among them
        atoms = max(len(found) - 1, 0)
        raise StructureError(f"{INVALID}: {count} atoms announced, {atoms} found")
    return found


def _skip_to_count(lines: Lines) -> None:
    for line in lines:
        if line.strip().isdecimal():
            lines.put_back([line])
            return


def _parse_frame(frame: list[str]) -> Any:
    import ase.io
    from ase.io.extxyz import key_val_str_to_dict

    try:
        if "Properties" in frame[1]:
            # ASE reserves as many columns as are announced, and there may be billions.
            columns = str(key_val_str_to_dict(frame[1]).get("Properties", "")).split(":")[2::3]
            if sum(map(int, columns)) > len(frame[-1].split()):
                raise ValueError("Properties announces more columns than there are")
        return ase.io.read(io.StringIO("".join(frame)), index=0, format="extxyz")
    except Exception as error:  # ASE evaluates what the comment says, and raises whatever comes of it
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise StructureError(f"{INVALID}: {reason[:200]}") from error
