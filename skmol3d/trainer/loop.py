"""One training loop for every recipe, on Lightning: schedule, EMA, resume, logs, safeguards.

What a resumed run promises: if steps alone end it and its batches are a function of their number (packed
data: `skmol3d.trainer.data.batches.Mixture`), a run that was killed and resumed equals one that was not, bit
for bit, on the same machine with the same libraries: weights, optimiser, logs and metrics. A run that
``schedule.minutes`` limits does not, as its learning rate follows the clock; and neither does one with
conformers embedded meanwhile (`skmol3d.trainer.data.online`), which come as the workers make them. Such runs
go on from their last state, with another learning rate or other batches.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor, nn

from skmol3d.inference import prime_malloc
from skmol3d.trainer.data.ahead import ahead
from skmol3d.trainer.data.batches import Batch, one_by_one
from skmol3d.trainer.logs import Bar, Logging, Logs, Saving
from skmol3d.trainer.schedule import Schedule

NAMED = 5  # offending molecules that an error names

logging.getLogger("lightning.pytorch.utilities.rank_zero").setLevel(logging.WARNING)  # no advertisements


class NonFiniteLossError(RuntimeError):
    """A loss or its gradient became infinite or NaN."""


def train(
    objective: nn.Module,
    batches: Callable[..., Iterator[Batch]],
    weights: dict[str, float],
    schedule: Schedule,
    out: Path,
    *,
    evaluate: Callable[[nn.Module], dict[str, float]],
    resume: bool = False,
    log_every: int = 500,
    evaluate_every: int = 4000,
    device: str = "cpu",
    devices: int = 1,
    nodes: int = 1,
    precision: str = "32-true",
    seed: int = 0,
    collapse: float = 0.1,
    callbacks: Sequence[Callback] = (),
) -> nn.Module:
    """Train ``objective`` and return a copy of it, on the CPU, with the averaged weights.

    With several processes (Lightning's DDP: one per device, on one or more nodes) each takes its own batch of
    a step, and the loss is the mean over the processes: that of the joint batch if all batches hold equally
    many molecules and atoms. Every process returns; only where `main_process` is true may files be written.

    Parameters
    ----------
    objective : Module
        ``objective(batch, targets)`` returns a dict of scalar losses.
    batches : callable
        ``batches(start)`` returns an endless iterator from batch ``start`` on, the same ones every time, so
        that a resumed run sees the data it would have seen; several processes call
        ``batches(start, stride)``. `skmol3d.trainer.data.batches.Mixture` is one.
    weights : dict
        Weight of each loss; losses and weights must have the same names.
    schedule : Schedule
        Length, learning rate and averaging.
    out : Path
        Receives ``log.csv``, ``evaluation.csv``, ``tensorboard/`` and ``state.pt`` (for resuming), which is
        replaced at every evaluation and every three minutes. All nodes must see it.
    evaluate : callable
        ``evaluate(objective)`` with the averaged weights, on the training device, returns a row for
        ``evaluation.csv``; the first row, of step 0, is the untrained network's.
    resume : bool
        Continue from ``state.pt`` and append to the logs; otherwise state and logs start afresh. What that
        promises says the head of this module.
    log_every, evaluate_every : int
        Steps between rows of the two logs; the last step has a row in both.
    device, devices, nodes, precision : str, int, int, str
        Lightning's accelerator ("cpu", "cuda", "auto"), its number per node, the number of nodes, and
        "32-true", "bf16-mixed" or "16-mixed".
    seed : int
        Of the objectives' noise, a function of seed, step and process; a resumed run repeats it.
    collapse : float
        Least share of the largest ``effective_dimension`` (which `evaluate` may return) the run has had.
    callbacks : sequence of lightning Callback
        For example `skmol3d.trainer.probe.LinearProbe`.

    Raises
    ------
    NonFiniteLossError
        Names the step, the losses and the molecules.
    CollapseError
        The effective dimension fell below its limit.
    ValueError
        Losses and weights differ in their names.
    """
    prime_malloc()
    module = Pretraining(objective, batches, weights, schedule, seed)
    first = Logging(out, evaluate, log_every, evaluate_every, collapse)
    bar = [Bar(refresh_rate=5)] if sys.stdout.isatty() else []
    trainer = lightning.Trainer(
        accelerator=device,
        devices=devices,
        num_nodes=nodes,
        # Objectives may leave parts of an encoder unused.
        strategy="ddp_find_unused_parameters_true" if devices * nodes > 1 else "auto",
        precision=precision,  # type: ignore[arg-type]
        max_epochs=-1,
        max_steps=schedule.steps,
        callbacks=[*bar, first, *callbacks, Saving(out, evaluate_every)],
        enable_progress_bar=bool(bar),
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=out,
    )
    state = out / "state.pt"
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 asks torch 2.13 for a type that will go.
            warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
            trainer.fit(module, ckpt_path=state if resume and state.exists() else None)
    finally:
        if module.drawn is not None:
            module.drawn.close()
        if module.logs is not None:
            module.logs.close()
    for averaged, own in zip(module.average.module.parameters(), objective.parameters(), strict=True):
        averaged.requires_grad_(own.requires_grad)
    return module.average.module


def main_process() -> bool:
    """Whether this process is the one, of those that train together, that writes files."""
    return rank_zero_only.rank == 0  # type: ignore[attr-defined]


class Pretraining(lightning.LightningModule):
    """The numbers of a run: losses, optimiser, learning rate, averaged weights, clock.

    Attributes
    ----------
    average : AveragedModel
        The exponential moving average of ``objective``.
    drawn : generator or None
        The batches, which a thread draws ahead.
    elapsed : float
        Seconds of training, the same in all processes.
    logs : Logs or None
        Open while the main process trains.
    measured : dict
        Losses, gradient norm and molecules (of all processes) of the last step.
    """

    def __init__(
        self,
        objective: nn.Module,
        batches: Callable[..., Iterator[Batch]],
        weights: dict[str, float],
        schedule: Schedule,
        seed: int,
    ) -> None:
        super().__init__()
        self.objective = objective.train()
        self.batches, self.weights, self.schedule, self.seed = batches, weights, schedule, seed
        mean = torch.optim.swa_utils.get_ema_multi_avg_fn(schedule.ema)
        self.average = torch.optim.swa_utils.AveragedModel(objective, multi_avg_fn=mean, use_buffers=False)
        self.average.requires_grad_(False)  # nothing for DDP to synchronise
        self.elapsed = 0.0
        self.logs: Logs | None = None
        self.drawn: Generator[Batch, None, None] | None = None
        self.measured: dict[str, Tensor] = {}

    @property
    def finished(self) -> bool:
        """Whether the last step has been made."""
        return self.schedule.progress(self.trainer.global_step, self.elapsed) >= 1.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        trained = [p for p in self.objective.parameters() if p.requires_grad]
        rate, decay = self.schedule.learning_rate, self.schedule.weight_decay
        return torch.optim.AdamW(trained, lr=rate, weight_decay=decay, fused=True)

    def train_dataloader(self) -> Iterator[Batch]:
        step, processes = self.trainer.global_step, self.trainer.world_size
        if processes == 1:
            own = self.batches(step)
        else:
            own = self.batches(step * processes + self.trainer.global_rank, processes)
        self.drawn = ahead(own, partial(move_data_to_device, device=self.trainer.strategy.root_device))
        return self.drawn

    def on_train_start(self) -> None:
        self.begun = time.monotonic() - self.elapsed
        self.trainer.should_stop = self.finished

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        # Seeding each step makes states small and complete, whatever draws in between and on any device.
        words = [self.seed, self.trainer.global_step, self.trainer.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(words).generate_state(1)[0]))
        losses = self.objective(*batch)
        if losses.keys() != self.weights.keys():
            raise ValueError(f"losses are {sorted(losses)} but weights are given for {sorted(self.weights)}")
        total = self._total(losses)
        self.measured = {name: loss.detach().float() for name, loss in losses.items()}
        if not torch.isfinite(total):
            raise NonFiniteLossError(self._blame(batch, "losses"))
        self._batch = batch  # to blame, should its gradient not be finite
        molecules = float(len(batch[0]) * self.trainer.world_size)
        self.measured["molecules"] = torch.tensor(molecules, device=self.device)
        return total

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        norm = nn.utils.clip_grad_norm_(self.objective.parameters(), self.schedule.clip)
        # Half precision finds its loss scale by overflowing, and skips the step.
        if getattr(self.trainer.precision_plugin, "scaler", None) is None and not torch.isfinite(norm):
            raise NonFiniteLossError(self._blame(self._batch, f"gradient norm {norm.item()}, losses"))
        self.measured["gradient_norm"] = norm.float()

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        step = self.trainer.global_step
        for group in optimizer.param_groups:
            group["lr"] = self.schedule.rate(step, self.elapsed)
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.average.update_parameters(self.objective)
        # One clock for all processes: it sets the rate, when to save and when to stop.
        self.elapsed = self.trainer.strategy.broadcast(time.monotonic() - self.begun)
        if self.schedule.progress(step + 1, self.elapsed) >= 1.0:
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        if not self.trainer.should_stop and not self.finished:  # Lightning would begin it again, for ever
            raise ValueError(f"batches must be endless, but ended at step {self.trainer.global_step}")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["elapsed"] = self.elapsed

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.elapsed = checkpoint["elapsed"]

    def _total(self, losses: dict[str, Tensor]) -> Tensor:
        return torch.stack([self.weights[name] * loss for name, loss in losses.items()]).sum()

    def _blame(self, batch: Batch, what: str) -> str:
        values = {name: value.item() for name, value in self.measured.items() if name in self.weights}
        parameters = [p for p in self.objective.parameters() if p.requires_grad]
        self.objective.eval()
        guilty = []
        for place, molecule in enumerate(one_by_one(batch)):
            with self.trainer.precision_plugin.forward_context():
                losses = self.objective(*molecule)
            gradients = torch.autograd.grad(self._total(losses), parameters, allow_unused=True)
            bad = [name for name, loss in losses.items() if not torch.isfinite(loss)]
            if bad or not all(torch.isfinite(g).all() for g in gradients if g is not None):
                targets = molecule[1]
                name = f"{place} of the batch"
                if "row" in targets:
                    name = f"set {targets['set'].item()} row {targets['row'].item()}"
                guilty.append(f"{name} ({', '.join(bad) or 'gradient'})")
        names = "; ".join(guilty[:NAMED]) + ("; ..." if len(guilty) > NAMED else "")
        found = f"{len(guilty)} alone: {names}" if guilty else "none alone, so it is their combination"
        step, size = self.trainer.global_step, len(batch[0])
        return f"step {step}: {what} {values} on a batch of {size} molecules; {found}"
