"""Checks of parameters, whose messages name the parameter."""

from __future__ import annotations

import os
from collections.abc import Sequence
from numbers import Integral

import numpy as np


def check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}")


def check_integer(name: str, value: object, minimum: int | None = None) -> None:
    """Raise TypeError unless `value` is an integer, ValueError if it is below `minimum`."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer; got {value!r}")
    if minimum is not None and int(value) < minimum:
        raise ValueError(f"{name} must be at least {minimum}; got {value!r}")


def check_names(name: str, value: object, known: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """The names in a list, tuple or array.

    TypeError for anything else: sets have another order in every process, and columns of a stored model would
    change their places. ValueError for no name, for one that stands twice or is not among the `known` ones.
    """
    listed = list(value) if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) else None
    if listed is None or not all(isinstance(item, str) for item in listed):
        example = f", e.g. ({known[0]!r},)" if known else ""
        raise TypeError(f"{name} must be a list or tuple of names{example}; got {value!r}")
    if known is not None:
        for item in listed:
            check_choice(f"every item of {name}", item, known)
    if not listed or len(set(listed)) < len(listed):
        raise ValueError(f"{name} must have at least one item and none twice; got {value!r}")
    return tuple(listed)


def check_path(name: str, value: object) -> None:
    """Raise TypeError unless `value` is None or a path, ValueError if it is empty text."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise TypeError(f"{name} must be a path or None; got {value!r}")
    if value == "":
        raise ValueError(f"{name} is empty; '.' is the working directory, None is none")
