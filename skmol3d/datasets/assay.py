"""A chemist's own table, with everything that real tables have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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
        Column of numbers. If they are 0 and 1, both and nothing else, these are two classes.
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
        If it is no table, has no such column, or fewer than ten molecules with a number.

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

    from skmol3d.structures import StructureError, read_molecule, read_records
    from skmol3d.structures.errors import describe_input
    from skmol3d.structures.reading import TABLES, file_format

    path = Path(path)
    if file_format(path) not in TABLES:
        raise ValueError(f"{path}: expected a table ({', '.join(TABLES)})")
    kept, reasons = [], []
    for record in read_records(path, smiles_column=smiles_column):
        if target not in record.columns:
            raise ValueError(f"{path} has no column {target!r}; it has {', '.join(record.columns)}")
        value = record.columns[target]
        number = pd.to_numeric(pd.Series([value]), errors="coerce").astype(float).iloc[0]
        given = describe_input(record.structure)
        reason = None
        try:
            if isinstance(record.structure, StructureError):
                raise record.structure
            smiles = read_molecule(record.structure).smiles
        except StructureError as error:
            reason = str(error)
        else:
            if not np.isfinite(number):
                missing = value is None or str(value).strip().lower() in ("", "nan")
                reason = f"{target} is missing" if missing else f"{target} is no number: {value!r}"
        if reason is None:
            kept.append((record.index, given, smiles, number))
        else:
            reasons.append((record.index, given, reason))
    table = pd.DataFrame(kept, columns=["index", "input", "smiles", "y"])
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
    left_out = pd.DataFrame(sorted(reasons), columns=["index", "input", "reason"])
    return Task(target, kind, list(means.index), means.to_numpy(float), None, "", str(path)), left_out
