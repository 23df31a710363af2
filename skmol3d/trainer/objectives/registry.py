"""Where objectives register, each in its own file, and where kinds of recipe find them.

An objective is a module with a class method ``build(names, *what)``, where ``names`` are those of its losses
that a recipe weights and ``what`` is the same for all objectives of a kind, and a method ``compute`` that
returns these losses by name.
"""

from __future__ import annotations

import math
import pkgutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from skmol3d.trainer.kinds import KINDS

Module = TypeVar("Module", bound=type[nn.Module])


@dataclass(frozen=True)
class Loss:
    """What a recipe may weight.

    Attributes
    ----------
    name : str
    about : str
        What is learned, with units, as the model card says it.
    label : str or None
        The target that a set must have for it.
    metric : str or None
        What the loss is called where it is reported as an error; None if it is none.
    per_atom : bool
        Whether it is a mean over atoms; others are over molecules.
    """

    name: str
    about: str
    label: str | None = None
    metric: str | None = None
    per_atom: bool = False


_registered: dict[str, dict[str, tuple[Loss, Any]]] = {}


def objective(kind: str, *losses: Loss) -> Callable[[Module], Module]:
    """Class decorator: offer an objective, by the names of its losses, to recipes of a kind.

    Raises
    ------
    ValueError
        If there is no such kind of recipe, or another objective of it has a loss of the same name.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of recipe {kind!r}; there are {', '.join(KINDS)}")

    def register(cls: Module) -> Module:
        known = _registered.setdefault(kind, {})
        taken = [loss.name for loss in losses if loss.name in known]
        if taken:
            raise ValueError(f"losses {taken} of {kind!r} are registered already")
        known.update({loss.name: (loss, cls) for loss in losses})
        return cls

    return register


def losses(kind: str) -> dict[str, Loss]:
    """The losses that recipes of a kind may weight, by name."""
    return {name: loss for name, (loss, _) in _of(kind).items()}


def check_weights(kind: str, weights: Mapping[str, float]) -> None:
    """Raise ValueError unless ``weights`` are of some losses of the kind, finite and not negative."""
    known = losses(kind)
    unknown = sorted(set(weights) - known.keys())
    if unknown or not weights:
        problem = f"no such losses {unknown}; there are" if unknown else "expected weights of some of"
        raise ValueError(f"weights: {problem} {', '.join(known)}")
    wrong = [name for name, weight in weights.items() if not 0 <= weight < math.inf]
    if wrong:
        raise ValueError(f"weights: {wrong[0]} must be finite and not negative, got {weights[wrong[0]]}")


def build(kind: str, names: Collection[str], *what: Any) -> nn.ModuleDict:
    """The objectives that have the losses ``names``, in the order in which these name them."""
    wanted: dict[Any, list[str]] = {}
    for name in names:
        wanted.setdefault(_of(kind)[name][1], []).append(name)
    return nn.ModuleDict({cls.__name__: cls.build(own, *what) for cls, own in wanted.items()})


def _of(kind: str) -> dict[str, tuple[Loss, Any]]:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        import_module(f"{__package__}.{module.name}")
    return _registered.get(kind, {})
