"""A bound on what the settings of a checkpoint may make us allocate."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from skmol3d.encoders.config import tables_are_made

MAKERS = (
    *(torch.empty, torch.zeros, torch.ones, torch.full, torch.eye),
    *(torch.rand, torch.randn, torch.linspace, torch.arange),
)
SPARE = 200_000  # elements of tensors that are no weights
SPARE_TIMES = 3  # weights are made more than once; mace-torch makes 2.4 times those of MACE-OFF23


class Allowance(TorchFunctionMode):
    """Context in which a network is built that must not outgrow its weights.

    Settings are numbers that strangers wrote. Without this, a width of 100,000 takes all memory, and a
    billion layers for ever, before the shapes of the weights are compared.

    Parameters
    ----------
    elements : int
        Numbers that the file of weights holds.
    """

    def __init__(self, elements: int) -> None:
        super().__init__()
        self.elements = elements
        self.left = SPARE_TIMES * elements + SPARE

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call `function`, or raise ValueError instead if it asks for more than is left."""
        kwargs = kwargs or {}
        # With a generator: e3nn's million numbers that normalise an activation, whatever the settings are.
        if function in MAKERS and kwargs.get("generator") is None and not tables_are_made():
            self.left -= math.prod(_numbers([*args, kwargs.get("size"), kwargs.get("steps")]))
            if self.left < 0:
                raise ValueError(f"they describe more than the {self.elements} weights that the file holds")
        return function(*args, **kwargs)


@contextmanager
def building(weights: Mapping[str, torch.Tensor]) -> Iterator[None]:
    """Context in which a network is built that ``weights`` will overwrite, and which must not outgrow them.

    To draw its random initial ones must not move the caller's random numbers.
    """
    allowance = Allowance(sum(value.numel() for value in weights.values()))
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), allowance:
        yield


def _numbers(value: Any) -> list[int]:
    """Positive whole numbers in nested sequences: sizes, whose product is the number of elements."""
    if isinstance(value, int):
        return [max(value, 1)]
    return [n for item in value for n in _numbers(item)] if isinstance(value, list | tuple) else []
