"""A chemist's own table, with everything that real tables have."""

from __future__ import annotations

import os
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skmol3d.datasets.panel import Task

if TYPE_CHECKING:
    import pandas as pd

FEWEST = 10
"""Molecules, below which there is nothing to compare or to learn."""


def read_assay(
    path: str | os.PathLike[str], target: str, *, smiles_column: str | None = None
) -> tuple[Task, pd.DataFrame]:
    """Read the molecules and the numbers of one column of a table.

    Every molecule stands there once, as the parent that featurizers keep of a salt: what was measured several
    times, or as a salt and as such, is averaged, or else a test part would hold molecules of the training
    part. Rows without a molecule or a number are left out, with the reason; so are molecules that have both
    classes.

    Parameters
    ----------
    path : path
        CSV, TSV or Parquet, also compressed by gzip.
    target : str
        Column of numbers. If they are 0 and 1 (or false and true), both and nothing else, these are two
        classes. Text like ``1_29`` is no number.
    smiles_column : str, optional
        By default the column called SMILES, in any case, or else the only one whose name contains it.

    Returns
    -------
    task : Task
        Its name is that of the column.
    left_out : DataFrame with columns index, input, reason
        Rows (0-based, the header not counted) that are not in it.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is no table, has no such column, or fewer than ten molecules with a number, or all the same.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> rows = "".join(f"{'C' * n}O,{n}\\n" for n in range(1, 12))
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "assay.csv")
    ...     _ = path.write_text(f"smiles,pki\\n{rows}OC,1.5\\nCCN,n.d.\\n")
    ...     task, left_out = read_assay(path, "pki")
    >>> len(task.smiles), float(task.y[0]), left_out["reason"].tolist()
    (11, 1.25, ["pki is no number: 'n.d.'"])
    """
    import pandas as pd

    path = Path(path)
    table, reasons = _read(path, target, smiles_column)
    kind: Literal["reg", "cls"] = "cls" if set(table["y"]) == {0.0, 1.0} else "reg"
    if kind == "cls":
        both = table.groupby("smiles")["y"].transform("nunique") > 1
        reasons += [(*row, "of both classes") for row in table.loc[both, ["index", "input"]].to_numpy()]
        table = table[~both]
    means = table.groupby("smiles", sort=False)["y"].mean()
    if len(means) < FEWEST:
        raise ValueError(
            f"{path}: {len(means)} molecules with a number in {target!r}, expected {FEWEST} or more"
            + (f"; row {reasons[0][0]}, {reasons[0][1]}: {reasons[0][2]}" if reasons else "")
        )
    if means.nunique() < 2:
        raise ValueError(f"{path}: all molecules have {means.iloc[0]:g} in {target!r}: nothing to predict")
    left_out = pd.DataFrame(sorted(reasons), columns=["index", "input", "reason"])
    return Task(target, kind, list(means.index), means.to_numpy(float), None, "", str(path)), left_out


def _read(
    path: Path, target: str, smiles_column: str | None
) -> tuple[pd.DataFrame, list[tuple[int, str, str]]]:
    """Rows ``index, input, smiles, y`` that have both, and ``(index, input, reason)`` of the others."""
    import pandas as pd

    from skmol3d.structures import StructureError, read_molecule, read_records
    from skmol3d.structures.errors import describe_input
    from skmol3d.structures.reading import TABLES, file_format

    if file_format(path) not in TABLES:
        raise ValueError(f"{path}: expected a table ({', '.join(TABLES)})")
    kept, reasons = [], []
    named: dict[str, object] = {}
    read = False
    for record in read_records(path, smiles_column=smiles_column):
        try:
            if isinstance(record.structure, StructureError):
                raise record.structure
            named, read = named | record.columns, True
            smiles = read_molecule(record.structure).smiles
            number = _number(record.columns.get(target), target)
        except StructureError as error:
            reasons.append((record.index, describe_input(record.structure), str(error)))
        else:
            kept.append((record.index, describe_input(record.structure), smiles, number))
    if target not in named:  # a row that is too short has none
        if read:
            raise ValueError(f"{path} has no column {target!r}; it has {', '.join(named) or 'no other'}")
        raise ValueError(reasons[0][2] if reasons else f"{path}: there is no row in it")
    return pd.DataFrame(kept, columns=["index", "input", "smiles", "y"]), reasons


def _number(value: Any, target: str) -> float:
    """The number in a cell; StructureError if there is none."""
    from skmol3d.structures import StructureError

    if isinstance(value, str):
        text = value.strip().lower()
        value = {"true": 1.0, "false": 0.0, "": None, "nan": None}.get(text, value)
    if value is None or value != value:
        raise StructureError(f"{target} is missing")
    if isinstance(value, str | Real | Decimal | np.bool_):  # a date would be a number of nanoseconds
        try:
            # Python reads 1_29 as 129, and digits of all scripts; in a table the first is a slip of the pen.
            written = not isinstance(value, str) or (text.isascii() and "_" not in text)
            number = float(value) if written else np.nan
        except ValueError:
            number = np.nan
        if np.isfinite(number):
            return number
    raise StructureError(f"{target} is no number: {value!r}")
