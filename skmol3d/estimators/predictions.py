"""What a fitted model says of molecules, each failure by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from skmol3d.featurizers import FeaturizationError, StructureFeaturizer
from skmol3d.hub import CheckpointError
from skmol3d.structures import Failure
from skmol3d.structures.errors import describe_input

EXAMPLE = "CCO"
"""A molecule that every model can predict: what comes out says which columns there are."""


def load_model(path: Path) -> Any:
    """What ``joblib.dump`` wrote of a model, set to say why molecules fail if it begins with a featurizer.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        model = joblib.load(path)
    except OSError:
        raise
    except Exception as error:  # unpickling runs the code of any class, which may raise anything
        told = f"{type(error).__name__}: {error}"
        raise ValueError(f"{path}: no model that joblib.dump wrote: {told}") from error
    if not hasattr(model, "predict"):
        raise ValueError(f"{path}: holds a {type(model).__name__}, not a fitted model")
    return with_reasons(model)


def with_reasons(model: Any) -> Any:
    """The model, set to say why molecules fail, if it is a pipeline that begins with a featurizer."""
    if isinstance(model, Pipeline) and isinstance(model[0], StructureFeaturizer):
        model[0].set_params(errors="raise", verbose=0)
    return model


def predicted(model: Any, structures: list[Any]) -> list[NDArray[Any]]:
    """Columns of predictions: values, by target; of classifiers probabilities, or else their score."""
    values = np.asarray(model.predict(structures))
    columns = list(values.T) if values.ndim == 2 else [values]
    if values.ndim == 1 and hasattr(model, "predict_proba"):
        columns += list(np.asarray(model.predict_proba(structures)).T)
    elif values.ndim == 1 and hasattr(model, "decision_function"):
        score = np.asarray(model.decision_function(structures))
        columns += [score] if score.ndim == 1 else []
    return columns


def prediction_columns(model: Any, path: str | Path) -> tuple[list[str], list[NDArray[Any]]]:
    """Names of the columns, and what stands in each for `EXAMPLE`.

    Raises
    ------
    ValueError
        If the model, which is that of `path`, takes something else than molecules.
    """
    try:
        columns = predicted(model, [EXAMPLE])
    except CheckpointError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # of any estimator
        told = str(error).partition("\n")[0]
        raise ValueError(f"{path}: the model does not take a list of SMILES: {told}") from error
    names = ["prediction"]
    if hasattr(model, "predict_proba") and len(columns) == 1 + len(getattr(model, "classes_", ())):
        names += [f"probability_{label}" for label in model.classes_]
    elif hasattr(model, "decision_function") and len(columns) == 2:
        names += ["score"]
    elif len(columns) > 1:
        names = [f"prediction_{i}" for i in range(len(columns))]
    return names, columns


def predict_or_say(
    model: Any, structures: list[Any], width: int
) -> tuple[list[NDArray[np.object_]], list[Failure]]:
    """Predictions, None for molecules that failed, and why they did.

    Parameters
    ----------
    model : estimator
        As `with_reasons` gives it.
    structures : list
        n molecules.
    width : int
        Columns of predictions.

    Returns
    -------
    columns : list of ndarray of object, shape [n]
    failures : list of Failure
    """
    failures: list[Failure] = []
    places = np.arange(len(structures))
    try:
        columns = predicted(model, structures)
    except FeaturizationError as error:
        failures = error.failures
        places = np.setdiff1d(places, [failure.index for failure in failures])
        # What worked is in the cache.
        good = [structures[i] for i in places]
        columns = predicted(model, good) if good else [np.zeros(0, object) for _ in range(width)]
    told = getattr(model, "failures_", None)  # of SkipFailures
    reasons = {} if told is None else dict(zip(told["index"], told["reason"], strict=True))
    missing = np.any([pd.isna(column) for column in columns], axis=0)
    failures = failures + [
        Failure(
            int(places[i]),
            describe_input(structures[places[i]]),
            reasons.get(i, "the prediction is not a number"),
        )
        for i in np.flatnonzero(missing)
    ]
    full = []
    for column in columns:
        values = np.full(len(structures), None, object)
        values[places[~missing]] = column[~missing]
        full.append(values)
    return full, sorted(failures, key=lambda failure: failure.index)
