"""A panel: a folder of tasks, ours or a user's own."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One property of n molecules.

    Attributes
    ----------
    name : str
        Name of the task.
    kind : {"reg", "cls"}
        Regression, or two classes 0 and 1.
    smiles : list of str
        n molecules.
    y : ndarray of shape (n,)
        float64, in `unit`.
    split : ndarray of shape (n,) or None
        "train" or "test" for each molecule; None if none is given.
    unit, source : str
        Unit of `y` and where the data come from; may be empty.
    """

    name: str
    kind: Literal["reg", "cls"]
    smiles: list[str]
    y: NDArray[np.float64]
    split: NDArray[np.object_] | None = None
    unit: str = ""
    source: str = ""


def read_panel(folder: str | os.PathLike[str], names: Sequence[str] | None = None) -> list[Task]:
    """Read a folder of tasks.

    A task is a file ``NAME.csv`` or ``NAME.csv.gz`` with the columns ``smiles`` and ``y``, and ``split``
    ("train" or "test") if the split is given; other columns are ignored. ``tasks.json`` says what each is:
    ``{"NAME": {"kind": "reg" or "cls", "unit": "...", "source": "..."}}``, where only the kind must be there
    and other keys are ignored. Without a ``tasks.json``, a task whose values are 0 and 1, both and nothing
    else, is "cls" and any other is "reg".

    Parameters
    ----------
    folder : path
        The folder.
    names : sequence of str or None, default=None
        Tasks to read, in this order; None for all, in the order of ``tasks.json`` (else of their names).

    Returns
    -------
    list of Task

    Raises
    ------
    ValueError
        If a file does not hold what is described above; the message names file, row (0-based, the header not
        counted) and reason. Whether the SMILES parse is not looked at.
    FileNotFoundError
        If the folder does not exist.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    files: dict[str, Path] = {}
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*.csv.gz")]):
        name = path.name.removesuffix(".gz").removesuffix(".csv")
        if name in files:
            raise ValueError(f"{folder} has both {files[name].name} and {path.name}")
        files[name] = path
    if not files:
        raise ValueError(f"{folder} has no task: no file NAME.csv or NAME.csv.gz")
    entries = _entries(folder / "tasks.json", files)
    if isinstance(names, str):
        raise TypeError(f"names should be a sequence of names, got the string {names!r}")
    unknown = [name for name in names or () if name not in files]
    if unknown:
        raise ValueError(f"{folder} has no task {', '.join(unknown)}; it has {', '.join(files)}")
    chosen = names if names is not None else list(entries or files)
    return [_read_task(name, files[name], None if entries is None else entries[name]) for name in chosen]


def _entries(path: Path, files: dict[str, Path]) -> dict[str, dict[str, Any]] | None:
    if not path.exists():
        return None
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not UTF-8 or not JSON
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise ValueError(f'{path} should be {{"NAME": {{"kind": ..., "unit": ..., "source": ...}}, ...}}')
    for name in files:
        if name not in entries:
            raise ValueError(f"{path} has no entry {name!r} for {files[name].name}")
    for name, entry in entries.items():
        if name not in files:
            raise ValueError(f"{path} has an entry {name!r}, but there is no {name}.csv or {name}.csv.gz")
        if entry.get("kind") not in ("reg", "cls"):
            got = entry.get("kind")
            raise ValueError(f'{path}: the kind of {name!r} should be "reg" or "cls", got {got!r}')
        for key in ("unit", "source"):
            if not isinstance(entry.get(key, ""), str):
                raise ValueError(f"{path}: the {key} of {name!r} should be a string, got {entry[key]!r}")
    return entries


def _read_task(name: str, path: Path, entry: dict[str, Any] | None) -> Task:
    # As text: pandas would read a SMILES column of "NA" as missing and one of "1" as numbers.
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, OSError, EOFError) as error:  # malformed table, not UTF-8; damaged gzip
        raise ValueError(f"{path} cannot be read as CSV: {error}") from error
    for column in ("smiles", "y"):
        if column not in table.columns:
            raise ValueError(f"{path} has no column {column!r}, only {', '.join(map(repr, table.columns))}")
    if table.empty:
        raise ValueError(f"{path} has no rows")
    smiles = table["smiles"].str.strip()
    _require(path, table["smiles"], smiles.ne(""), "a SMILES")
    y = pd.to_numeric(table["y"], errors="coerce").astype(np.float64)
    _require(path, table["y"], y.abs() < np.inf, "a finite number y")
    if entry is None:
        entry = {"kind": "cls" if set(y) == {0.0, 1.0} else "reg"}
    if entry["kind"] == "cls":
        _require(path, table["y"], y.isin([0.0, 1.0]), "a class label 0 or 1")
    split = None
    if "split" in table.columns:
        split = table["split"].to_numpy(dtype=object)
        _require(path, table["split"], table["split"].isin(["train", "test"]), 'a split "train" or "test"')
        if len(set(split)) < 2:
            raise ValueError(f'{path}: every split is {split[0]!r}, there should be "train" and "test"')
    return Task(
        name=name,
        kind=entry["kind"],
        smiles=smiles.tolist(),
        y=np.asarray(y, dtype=np.float64),
        split=split,
        unit=entry.get("unit", ""),
        source=entry.get("source", ""),
    )


def _require(path: Path, column: "pd.Series[str]", valid: "pd.Series[bool]", what: str) -> None:
    if not valid.all():
        row = int(np.flatnonzero(~valid.to_numpy())[0])
        more = int((~valid).sum()) - 1
        also = f" (and {more} more such rows)" if more else ""
        raise ValueError(f"{path}, row {row}: expected {what}, got {column.iloc[row]!r}{also}")
