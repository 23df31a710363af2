"""Small made-up tasks: no featurizer, no file, no network."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
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


# task: kind, then MAE (lower is better) or AUROC (higher is better) of ours, rival a, rival b
SCORES = {
    "t1": ("reg", 1.0, 2.0, 3.0),
    "t2": ("reg", 0.5, 0.4, 0.6),
    "t3": ("cls", 0.9, 0.8, 0.9),
    "t4": ("cls", 0.7, 0.6, 0.5),
}


@pytest.fixture
def results():
    rows = []
    for task, (kind, *scores) in SCORES.items():
        for method, value in zip(("rem3di", "ecfp", "ecfp-count"), scores, strict=True):
            worse = value * 1.5 if kind == "reg" else value - 0.1
            # The linear head looks better inside the training part, the forest is better on the test part.
            for head, test, inner in (("forest", value, worse), ("linear", worse, value)):
                rows.append((task, kind, "eV", method, 0, 0, head, 0, 0, test, inner, 80, 20, 0))
    names = (
        "task kind unit method n_failed n_dropped head repeat fold score inner_score n_train n_test n_seen"
    )
    return pd.DataFrame(rows, columns=names.split())
