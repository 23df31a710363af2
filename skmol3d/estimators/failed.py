"""What failed, and predictions around it: what `SkipFailures` asks of what it is around."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import get_tags


def spread(known: Any, kept: NDArray[np.intp], size: int) -> NDArray[Any]:
    """What was predicted for the molecules ``kept``, in their places of ``size``; NaN elsewhere."""
    known = np.asarray(known)
    kind = {"f": known.dtype, "i": np.dtype(float), "u": np.dtype(float)}
    predicted = np.full((size, *known.shape[1:]), np.nan, kind.get(known.dtype.kind, np.dtype(object)))
    predicted[kept] = known[: len(kept)]
    return predicted


def reads_molecules(estimator: Any) -> bool:
    """Whether an estimator reads molecules itself, and by ``errors="nan"`` leaves out those that fail."""
    return (
        hasattr(estimator, "predict")
        and "errors" in estimator.get_params(deep=False)
        and get_tags(estimator).input_tags.string
    )


def failures_of(featurizer: Any) -> pd.DataFrame | None:
    """What the featurizers of a first step tell of failures, each molecule once."""
    tables = _tables(featurizer)
    if not tables:
        return None
    return pd.concat(tables).drop_duplicates("index").sort_values("index", ignore_index=True)


def _tables(part: Any) -> list[pd.DataFrame]:
    """Failures of a featurizer, or of those inside a pipeline, a union or a column transformer."""
    if hasattr(part, "failures_"):
        return [part.failures_]
    for attribute in ("transformers_", "transformer_list", "steps"):
        if hasattr(part, attribute):
            return [table for entry in getattr(part, attribute) for table in _tables(entry[1])]
    return []
