"""Small made-up tasks: no featurizer, no file, no network."""

from dataclasses import dataclass

import numpy as np
import pytest


@dataclass
class MadeTask:
    """The attributes the protocol reads of a `skmol3d.datasets.Task`."""

    name: str
    kind: str
    smiles: list[str]
    y: np.ndarray
    split: np.ndarray | None
    unit: str = "eV"
    source: str = "made up"


@pytest.fixture
def panel():
    """A regression and a classification task that share half of their molecules, and their features."""
    rng = np.random.default_rng(0)
    smiles = ["C" * i for i in range(1, 91)]
    X = rng.normal(size=(90, 12)).astype(np.float32)
    signal = X @ rng.normal(size=12)
    split = np.array(["train"] * 45 + ["test"] * 15)
    first = MadeTask("first", "reg", smiles[:60], signal[:60] + 0.3 * rng.normal(size=60), split)
    second = MadeTask("second", "cls", smiles[30:], (signal[30:] > 0).astype(float), split[::-1].copy())
    return [first, second], X
