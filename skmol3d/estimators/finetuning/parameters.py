"""The parameters of estimators that fine-tune."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from skmol3d.featurizers.parameters import check_choice, check_integer

if TYPE_CHECKING:
    from skmol3d.estimators.finetuning.records import TokenFeaturizer

OF_FEATURIZER = (
    "model",
    "revision",
    "device",
    "n_conformers",
    "relax",
    "time_limit",
    "standardise",
    "n_jobs",
    "cache_dir",
)
"""Parameters that go to the featurizer."""
AT_LEAST_ONE = ("n_estimators", "rank", "width", "epochs", "patience", "batch_size")


class FineTuningParameters(BaseEstimator):
    """Stores and checks them; `skmol3d.REM3DIRegressor` says what they mean."""

    ranges: ClassVar[dict[str, tuple[str, float, float]]] = {
        "dropout": ("from 0 to 0.9", 0.0, 0.9),
        "learning_rate": ("above 0", 1e-12, np.inf),
        "weight_decay": ("of at least 0", 0.0, np.inf),
        "validation_fraction": ("above 0 and at most 0.5", 1e-3, 0.5),
    }

    def __init__(
        self,
        model: str = "rem3di-small",
        train: str = "adapters",
        n_estimators: int = 5,
        rank: int = 8,
        width: int = 256,
        dropout: float = 0.3,
        epochs: int | None = None,
        patience: int = 4,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        validation_fraction: float = 0.2,
        warm_start: bool = False,
        n_conformers: int = 1,
        revision: str | None = None,
        device: str = "auto",
        relax: str | None = None,
        time_limit: float = 30.0,
        standardise: str | None = "parent",
        n_jobs: int | None = None,
        errors: str = "raise",
        cache_dir: str | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.train = train
        self.n_estimators = n_estimators
        self.rank = rank
        self.width = width
        self.dropout = dropout
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.n_conformers = n_conformers
        self.revision = revision
        self.device = device
        self.relax = relax
        self.time_limit = time_limit
        self.standardise = standardise
        self.n_jobs = n_jobs
        self.errors = errors
        self.cache_dir = cache_dir
        self.random_state = random_state
        self.verbose = verbose

    def _check_params(self) -> None:
        """Raise ValueError or TypeError for an invalid parameter; the featurizer checks its own."""
        check_choice("train", self.train, ("head", "adapters", "all"))
        check_choice("errors", self.errors, ("raise", "nan"))
        for name in AT_LEAST_ONE:
            if name != "epochs" or self.epochs is not None:
                check_integer(name, getattr(self, name), 1)
        for name, (words, low, high) in self.ranges.items():
            value = getattr(self, name)
            fine = isinstance(value, Real) and low <= float(value) <= high
            if not fine or np.isinf(float(value)):
                raise ValueError(f"{name} must be a number {words}; got {value!r}")

    def _make_featurizer(self) -> TokenFeaturizer:
        from skmol3d.estimators.finetuning.records import TokenFeaturizer

        settings = {name: getattr(self, name) for name in OF_FEATURIZER}
        return TokenFeaturizer(**settings, scaled=False, errors="nan", verbose=self.verbose)
