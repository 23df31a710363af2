"""Records that a command reads: from a file or stdin, of molecules or crystals."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skmol3d.cli.library import show_failures
from skmol3d.structures import Record, read_records
from skmol3d.structures.reading import TABLES, file_format, file_suffix

if TYPE_CHECKING:
    from skmol3d.datasets import Task

AS_TEXT = ("smi", *TABLES)
CRYSTALS = ("cif", "extxyz", "xyz")


@dataclass(frozen=True)
class Source:
    """What is read: a file, or stdin where `path` is None."""

    path: Path | None
    format: str
    crystals: bool


def find_source(args: argparse.Namespace) -> Source:
    """Say what there is to read, from the options and the name of the input.

    Raises
    ------
    ValueError
        If the format is unknown, or an option has no meaning for it.
    """
    path = None if args.input == "-" else Path(args.input)
    if args.format:
        format = args.format
    elif path is None:
        format = "smi"
    else:
        format = "cif" if file_suffix(path) == "cif" else file_format(path)
    if format == "cif" and path is None:
        raise ValueError("CIF is read from files, not from stdin")
    if args.crystals and format not in CRYSTALS:
        raise ValueError(f"--crystals: {format} holds none; expected one of {', '.join(CRYSTALS)}")
    for option, value in (("--smiles-column", args.smiles_column), ("--id-column", args.id_column)):
        if value and format not in TABLES:
            raise ValueError(f"{option}: {format} has no columns; expected one of {', '.join(TABLES)}")
    return Source(path, format, args.crystals or format == "cif")


def open_records(source: Source, args: argparse.Namespace) -> Iterator[Record]:
    """Records of the source, one at a time; what is wrong with it as a whole is said by this call."""
    if source.format == "cif":
        from skmol3d.crystals import iter_crystals

        assert source.path is not None
        source.path.open("rb").close()
        return (Record(i, None, None, crystal) for i, crystal in enumerate(iter_crystals(source.path)))
    most = {}
    if source.crystals:
        from skmol3d.crystals.cif import MAX_ATOMS

        most = {"max_atoms": MAX_ATOMS}
    return read_records(
        source.path or sys.stdin.buffer,
        format=source.format,
        smiles_column=args.smiles_column,
        id_column=args.id_column,
        **most,
    )


def label(record: Record, source: Source, keep: list[str]) -> list[Any]:
    """What stands beside the row of a record: name, or number where none has one; SMILES; columns to keep."""
    text = [record.structure if isinstance(record.structure, str) else ""] if source.format in AS_TEXT else []
    name = str(record.index) if record.name is None else record.name
    return [name, *text, *(record.columns.get(name) for name in keep)]


def label_columns(source: Source, keep: list[str]) -> list[str]:
    """Headings of the labels.

    Raises
    ------
    ValueError
        If one would be there twice.
    """
    first = ["id", "smiles"] if source.format in AS_TEXT else ["id"]
    twice = [name for i, name in enumerate(keep) if name in first or name in keep[:i]]
    if twice:
        raise ValueError(f"--keep {twice[0]}: OUTPUT has a column of that name already")
    return [*first, *keep]


def own_table(args: argparse.Namespace) -> Task:
    """The task in a table, after saying on stderr what is not in it."""
    from skmol3d.datasets import read_assay

    if args.target is None:
        raise ValueError("--table: name the column to predict with --target")
    task, left_out = read_assay(args.table, args.target, smiles_column=args.smiles_column)
    print(f"{args.table}: {len(task.smiles)} molecules, {len(left_out)} rows left out", file=sys.stderr)
    show_failures([(*row[:1], None, *row[1:]) for row in left_out.itertuples(index=False, name=None)])
    print(f"{task.name}: {_kind(task)}", file=sys.stderr)
    return task


def _kind(task: Task) -> str:
    """What the column is taken for: one stray label makes numbers of classes, and nobody would see it."""
    y = task.y
    if task.kind == "cls":
        return f"two classes (0: {(y == 0).sum()}, 1: {(y == 1).sum()})"
    text = f"numbers from {y.min():g} to {y.max():g}"
    others = np.flatnonzero((y != 0) & (y != 1))
    few = len(np.unique(y)) <= 5 and (y == y.round()).all()
    if not few and len(others) > max(1, 0.05 * len(y)):
        return text
    stray = [f", and {task.smiles[i]} has {y[i]:g}" for i in others[:1]]
    return f"{text}; if two classes are meant: they must be 0 and 1 alone{''.join(stray)}"
