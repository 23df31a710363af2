"""A record of a file, and lines of text out of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MAX_LINE = 16 * 2**20
"""Bytes, beyond which a line is cut, so that memory has a bound."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a file.

    Attributes
    ----------
    index : int
        0-based number of the record; bad ones count, blank lines do not.
    line : int or None
        1-based line of the (unpacked) file where it begins; None for Parquet.
    name : str or None
        Title line of a MOL block or else its property ``id``, text after the SMILES of a .smi line, or the
        value of the id column, of which an empty one is "".
    structure : str, rdkit.Chem.Mol, ase.Atoms, None or StructureError
        Something for `skmol3d.structures.read_molecule`; text is what the file says, not yet parsed.
    columns : dict of str to object
        The columns of a table but for that of the structures (as text; with their own types in Parquet),
        the properties of an SD record (as text), what ASE finds in the comment line of an XYZ frame. Bad
        records keep what could be read.
    """

    index: int
    line: int | None
    name: str | None
    structure: object
    columns: dict[str, Any] = field(default_factory=dict)


class Lines(Iterator[str]):
    """Lines of a binary stream as text, ends included: UTF-8, or Latin-1 where a line is none.

    Attributes
    ----------
    number : int
        1-based number of the line given last.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.number = 0
        self._stream = stream
        self._waiting: list[str] = []

    def __next__(self) -> str:
        if self._waiting:
            line = self._waiting.pop()
        else:
            raw = self._stream.readline(MAX_LINE)
            if not raw:
                raise StopIteration
            try:
                line = raw.decode("utf-8" if self.number else "utf-8-sig")
            except UnicodeDecodeError:
                line = raw.decode("latin-1")
        self.number += 1
        return line

    def put_back(self, lines: Sequence[str]) -> None:
        """Give these again, the first one first."""
        self._waiting.extend(reversed(lines))
        self.number -= len(lines)
