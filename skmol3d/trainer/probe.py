"""Linear probe: what a ridge regression makes of the descriptors while they are being trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.trainer.data.batches import bucketed
from skmol3d.trainer.data.sets import PackedSet

ALPHAS = np.logspace(-1, 5, 13)


@dataclass(frozen=True)
class ProbeSet:
    """Molecules of one task, of its training part alone: what probes choose must not have seen the test part.

    Attributes
    ----------
    name : str
    data : PackedSet
        Conformers; those of one molecule share their ``group``.
    targets : dict of float arrays [M]
        A value per conformer and target, NaN where unknown.
    """

    name: str
    data: PackedSet
    targets: dict[str, np.ndarray]

    def __post_init__(self) -> None:
        for name, values in self.targets.items():
            if len(values) != len(self.data):
                raise ValueError(
                    f"probe {self.name}: {len(values)} values of {name} for {len(self.data)} conformers"
                )


def read_probes(folder: Path) -> list[ProbeSet]:
    """Tasks packed by ``python -m skmol3d.trainer.data.pack probe``."""
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise FileNotFoundError(f"{folder}: no packed tasks; run `python -m skmol3d.trainer.data.pack probe`")
    sets = []
    for file in files:
        with np.load(file, allow_pickle=False) as data:
            count = len(data["offsets"]) - 1
            packed = PackedSet(
                numbers=data["numbers"],
                positions=data["positions"],
                offsets=data["offsets"],
                charge=data["charge"],
                group=np.arange(count),
                atom_targets={},
                molecule_targets={},
            )
            sets.append(ProbeSet(file.stem, packed, {"value": data["value"]}))
    return sets


class LinearProbe(Callback):
    """Score the averaged weights on tasks, before the first step and every ``every`` steps.

    Adds ``<set>.<target>.mae``, ``<set>.<target>.r2`` and their mean, ``probe_r2``, to ``evaluation.csv``.
    Predictions are out of fold (`cross_validated`). Nothing of it reaches the training.

    Parameters
    ----------
    sets : sequence of ProbeSet
    encode : callable
        ``encode(objective, batch)`` returns rows [B, D]: the averaged objective's descriptors.
    every : int
        Steps; the last step is scored too.
    """

    def __init__(
        self, sets: Sequence[ProbeSet], encode: Callable[[Any, AtomBatch], Tensor], every: int
    ) -> None:
        self.sets, self.encode, self.every = sets, encode, every

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        if trainer.global_step == 0:
            self._write(trainer, module)

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        if trainer.global_step % self.every == 0 or module.finished:
            self._write(trainer, module)

    def _write(self, trainer: lightning.Trainer, module: Any) -> None:
        if module.logs is not None:
            module.logs.evaluation.write(
                trainer.global_step, module.elapsed, self.scores(module.average.module)
            )

    def scores(self, objective: nn.Module) -> dict[str, float]:
        """Scores of an objective's descriptors."""
        objective.eval()
        row = {}
        for task in self.sets:
            rows = self._encoded(objective, task.data)
            for name, values in task.targets.items():
                known = np.isfinite(values)
                found = cross_validated(rows[known], values[known], task.data.group[known])
                row[f"{task.name}.{name}.mae"] = float(mean_absolute_error(values[known], found))
                row[f"{task.name}.{name}.r2"] = float(r2_score(values[known], found))
        return row | {"probe_r2": float(np.mean([v for k, v in row.items() if k.endswith(".r2")]))}

    def _encoded(self, objective: nn.Module, data: PackedSet) -> np.ndarray:
        device = next(objective.parameters()).device
        index = np.arange(len(data))
        order, rows = [], []
        with torch.no_grad():
            for part in bucketed(data.sizes, index, 2048, np.random.default_rng(0)):
                rows.append(self.encode(objective, data.batch(part)[0].to(device)).double().cpu().numpy())
                order.append(part)
        return np.concatenate(rows)[np.argsort(np.concatenate(order))]


def cross_validated(rows: np.ndarray, values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Out-of-fold predictions [M] of a ridge regression on standardised rows [M, D].

    Five folds, or as many as there are groups, by ``groups`` [M], none of which is in two folds; the penalty
    is chosen by leave-one-out error within the fold's training part.
    """
    found = np.empty(len(values))
    folds = GroupKFold(min(5, len(np.unique(groups))), shuffle=True, random_state=0)
    for train, test in folds.split(rows, values, groups):
        model = make_pipeline(StandardScaler(), RidgeCV(ALPHAS))
        found[test] = model.fit(rows[train], values[train]).predict(rows[test])
    return found
