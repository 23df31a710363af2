"""Predictions for a library: virtual screening with a fitted model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import skmol3d
from skmol3d.distributed.output import TOP, LibraryResult, part_path
from skmol3d.distributed.run import complete
from skmol3d.estimators.predictions import load_model, predict_or_say, prediction_columns
from skmol3d.featurizers.parameters import check_integer
from skmol3d.files import appearing, file_hash
from skmol3d.structures import Failure


def predict_library(
    library: Any,
    output: str | Path,
    model: str | Path,
    *,
    top: int | None = None,
    by: str | None = None,
    lowest: bool = False,
    scheduler: Any = "local",
    smiles_column: str | None = None,
    id_column: str | None = None,
    keep: Sequence[str] | None = None,
    partition_size: int = 4096,
    restart: bool = False,
    verbose: int = 0,
) -> LibraryResult:
    """Predict for millions of molecules with a fitted model on the workers of a Dask cluster.

    Rows are made and predicted from partition by partition, and not kept. Partitions are final, and a run
    that was stopped goes on, as with `featurize_library`. A molecule that fails costs its own prediction
    alone, however the model was told to treat failures.

    Parameters
    ----------
    library : Dask DataFrame, path, glob pattern or folder; or list of paths
        As in `featurize_library`.
    output : path
        Folder for the results, which all workers see.
    model : path
        What ``joblib.dump`` wrote of a fitted model that takes a list of molecules: a pipeline that begins
        with a featurizer, such a pipeline in `SkipFailures` or a search, or `REM3DIRegressor`. All workers
        see it. A pickle can run any code: open none that you do not trust.
    top : int, optional
        Keep this many molecules of the whole library, the best ones first, in ``output/top.parquet``; by
        default all are kept, in their order.
    by : str, optional
        Column by which the best are chosen; by default "prediction", or of a classifier of two classes the
        probability of the second, or the score.
    lowest : bool, default=False
        The lowest values are the best ones.
    scheduler, smiles_column, id_column, keep, partition_size, restart, verbose
        As in `featurize_library`.

    Returns
    -------
    LibraryResult
        The results have the columns "prediction" (of several targets "prediction_0", ...) and of a
        classifier with probabilities "probability_CLASS", of another one for two classes its "score".

    Raises
    ------
    LibraryError
        If the scheduler was lost or a partition could not be made.
    ValueError
        If the library cannot be read, `output` holds something else, there is no such column of numbers to
        choose by, or one was named without `top`.

    Examples
    --------
    >>> import pandas as pd
    >>> from skmol3d.distributed import predict_library
    >>> def screen():
    ...     done = predict_library("library/*.parquet", "hits", "model.joblib", top=1000)
    ...     return pd.read_parquet(done.output)
    """
    path = Path(model).resolve()
    digest = file_hash(path)
    job = PredictJob(path, digest, _fields(_load(path, digest), model))
    if top is not None:
        check_integer("top", top, 1)
        job = PredictJob(path, digest, job.fields, top, by or _default_column(job.fields), lowest)
        types = {field.name: field.type for field in job.fields}
        if job.by not in types:
            raise ValueError(f"by: the model gives no column {job.by!r}; there are: {', '.join(types)}")
        if pa.types.is_string(types[job.by]):
            raise ValueError(f"by: {job.by!r} holds texts, of which none is best; name a column of numbers")
    elif by is not None or lowest:
        raise ValueError("by and lowest say which are the best; give top, which says how many")
    task = {"task": "predict", "model": digest, "top": top, "by": job.by, "lowest": lowest}
    result = complete(
        library,
        Path(output),
        job,
        {**task, "skmol3d": skmol3d.__version__},
        scheduler=scheduler,
        smiles_column=smiles_column,
        id_column=id_column,
        keep=keep,
        partition_size=partition_size,
        restart=restart,
        verbose=verbose,
    )
    if top is not None:
        parts = sorted(part_path(result.output, 0, job.final).parent.glob("*.parquet"))
        [best] = job.select(pq.read_table(part) for part in parts)
        with appearing(result.output / TOP) as made:
            pq.write_table(best, made)
    return result


@dataclass(frozen=True)
class PredictJob:
    """Predictions of a model.

    Attributes
    ----------
    model : Path
        Of the pickle.
    digest : str
        Its hash.
    fields : list of pyarrow.Field
        Columns of the predictions.
    top, by, lowest
        As in `predict_library`.
    """

    model: Path
    digest: str
    fields: list[pa.Field]
    top: int | None = None
    by: str | None = None
    lowest: bool = False

    @property
    def final(self) -> bool:
        """All partitions are kept as they are, unless the best ones are looked for."""
        return self.top is None

    def compute(self, structures: list[object]) -> tuple[list[pa.Array], list[Failure]]:
        """Predictions, null where a molecule failed."""
        columns, failures = predict_or_say(_load(self.model, self.digest), structures, len(self.fields))
        arrays = [
            pa.array(column.tolist(), field.type) for column, field in zip(columns, self.fields, strict=True)
        ]
        return arrays, failures

    def select(self, tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """All, or the best of all tables, in this order; of equals the one that came first."""
        if self.top is None:
            yield from tables
            return
        best: pa.Table | None = None
        for table in tables:
            both = table if best is None else pa.concat_tables([best, table])
            scores = both[self.by].to_numpy().astype(float)
            scores = scores if self.lowest else -scores
            order = np.argsort(scores, kind="stable")  # what is missing comes last
            best = both.take(order[: min(self.top, np.count_nonzero(~np.isnan(scores)))])
        if best is not None:
            yield best


@lru_cache(maxsize=1)
def _load(path: Path, digest: str) -> Any:
    """The model, once per process."""
    if file_hash(path) != digest:
        raise ValueError(f"{path}: another model than when the run began")
    return load_model(path)


def _fields(model: Any, path: str | Path) -> list[pa.Field]:
    names, columns = prediction_columns(model, path)
    types = [pa.array(column.tolist()).type for column in columns]
    return [pa.field(name, type) for name, type in zip(names, types, strict=True)]


def _default_column(fields: list[pa.Field]) -> str:
    if len(fields) == 1 or (len(fields) in (2, 3) and fields[0].name == "prediction"):
        return str(fields[-1].name)
    raise ValueError(f"by: name the column to choose by, of: {', '.join(field.name for field in fields)}")
