"""SD and MOL files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rdkit import Chem

from skmol3d.structures.errors import StructureError, rdkit_errors
from skmol3d.structures.reading.record import Lines, Record

MAX_RECORD = 16 * 2**20
"""Characters, beyond which a record is bad, so that memory has a bound."""


def read_sdf(lines: Lines, start: int = 0) -> Iterator[Record]:
    """MOL blocks with properties, separated by lines of four dollars."""
    # Record by record rather than with SDMolSupplier, which gives None without the reason, and which one
    # bad byte stops.
    index, first = 0, 1
    block: list[str] = []
    size = 0
    for line in _ended(lines):
        if not line.startswith("$$$$"):
            size += len(line)
            if size <= MAX_RECORD:
                block.append(line)
            continue
        if size > MAX_RECORD:
            reason = StructureError(f"a record of more than {MAX_RECORD:,} characters")
            yield Record(index, first, block[0].strip() or None, reason)
            index += 1
        elif any(text.strip() for text in block):
            yield Record(index, first, None, None) if index < start else _sdf_record(index, first, block)
            index += 1
        block, size, first = [], 0, lines.number + 1


def _ended(lines: Iterable[str]) -> Iterator[str]:
    yield from lines
    yield "$$$$"


def _sdf_record(index: int, first: int, lines: list[str]) -> Record:
    end = next((i + 1 for i, line in enumerate(lines) if line.startswith("M  END")), len(lines))
    # RDKit cuts fields by bytes, and its messages may hold half a character; a MOL block has none but ASCII,
    # apart from its title.
    title = lines[0].strip()
    block = "".join([lines[0] if title.isascii() else "\n", *lines[1:end]]).encode("ascii", "replace")
    supplier = Chem.SDMolSupplier()  # of `MolFromMolBlock` many reasons are warnings, which print
    with rdkit_errors() as messages:
        supplier.SetData(block.decode(), removeHs=False)
        mol = next(supplier, None)
    if mol is None:
        reason = messages[0] if messages else "it ends too early" if end < 4 else "RDKit gives no reason"
        structure: object = StructureError(f"not a valid MOL block: {reason}")
    else:
        mol.SetProp("_Name", title)
        structure = mol
    properties = _properties(lines[end:])
    return Record(index, first, title or properties.get("id") or None, structure, properties)


def _properties(lines: list[str]) -> dict[str, str]:
    """Data items: a line ``> <NAME>``, then lines of text up to a blank one."""
    values: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in lines:
        text = line.rstrip("\r\n")
        if current is None and text.startswith(">") and "<" in text and ">" in text[text.index("<") :]:
            current = values.setdefault(text[text.index("<") + 1 : text.rindex(">")], [])
        elif not text.strip():
            current = None
        elif current is not None:
            current.append(text)
    return {name: "\n".join(text) for name, text in values.items()}
