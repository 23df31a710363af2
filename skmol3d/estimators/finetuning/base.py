"""What the fine-tuned regressor and classifier share: molecules, ensemble, blending, and keeping all that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from tqdm import tqdm

from skmol3d.estimators.finetuning.frozen import FrozenStart, RowScaler
from skmol3d.estimators.finetuning.keeping import Kept
from skmol3d.estimators.finetuning.parameters import FineTuningParameters
from skmol3d.estimators.kernel_ridge import numbered
from skmol3d.featurizers.base import FeaturizationError
from skmol3d.structures import Failure, iter_inputs
from skmol3d.structures.errors import describe_input

if TYPE_CHECKING:
    from skmol3d.estimators.finetuning.network import FineTuned
    from skmol3d.estimators.finetuning.records import TokenFeaturizer
    from skmol3d.estimators.finetuning.training import Examples

DOUBT = 100.0
"""Molecules that equal shares of kernel and network count for: held-out molecules tell of single networks,
and an ensemble is better."""


class FineTunedEstimator(Kept, FineTuningParameters):
    """Base of `REM3DIRegressor` and `REM3DIClassifier`, which store the parameters.

    Of each task there is a float target per molecule, NaN where it is unknown: standardised values, or
    classes 0 and 1.
    """

    _classes: bool
    _trained: str
    _sizes: tuple[int, int, int]
    _flat: bool

    def _goes_on(self) -> bool:
        """Whether a fit begins with the networks of the last one."""
        return bool(self.warm_start) and hasattr(self, "members_")

    def _calibrate(
        self, honest: NDArray[np.float64], wanted: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> None:
        """Learn `_of_kernel` from predictions [n, T] by kernels that did not know the targets."""

    def _of_kernel(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is blended of a kernel's predictions."""
        return predicted

    def _of_network(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is blended of a network's outputs."""
        return found

    # --- molecules -----------------------------------------------------------------------------------------

    def _read(self, featurizer: TokenFeaturizer, X: Any) -> tuple[list[Any], NDArray[np.float32]]:
        """All inputs, and their frozen rows, NaN for failures if these are not errors."""
        molecules = list(iter_inputs(X))
        rows = featurizer.transform(molecules)
        self.failures_ = featurizer.failures_
        if len(self.failures_) and self.errors == "raise":
            table = self.failures_.itertuples(index=False)
            raise FeaturizationError([Failure(*failure) for failure in table], len(molecules))
        return molecules, rows

    def _examples(
        self,
        featurizer: TokenFeaturizer,
        molecules: list[Any],
        rows: NDArray[np.float32],
        wanted: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> Examples:
        import torch

        from skmol3d.estimators.finetuning.training import Examples

        _, device = featurizer.encoder()
        records = None if self._trained == "head" else featurizer.records(molecules)
        parts = (self._scaler.transform(rows), wanted.astype(np.float32), weights.astype(np.float32))
        tensors = [torch.from_numpy(part).to(device) for part in parts]
        return Examples(tensors[0], records, tensors[1], tensors[2])

    # --- fitting -------------------------------------------------------------------------------------------

    def _fit(
        self,
        featurizer: TokenFeaturizer,
        molecules: list[Any],
        rows: NDArray[np.float32],
        wanted: NDArray[np.float64],
        weights: NDArray[np.float64],
        of_molecules: NDArray[np.float64] | None,
    ) -> None:
        """Fit kernels and networks to targets [n, T], and measure what each is worth.

        ``weights`` [n, T] hold those of the molecules [n], which alone the kernels know.
        """
        import torch

        from skmol3d.estimators.finetuning.training import Plan, outputs, train_network

        rng = check_random_state(self.random_state)
        warm = self._goes_on()
        if warm and (self._trained, self._sizes) != (self.train, (self.rank, self.width, wanted.shape[1])):
            raise ValueError(
                "warm_start goes on with the networks of the last fit: train, rank, width and the number of"
                " tasks must be the same"
            )
        if not warm:
            self._scaler = RowScaler.fit(rows)
            self.members_: list[dict[str, NDArray[np.float32]]] = []
        if numbered(rows).max() == 0 or not self._scaler.kept.any():
            raise ValueError(
                f"all {len(rows)} molecules to fit have the same frozen row, that of"
                f" {describe_input(molecules[0])}: nothing tells them apart, and none can be held out"
            )
        self._trained, self._sizes = self.train, (int(self.rank), int(self.width), wanted.shape[1])
        self.featurizer_ = featurizer
        kind = "cls" if self._classes else "reg"
        self._start, honest = FrozenStart.fit(kind, rows, wanted, rng, of_molecules)
        self._calibrate(honest, wanted, weights)
        honest = self._of_kernel(honest)
        examples = self._examples(featurizer, molecules, rows, wanted, weights)
        plan = Plan(
            self._classes,
            None if self.epochs is None else int(self.epochs),
            *(int(v) for v in (self.patience, self.batch_size)),
            *(float(v) for v in (self.learning_rate, self.weight_decay)),
        )
        count = int(self.n_estimators)
        left_out = np.zeros(wanted.shape)
        times = np.zeros(len(rows), int)
        squares = np.zeros(wanted.shape)
        histories = []
        members: list[dict[str, NDArray[np.float32]]] = []
        device = examples.rows.device
        bar = tqdm(total=count, desc=type(self).__name__, unit=" networks", disable=not self.verbose)
        with bar, torch.random.fork_rng([device] if device.type == "cuda" else []):
            for k, (learn, check) in enumerate(self._parts(numbered(rows), wanted, count, rng)):
                torch.manual_seed(int(rng.randint(2**31 - 1)))
                network = self._network()
                if k < len(self.members_):
                    network.restore(self.members_[k])
                elif network.encoder is not None:
                    self._standardise(network, examples, learn)
                history = train_network(network, examples, learn, check, plan, rng, bar.set_postfix)
                histories.append(pd.DataFrame(history).assign(network=k))
                found = self._of_network(outputs(network, examples, check).astype(np.float64))
                left_out[check] += found
                squares[check] += (found - honest[check]) ** 2
                times[check] += 1
                members.append(network.state())
                bar.update()
        self.members_ = members
        self.history_ = pd.concat(histories, ignore_index=True)
        seen = times > 0
        self._blend(
            honest[seen],
            left_out[seen] / times[seen, None],
            squares[seen] / times[seen, None],
            wanted[seen],
            weights[seen],
        )

    def _parts(
        self,
        numbers: NDArray[np.intp],
        wanted: NDArray[np.float64],
        count: int,
        rng: np.random.RandomState,
    ) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Molecules that each network learns from, and those that stop it early.

        Those with the same of ``numbers`` [n] are on one side: a network that has learned one measurement of
        a molecule says nothing of its errors by another.
        """
        _, first = np.unique(numbers, return_index=True)
        folds = max(2, min(len(first), round(1 / float(self.validation_fraction))))
        strata = wanted[first, 0]
        plain = not self._classes or wanted.shape[1] > 1 or np.bincount(strata.astype(int)).min() < folds
        parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        while len(parts) < count:
            seed = int(rng.randint(2**31 - 1))
            splitter = (KFold if plain else StratifiedKFold)(folds, shuffle=True, random_state=seed)
            for _, held in splitter.split(first, strata):
                out = np.isin(numbers, held)
                parts.append((np.flatnonzero(~out), np.flatnonzero(out)))
        return parts[:count]

    def _network(self) -> FineTuned:
        from skmol3d.estimators.finetuning.network import FineTuned

        encoder, device = self.featurizer_.encoder()
        rank, width, tasks = self._sizes
        dropout = float(self.dropout)
        columns = len(self._scaler.mean)
        return FineTuned(encoder, self._trained, rank, columns, tasks, width, dropout).to(device)

    def _standardise(self, network: FineTuned, examples: Examples, learn: NDArray[np.int64]) -> None:
        import torch

        with torch.no_grad():
            parts = [
                network.pooled(examples.read([(int(m), 0) for m in learn[start : start + 64]])[1])
                for start in range(0, len(learn), 64)
            ]
        network.standardise(torch.cat(parts))

    def _blend(
        self,
        kernel: NDArray[np.float64],
        network: NDArray[np.float64],
        squares: NDArray[np.float64],
        wanted: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        """Shares of the networks, and how errors grow where they and the kernel disagree."""
        from scipy.optimize import nnls

        self.shares_ = np.empty(wanted.shape[1])
        self._errors = np.zeros((wanted.shape[1], 2))
        for task, y in enumerate(wanted.T):
            known = np.isfinite(y)
            if not known.any():  # none among the molecules that stopped a network
                self.shares_[task] = 0.5
                continue
            weight = weights[known, task]
            apart = network[known, task] - kernel[known, task]
            doubt = DOUBT * np.average(apart**2, weights=weight) * weight.mean() + 1e-12
            gain = (weight * apart * (y[known] - kernel[known, task])).sum()
            self.shares_[task] = np.clip((gain + 0.5 * doubt) / ((weight * apart**2).sum() + doubt), 0, 1)
            error = (y[known] - kernel[known, task] - self.shares_[task] * apart) ** 2
            own = squares[known, task]
            slope = nnls(np.stack([np.ones(len(own)), own], axis=1), error)[0][1]
            # Of a few molecules all errors may seem to come from disagreement: at most half of them count so.
            slope = min(slope, 0.5 * error.mean() / max(own.mean(), 1e-12))
            self._errors[task] = error.mean() - slope * own.mean(), slope

    # --- predicting ----------------------------------------------------------------------------------------

    def _predicted(self, X: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Blended predictions and variances [n, T], rows of NaN for molecules that failed."""
        from skmol3d.estimators.finetuning.training import outputs

        check_is_fitted(self)
        molecules, rows = self._read(self.featurizer_, X)
        good = np.flatnonzero(np.isfinite(rows).all(axis=1))
        mean = np.full((len(rows), len(self.shares_)), np.nan)
        variance = mean.copy()
        if not len(good):
            return mean, variance
        kernel = self._of_kernel(self._start.predict(rows[good]))
        empty = np.full(kernel.shape, np.nan)
        examples = self._examples(self.featurizer_, [molecules[i] for i in good], rows[good], empty, empty)
        network = self._network()
        found = []
        for state in self.members_:
            network.restore(state)
            found.append(
                self._of_network(outputs(network, examples, np.arange(len(good))).astype(np.float64))
            )
        mean[good] = kernel + self.shares_ * (np.mean(found, axis=0) - kernel)
        variance[good] = self._errors[:, 0] + self._errors[:, 1] * np.mean((found - kernel) ** 2, axis=0)
        return mean, variance

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.non_deterministic = False
        return tags
