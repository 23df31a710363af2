"""Conformers as a folder of .npy arrays that training maps into memory instead of reading.

``packed.json`` names the arrays with their types and shapes: ``numbers``, ``positions``, ``offsets``,
``charge``, ``group``, ``bonds`` and ``bond_offsets`` if there are bonds, ``atom.<target>`` and
``molecule.<target>``, all as in `PackedSet`. Anything that reads .npy can read them; nothing needs rdkit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.lib import format as npy

from skmol3d.trainer.data.sets import PackedSet

FORMAT, VERSION = "skmol3d-packed", 1
INDEX = "packed.json"
PLAIN = ("numbers", "positions", "offsets", "charge", "group")
BONDS = ("bonds", "bond_offsets")


def write_packed(folder: Path | str, parts: PackedSet | Iterable[PackedSet]) -> Path:
    """Write a set, or several one after the other, as one packed folder.

    The folder appears when it is complete. Parts are taken one at a time, so that a corpus larger than the
    memory can be written; their groups are kept as they are.

    Parameters
    ----------
    folder : path
        Must not exist.
    parts : PackedSet or iterable of PackedSet
        With the same targets, types and shapes.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder exists.
    ValueError
        If there is no conformer, an array's length does not fit, or parts differ; it names the part.
    """
    folder = Path(folder)
    if folder.exists():
        raise FileExistsError(f"{folder} exists already")
    partial = folder.with_name(folder.name + ".partial")
    if partial.exists():  # of a run that was killed
        shutil.rmtree(partial)
    partial.mkdir(parents=True)
    writers: dict[str, _Writer] = {}
    conformers = 0
    try:
        for k, part in enumerate([parts] if isinstance(parts, PackedSet) else parts):
            columns = _columns(part)
            _check(columns, f"part {k}")
            if not writers:
                for name, values in columns.items():
                    writers[name] = _Writer(partial / _file(name), values)
            _append(writers, columns, f"part {k}")
            conformers += len(part)
        if not conformers:
            raise ValueError(f"{folder}: no conformers to write")
    finally:
        for writer in writers.values():
            writer.close()
    index = {"format": FORMAT, "version": VERSION, "arrays": {k: w.entry for k, w in writers.items()}}
    (partial / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    partial.rename(folder)
    return folder


def read_packed(folder: Path | str) -> PackedSet:
    """Open a packed folder; every array is a read-only `numpy.memmap`, read where a batch needs it.

    Parameters
    ----------
    folder : path
        From `write_packed`.

    Returns
    -------
    PackedSet

    Raises
    ------
    FileNotFoundError
        If there is no such folder, or ``packed.json`` or an array is missing.
    ValueError
        If an array is cut short or is not what ``packed.json`` says, or lengths and offsets disagree; it
        names the file.
    """
    folder = Path(folder)
    if not (folder / INDEX).is_file():
        raise FileNotFoundError(f"{folder}: no {INDEX}, so no packed set")
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{folder / INDEX}: not JSON: {error}") from error
    if not isinstance(index, dict) or index.get("format") != FORMAT or index.get("version") != VERSION:
        raise ValueError(f"{folder / INDEX}: not {FORMAT} version {VERSION}")
    arrays = index.get("arrays", {})
    missing = [name for name in PLAIN if name not in arrays]
    if missing or (BONDS[0] in arrays) != (BONDS[1] in arrays):
        raise ValueError(f"{folder / INDEX}: lists no {', '.join(missing or BONDS)}")
    columns = {name: _open(folder / _file(name), entry) for name, entry in arrays.items()}
    _check(columns, str(folder))
    return PackedSet(
        **{name: columns[name] for name in PLAIN},
        atom_targets={k[5:]: v for k, v in columns.items() if k.startswith("atom.")},
        molecule_targets={k[9:]: v for k, v in columns.items() if k.startswith("molecule.")},
        bonds=columns.get("bonds"),
        bond_offsets=columns.get("bond_offsets"),
    )


def _columns(data: PackedSet) -> dict[str, np.ndarray]:
    columns = {name: getattr(data, name) for name in PLAIN}
    if data.bonds is not None and data.bond_offsets is not None:
        columns |= {name: getattr(data, name) for name in BONDS}
        columns["bond_offsets"] = data.bond_offsets.astype(np.int64, copy=False)
    columns["offsets"] = data.offsets.astype(np.int64, copy=False)
    columns |= {f"atom.{k}": v for k, v in data.atom_targets.items()}
    return columns | {f"molecule.{k}": v for k, v in data.molecule_targets.items()}


def _file(name: str) -> str:
    return quote(name, safe="") + ".npy"  # SD properties are called anything


def _check(columns: dict[str, np.ndarray], where: str) -> None:
    """Raise if an array's type or length does not fit the others, or offsets do not ascend."""
    atoms, conformers = len(columns["numbers"]), len(columns["offsets"]) - 1
    lengths = dict.fromkeys(columns, conformers) | {"numbers": atoms, "positions": atoms}
    lengths |= {name: atoms for name in columns if name.startswith("atom.")}
    lengths |= {name: conformers + 1 for name in ("offsets", "bond_offsets") if name in columns}
    if "bonds" in columns:
        lengths["bonds"] = len(columns["bonds"])
    for name, values in columns.items():
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{where}: {name} holds {values.dtype}, not numbers")
        if len(values) != lengths[name]:
            raise ValueError(
                f"{where}: {name} has {len(values)} rows, but there are {conformers} conformers with {atoms} "
                "atoms"
            )
    if columns["positions"].dtype not in (np.int16, np.float32):
        raise ValueError(f"{where}: positions are {columns['positions'].dtype}, not int16 or float32")
    for name, end in (("offsets", atoms), ("bond_offsets", len(columns.get("bonds", ())))):
        if name in columns:
            offsets = columns[name]
            if offsets[0] != 0 or offsets[-1] != end or (np.diff(offsets) < (name == "offsets")).any():
                raise ValueError(f"{where}: {name} do not ascend from 0 to {end}")


class _Writer:
    """Appends to a .npy file whose length is known only at the end."""

    def __init__(self, path: Path, first: np.ndarray) -> None:
        self.dtype, self.tail, self.count = first.dtype, first.shape[1:], 0
        self.file = path.open("w+b")
        self._header()

    def append(self, values: np.ndarray) -> None:
        np.ascontiguousarray(values).tofile(self.file)
        self.count += len(values)

    def close(self) -> None:
        self.file.seek(0)
        self._header()
        self.file.close()

    @property
    def entry(self) -> dict[str, Any]:
        return {"dtype": self.dtype.str, "shape": [self.count, *self.tail]}

    def _header(self) -> None:
        # NumPy pads the header so that the first axis can grow in place.
        shape = (self.count, *self.tail)
        npy.write_array_header_1_0(
            self.file, {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        )
        self.file.flush()  # tofile writes past Python's buffer


def _append(writers: dict[str, _Writer], columns: dict[str, np.ndarray], where: str) -> None:
    if writers.keys() != columns.keys():
        wrong = sorted(writers.keys() ^ columns.keys())
        raise ValueError(f"{where}: {', '.join(wrong)} in some parts only")
    for name, values in columns.items():
        writer = writers[name]
        if (values.dtype, values.shape[1:]) != (writer.dtype, writer.tail):
            raise ValueError(
                f"{where}: {name} holds {values.dtype} of shape {values.shape[1:]} per row, part 0 "
                f"{writer.dtype} of shape {writer.tail}"
            )
    # Offsets count from the end of what is there already.
    start = {"offsets": writers["numbers"].count}
    if "bonds" in writers:
        start["bond_offsets"] = writers["bonds"].count
    for name, values in columns.items():
        if name in start and writers[name].count:
            values = values[1:] + start[name]
        writers[name].append(values)


def _open(path: Path, entry: Any) -> np.ndarray:
    if not path.is_file():
        raise FileNotFoundError(f"{path}: listed in {INDEX} but missing")
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path}: cut short or not a .npy array: {error}") from error
    found = {"dtype": values.dtype.str, "shape": list(values.shape)}
    if found != entry:
        raise ValueError(f"{path}: {found}, but {INDEX} says {entry}")
    return values
