"""Targets and classes: what users give, as floats with NaN where one is unknown."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils import check_consistent_length

from skmol3d.structures import iter_inputs

FEWEST = 10
"""Molecules with a known label that each task must have."""


def as_targets(X: Any, y: Any) -> tuple[list[Any], NDArray[Any]]:
    """Molecules in a list, and their labels [n] or [n, T]; ValueError if there are not as many."""
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    found = np.asarray(y)
    if found.dtype.kind in "US" and not isinstance(y, np.ndarray):
        found = np.asarray(y, dtype=object)  # in a list of texts NaN is not to be one
    if found.dtype == object:
        found = np.where(pd.isna(found), np.nan, found)  # pandas' NA compares to nothing
    if found.ndim == 2 and found.shape[1] == 1 and hasattr(y, "columns"):
        found = found[:, 0]
    if found.ndim not in (1, 2) or not found.size:
        raise ValueError(f"y must have shape [n] or [n, tasks]; got {list(found.shape)}")
    molecules = list(iter_inputs(X))
    check_consistent_length(molecules, found)
    return molecules, found


def numbers(y: NDArray[Any]) -> NDArray[np.float64]:
    """Targets as float64 [n, T], NaN where unknown; ValueError for what is no number, or infinite."""
    if y.dtype.kind in "mMc":
        raise ValueError(f"y must be numbers, NaN where unknown; got {y.dtype}")
    try:
        found = y.astype(np.float64).reshape(len(y), -1)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must be numbers, NaN where unknown: {error}") from error
    infinite = np.isinf(found).any(axis=1)
    if infinite.any():
        raise ValueError(f"y is infinite in row {int(np.flatnonzero(infinite)[0])}")
    return found


def classes_of(y: NDArray[Any]) -> list[NDArray[Any]]:
    """Classes of each task; ValueError if there is one only, or of several tasks more than two."""
    found = []
    for task, labels in enumerate(y.reshape(len(y), -1).T):
        which = "" if y.ndim == 1 else f" for task {task}"
        known = labels[~np.asarray(pd.isna(labels))]
        if known.dtype.kind == "f" and (known != np.rint(known)).any():
            raise ValueError("Unknown label type: continuous values; REM3DIRegressor is for numbers")
        if known.dtype == object and len({isinstance(label, str) for label in known}) > 1:
            raise ValueError(f"Unknown label type: y mixes text with other labels{which}")
        names = np.unique(known if known.dtype != object else np.array(known.tolist()))
        if len(names) < 2:
            raise ValueError(f"y has one class{which}, {names.tolist()}; two are needed to tell apart")
        if len(names) > 2 and y.ndim > 1:
            raise ValueError(f"y has {len(names)} classes{which}; several tasks have two each")
        found.append(names)
    return found


def binary(y: NDArray[Any], classes: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Labels as 1 for the second of two classes, 0 for the first, NaN for unknown: [n, T].

    A single task of more classes has a column for each, 1 for this class.
    """
    table = y.reshape(len(y), -1)
    if len(classes[0]) > 2:
        pairs = [(table[:, 0], name) for name in classes[0]]
    else:
        pairs = [(labels, names[1]) for labels, names in zip(table.T, classes, strict=True)]
    return np.stack(
        [np.where(pd.isna(labels), np.nan, np.asarray(labels == name, float)) for labels, name in pairs],
        axis=1,
    )


def named(p: NDArray[np.float64], names: NDArray[Any]) -> NDArray[Any]:
    """The most probable of classes by probabilities [n, classes]; NaN for rows of NaN."""
    failed = np.asarray(np.isnan(p).any(axis=1))
    chosen = names[np.where(failed[:, None], 0.0, p).argmax(axis=1)]
    if failed.any():
        chosen = chosen.astype(np.float64 if chosen.dtype.kind in "iuf" else object)
        chosen[failed] = np.nan
    return chosen


def weights_of(sample_weight: Any, count: int) -> NDArray[np.float64] | None:
    """Weights [n] of molecules, or None if none are given; ValueError for what is no weight."""
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must be numbers: {error}") from error
    if weights.shape != (count,):
        raise ValueError(f"sample_weight must have shape [{count}]; got {list(weights.shape)}")
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(wrong):
        raise ValueError(f"sample_weight is {weights[wrong[0]]} in row {wrong[0]}; it must be at least 0")
    return weights


def weights_of_classes(given: Any, tasks: list[NDArray[Any]], several: bool) -> list[Any]:
    """For each task a dict of weights by the names of its classes, or "balanced"; ValueError for others."""
    if not isinstance(given, list | tuple):
        given = [given] * len(tasks)
    elif not several:
        raise ValueError(f"class_weight is a list, as for several tasks, but y has one; got {given!r}")
    elif len(given) != len(tasks):
        raise ValueError(f"class_weight needs an entry for each of {len(tasks)} tasks; got {len(given)}")
    for own, names in zip(given, tasks, strict=True):
        if own is None or (isinstance(own, str) and own == "balanced"):
            continue
        if not isinstance(own, dict):
            raise ValueError(f"class_weight must be a dict, 'balanced' or None; got {own!r}")
        for name, weight in own.items():
            if name not in list(names):
                raise ValueError(f"class_weight names {name!r}, which is none of {names.tolist()}")
            if not (isinstance(weight, Real) and 0 < float(weight) < np.inf):
                raise ValueError(f"class_weight of {name!r} must be a positive number; got {weight!r}")
    return [{} if own is None else own for own in given]


def mean_score(
    metric: Callable[..., float], y: NDArray[Any], predicted: NDArray[Any], sample_weight: Any, least: int = 1
) -> float:
    """Mean of a metric over the tasks of labels [n] or [n, T] that have at least so many known labels.

    ValueError if none has, or a prediction is missing: what failed must not pass for predicted.
    """
    y, predicted = y.reshape(len(y), -1), predicted.reshape(len(y), -1)
    if y.shape != predicted.shape:
        raise ValueError(f"y has {y.shape[1]} tasks, but the estimator was fitted to {predicted.shape[1]}")
    failed = np.flatnonzero(pd.isna(predicted).any(axis=1))
    if len(failed):
        raise ValueError(
            f"{len(failed)} molecules failed and have no prediction to score, the first in row {failed[0]};"
            " SkipFailures around the estimator leaves them out"
        )
    weights = weights_of(sample_weight, len(y))
    weights = np.ones(len(y)) if weights is None else weights
    known = ~np.asarray(pd.isna(y)) & (weights > 0)[:, None]
    scores = []
    for task in np.flatnonzero(known.sum(axis=0) >= least):
        own = known[:, task]
        # Columns of different kinds come as objects, which scikit-learn's metrics do not take.
        labels, guess = (np.array(column[own, task].tolist()) for column in (y, predicted))
        scores.append(metric(labels, guess, sample_weight=weights[own]))
    if not scores:
        raise ValueError(f"no task of y has {least} known labels with a weight above 0 to score")
    return float(np.mean(scores))


def known_labels(
    wanted: NDArray[np.float64],
    molecules: list[Any],
    rows: NDArray[np.float32],
    weights: NDArray[np.float64] | None,
) -> tuple[list[Any], NDArray[np.float32], NDArray[np.float64], NDArray[np.float64] | None]:
    """Molecules, rows, targets [n, T] and weights [n] of what has a row, a label and a weight above 0.

    Weights are 1 on average. ValueError if there are too few molecules.
    """
    keep = np.isfinite(rows).all(axis=1) & np.isfinite(wanted).any(axis=1)
    if weights is not None:
        keep &= weights > 0
        weights = weights[keep] / weights[keep].mean() if keep.any() else None
    wanted = wanted[keep]
    known = np.isfinite(wanted).sum(axis=0)
    for task, count in enumerate(known):
        if count < FEWEST:
            which = "" if len(known) == 1 else f" for task {task}"
            raise ValueError(f"n_samples={count} molecules with a label{which}; at least {FEWEST} are needed")
    return [molecules[i] for i in np.flatnonzero(keep)], rows[keep], wanted, weights
