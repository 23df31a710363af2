"""The metric of each kind of task."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import mean_absolute_error, roc_auc_score

METRIC = {"reg": "MAE", "cls": "AUROC"}

Matrix = NDArray[np.floating]


def score(kind: str, y: NDArray, prediction: NDArray) -> float:
    """Return the metric of a task: MAE in the unit of `y` (``reg``), or AUROC (``cls``)."""
    return float(mean_absolute_error(y, prediction) if kind == "reg" else roc_auc_score(y, prediction))


def better(kind: str, first: float, second: float) -> bool:
    """Whether `first` is strictly the better score: lower MAE, higher AUROC."""
    return first < second if kind == "reg" else first > second
