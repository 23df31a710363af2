"""Rows of a library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse
from numpy.typing import NDArray

from skmol3d.distributed.output import LibraryResult
from skmol3d.distributed.run import complete
from skmol3d.featurizers import MoleculeFeaturizer, REM3DIFeaturizer
from skmol3d.featurizers.identity import identity
from skmol3d.featurizers.parameters import check_choice
from skmol3d.structures import Failure
from skmol3d.structures.errors import describe_input

COUNTS = pa.int16()
TYPES = {"float32": pa.float32(), "float16": pa.float16()}


def featurize_library(
    library: Any,
    output: str | Path,
    featurizer: MoleculeFeaturizer | None = None,
    *,
    scheduler: Any = "local",
    smiles_column: str | None = None,
    id_column: str | None = None,
    keep: Sequence[str] | None = None,
    dtype: str = "float32",
    partition_size: int = 4096,
    restart: bool = False,
    verbose: int = 0,
) -> LibraryResult:
    """Featurize millions of molecules on the workers of a Dask cluster, into partitioned Parquet.

    Each partition is final when it is there. Whatever is killed, the client, a worker or the scheduler, costs
    at most the partitions in flight, and the same call goes on with those that are missing. A molecule that
    fails costs its own row alone.

    Parameters
    ----------
    library : Dask DataFrame, path, glob pattern or folder; or list of paths
        Parquet, CSV, SMILES, SD or XYZ files, of one format and with the same columns, that all workers see;
        or a DataFrame of Dask, whose partitions stay as they are.
    output : path
        Folder for the results, which all workers see; ``pandas.read_parquet`` and ``dask.dataframe`` read
        it.
    featurizer : featurizer of molecules, optional
        By default `REM3DIFeaturizer`. Its ``n_jobs`` are processes of each worker.
    scheduler : str or dask.distributed.Client, default="local"
        "local" for the cores of this machine, "local:4" for four workers; an address such as
        "tcp://head:8786"; or a client. Workers have one thread each.
    smiles_column, id_column : str, optional
        Of a table; by default those called SMILES and id (or name), in any case.
    keep : sequence of str, optional
        Columns, or properties of an SD file, that stand beside ids, SMILES and rows; by default all. Those of
        Parquet and DataFrames keep their types, others are text.
    dtype : {"float32", "float16"}, default="float32"
        How columns are stored that are no whole numbers; those that are become int16. A number that does not
        fit is a failure of its molecule.
    partition_size : int, default=4096
        Molecules of a partition, at most. Partitions of a DataFrame have the sizes that they have.
    restart : bool, default=False
        Discard what an earlier run left in `output`.
    verbose : int, default=0
        Show progress on stderr if not 0.

    Returns
    -------
    LibraryResult

    Raises
    ------
    LibraryError
        If the scheduler was lost or a partition could not be made.
    ValueError
        If the library cannot be read, or `output` holds something else: results of other files, columns,
        parameters, weights or versions, which are named.
    TypeError
        If `featurizer` is none of molecules.

    Notes
    -----
    A cluster of this machine starts processes, so that a script calls this below
    ``if __name__ == "__main__":``.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmol3d import ECFPFeaturizer
    >>> from skmol3d.distributed import featurize_library
    >>> def screen():
    ...     done = featurize_library("library/*.parquet", "rows", ECFPFeaturizer(), scheduler="local:2")
    ...     return pd.read_parquet(done.output)
    """
    check_choice("dtype", dtype, tuple(TYPES))
    featurizer = REM3DIFeaturizer() if featurizer is None else deepcopy(featurizer)
    if not isinstance(featurizer, MoleculeFeaturizer):
        raise TypeError(f"featurizer must be one of molecules; got {featurizer!r}")
    featurizer.set_params(errors="nan", verbose=0)
    if not hasattr(featurizer, "checkpoint_"):
        featurizer.fit(())
    job = FeaturizeJob(
        featurizer, list(featurizer.get_feature_names_out()), featurizer.integer_columns(), dtype
    )
    return complete(
        library,
        Path(output),
        job,
        {"task": "featurize", **identity(featurizer), "dtype": dtype},
        scheduler=scheduler,
        smiles_column=smiles_column,
        id_column=id_column,
        keep=keep,
        partition_size=partition_size,
        restart=restart,
        verbose=verbose,
        processes=featurizer.n_jobs not in (None, 1),
    )


@dataclass(frozen=True)
class FeaturizeJob:
    """Rows of a featurizer, whole numbers as such.

    Attributes
    ----------
    featurizer : MoleculeFeaturizer
        With ``errors="nan"``.
    names : list of str
        Of its columns.
    whole : ndarray of bool, shape [n_features]
        Which of them are whole numbers.
    dtype : str
        Of the others.
    """

    featurizer: MoleculeFeaturizer
    names: list[str]
    whole: NDArray[np.bool_]
    dtype: str
    final = True

    @cached_property
    def fields(self) -> list[pa.Field]:
        """Columns of the rows."""
        types = [COUNTS if whole else TYPES[self.dtype] for whole in self.whole]
        return [pa.field(name, type) for name, type in zip(self.names, types, strict=True)]

    def compute(self, structures: list[object]) -> tuple[list[pa.Array], list[Failure]]:
        """Rows by columns, null where a molecule failed."""
        rows = self.featurizer.transform(structures)
        rows = rows.toarray() if scipy.sparse.issparse(rows) else np.asarray(rows)
        failures = {
            i: Failure(i, text, reason)
            for i, text, reason in self.featurizer.failures_.itertuples(index=False)
        }
        good = np.ones(len(rows), bool)
        good[list(failures)] = False
        for i, column in self._unfit(rows, good):
            reason = (
                f"{self.names[column]} is {rows[i, column]:.9g}, which {self.fields[column].type} cannot hold"
            )
            failures[i] = Failure(i, describe_input(structures[i]), reason)
            good[i] = False
        rows[~good] = 0  # as good as any under the mask
        columns = np.ascontiguousarray(rows.T)
        arrays = [
            pa.array(column.astype(field.type.to_pandas_dtype()), field.type, mask=~good)
            for column, field in zip(columns, self.fields, strict=True)
        ]
        return arrays, [failures[i] for i in sorted(failures)]

    def _unfit(self, rows: NDArray[np.float32], good: NDArray[np.bool_]) -> list[tuple[int, int]]:
        """Rows that hold a number that would be stored as another one, with the first such column."""
        bad = np.zeros(rows.shape, bool)
        counts = rows[:, self.whole]
        bad[:, self.whole] = (counts != counts.round()) | (np.abs(counts) > np.iinfo(np.int16).max)
        if self.dtype == "float16":
            bad[:, ~self.whole] = np.abs(rows[:, ~self.whole]) > np.finfo(np.float16).max
        bad[~good] = False
        return [(int(i), int(bad[i].argmax())) for i in np.flatnonzero(bad.any(axis=1))]

    def select(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """All of them."""
        yield from tables
