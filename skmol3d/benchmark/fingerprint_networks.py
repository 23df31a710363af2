"""The networks and the blending of fine-tuning on fingerprints: a rival that is tuned as hard."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from skmol3d.benchmark.methods import make_method
from skmol3d.estimators.finetuning.classifier import REM3DIClassifier
from skmol3d.estimators.finetuning.regressor import REM3DIRegressor


def method_rows(
    name: str, n_jobs: int | None = None, cache_dir: str | None = None
) -> Callable[[Iterable[str]], NDArray[np.float32]]:
    """What makes rows of SMILES by a method of the benchmark (`skmol3d.benchmark.methods.make_method`)."""
    method = make_method(name, n_jobs, cache_dir)
    made: Callable[[list[str]], NDArray[Any]] = method if callable(method) else method.transform
    return lambda smiles: np.asarray(made(list(smiles)), np.float32)


class _Rows:
    """Rows of a method where fine-tuned estimators expect a featurizer.

    Single missing values become the medians of the molecules of `fit`, as for all heads.
    """

    def __init__(self, name: str, n_jobs: int | None, cache_dir: str | None) -> None:
        self._made = method_rows(name, n_jobs, cache_dir)
        self.failures_ = pd.DataFrame(columns=["index", "input", "reason"])

    def fit(self, molecules: Sequence[str]) -> Self:
        self._medians = pd.DataFrame(self._made(molecules)).median().fillna(0.0).to_numpy(np.float32)
        return self

    def transform(self, molecules: Sequence[str]) -> NDArray[np.float32]:
        rows = self._made(molecules)
        return np.where(np.isnan(rows), self._medians, rows)

    def encoder(self) -> tuple[None, torch.device]:
        return None, torch.device("cpu")


class _OnRows:
    """Puts rows of the method called ``model`` in the place of REM3DI's; there is only a head to train."""

    def _make_featurizer(self: Any) -> Any:
        if self.train != "head":
            raise ValueError(f"train must be 'head' for rows of {self.model}, which no network makes")
        return _Rows(self.model, self.n_jobs, self.cache_dir)


class FingerprintRegressor(_OnRows, REM3DIRegressor):
    """`skmol3d.REM3DIRegressor` whose ``model`` is a method of the benchmark, such as "ecfp-count".

    The same ensemble of networks with two hidden layers, early stopping, kernel ridge regression and
    blending, on valid SMILES.
    """


class FingerprintClassifier(_OnRows, REM3DIClassifier):
    """`skmol3d.REM3DIClassifier` whose ``model`` is a method of the benchmark, such as "ecfp-count"."""
