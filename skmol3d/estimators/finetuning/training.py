"""Training one network of an ensemble, and predicting with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from skmol3d.estimators.finetuning.network import FineTuned, RecordBatch
from skmol3d.estimators.finetuning.records import Record

AT_ONCE = 64
"""Molecules that are predicted together."""
WINDOW = 8
"""Batches among whose molecules those of similar size are put together: padding costs time."""
STEPS = 400
"""Of the optimiser, where the number of epochs is not given."""
WARM_UP = 0.1
"""Part of the steps in which the learning rate rises."""


@dataclass(frozen=True)
class Plan:
    """Settings of a training; `REM3DIRegressor` says what they mean."""

    classes: bool
    epochs: int | None
    patience: int
    batch_size: int
    learning_rate: float
    weight_decay: float


@dataclass(frozen=True)
class Examples:
    """Molecules as the network reads them.

    Attributes
    ----------
    rows : Tensor [n, columns]
        Standardised.
    records : list of list of Record, or None
        Conformers of each; None where only the head learns.
    wanted : Tensor [n, T]
        Standardised targets, or classes 0 and 1; NaN where unknown.
    weights : Tensor [n, T]
    """

    rows: Tensor
    records: Sequence[Sequence[Record]] | None
    wanted: Tensor
    weights: Tensor

    def size(self, molecule: int) -> int:
        """Tokens of a molecule."""
        return 1 if self.records is None else len(self.records[molecule][0].numbers)

    def conformers(self, molecule: int) -> int:
        """Conformers of a molecule."""
        return 1 if self.records is None else len(self.records[molecule])

    def read(self, places: Sequence[tuple[int, int]]) -> tuple[Tensor, RecordBatch | None]:
        """What the network takes of molecules and their conformers, by number."""
        device = self.rows.device
        rows = self.rows[torch.tensor([molecule for molecule, _ in places], device=device)]
        if self.records is None:
            return rows, None
        return rows, RecordBatch.from_records([self.records[m][c] for m, c in places], device)


def losses(found: Tensor, wanted: Tensor, weights: Tensor, classes: bool) -> Tensor:
    """Weighted loss of each task [T]: squared errors, or cross-entropies of logits.

    It is a sum over the known labels divided by the molecules, not by the labels: what one task's molecules
    teach must not depend on the labels that others lack.
    """
    known = torch.isfinite(wanted)
    target = torch.where(known, wanted, 0.0)
    if classes:
        each = functional.binary_cross_entropy_with_logits(found, target, reduction="none")
    else:
        each = (found - target).square()
    return (each * known * weights).sum(0) / len(found)


def train_network(
    network: FineTuned,
    examples: Examples,
    learn: NDArray[np.int64],
    check: NDArray[np.int64],
    plan: Plan,
    rng: np.random.RandomState,
    report: Callable[..., Any],
) -> list[dict[str, float]]:
    """Train on molecules ``learn``, and keep the weights of the epoch that was best on ``check``.

    Returns
    -------
    list of dict
        Losses of each epoch: ``loss`` in training and ``validation``. The first, epoch 0, is before training.
    """
    optimiser = torch.optim.AdamW(network.groups(plan.learning_rate), weight_decay=plan.weight_decay)
    each = -(-len(learn) // plan.batch_size)
    epochs = plan.epochs or -(-STEPS // each)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, partial(_rate, steps=epochs * each))
    best, best_epoch, kept, history = np.inf, 0, network.state(), []
    for epoch in range(epochs + 1):
        total = 0.0
        network.train()
        for index in _batches(learn, examples, plan.batch_size, rng) if epoch else ():
            places = [(int(m), rng.randint(examples.conformers(m))) for m in index]
            loss = _loss(network(*examples.read(places)), examples, index, plan)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for p in network.parameters() if p.requires_grad], 1.0)
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(index)
        found = torch.from_numpy(outputs(network, examples, check)).to(examples.rows.device)
        validation = float(_loss(found, examples, check, plan))
        history.append(
            {"epoch": epoch, "loss": total / len(learn) if epoch else np.nan, "validation": validation}
        )
        report(epoch=epoch, validation=f"{validation:.3f}")
        if validation < best:
            best, best_epoch, kept = validation, epoch, network.state()
        elif epoch - best_epoch >= plan.patience:
            break
    network.restore(kept)
    return history


def _rate(step: int, steps: int) -> float:
    """Part of the peak of the learning rate at a step: a rise, and half a cosine."""
    return min((step + 1) / max(1.0, WARM_UP * steps), 0.5 + 0.5 * math.cos(math.pi * step / steps))


def _loss(found: Tensor, examples: Examples, index: NDArray[np.int64], plan: Plan) -> Tensor:
    part = torch.from_numpy(index).to(found.device)
    return losses(found, examples.wanted[part], examples.weights[part], plan.classes).mean()


def outputs(network: FineTuned, examples: Examples, index: NDArray[np.int64]) -> NDArray[np.float32]:
    """Outputs [len(index), T] for molecules ``index``: means over their conformers."""
    network.eval()
    places = [(i, int(m), c) for i, m in enumerate(index) for c in range(examples.conformers(m))]
    places.sort(key=lambda place: examples.size(place[1]))
    total: NDArray[np.float32] | None = None
    for start in range(0, len(places), AT_ONCE):
        some = places[start : start + AT_ONCE]
        with torch.no_grad():
            found = network(*examples.read([(m, c) for _, m, c in some])).cpu().numpy()
        if total is None:
            total = np.zeros((len(index), found.shape[1]), np.float32)
        np.add.at(total, [i for i, _, _ in some], found)
    assert total is not None
    return np.asarray(total / np.array([[examples.conformers(m)] for m in index], np.float32), np.float32)


def _batches(
    molecules: NDArray[np.int64], examples: Examples, size: int, rng: np.random.RandomState
) -> Iterator[NDArray[np.int64]]:
    """All molecules once, in batches that are alike in size and otherwise random."""
    order = rng.permutation(molecules)
    found = []
    for start in range(0, len(order), WINDOW * size):
        window = order[start : start + WINDOW * size]
        window = window[np.argsort([examples.size(m) for m in window], kind="stable")]
        found += [window[i : i + size] for i in range(0, len(window), size)]
    for k in rng.permutation(len(found)):
        yield found[k]
