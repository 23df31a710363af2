"""What a run leaves behind: rows of the logs, mirrored to TensorBoard, and states to resume from."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

SAVE_SECONDS = 180.0  # a killed run loses no more than this and one step


class CollapseError(RuntimeError):
    """The descriptors lost their dimensions."""


class Table:
    """A CSV file with one row per step; rows after ``step``, of a run that was killed later, are dropped.

    Rows of one step merge, and columns may be added: whatever is measured at a step stands in its row.
    """

    def __init__(self, path: Path, step: int, board: SummaryWriter, show: Callable[[str], None]) -> None:
        self.path, self.board, self.show = path, board, show
        self.rows: list[dict[str, str]] = []
        if step and path.exists():
            with path.open(newline="") as file:
                # The last row may have been cut short by the kill.
                whole = [row for row in csv.DictReader(file) if None not in row.values()]
            self.rows = [row for row in whole if int(row["step"]) <= step]
        self._write_all()

    def write(self, step: int, seconds: float, values: dict[str, float]) -> None:
        """Add ``values`` to the row of ``step``, reached after ``seconds`` of training."""
        columns = self._columns()
        row = {"step": str(step), "seconds": f"{seconds:.1f}"} | {k: f"{v:.5g}" for k, v in values.items()}
        if self.rows and self.rows[-1]["step"] == row["step"]:
            row = self.rows.pop() | row
            columns = []
        self.rows.append(row)
        if columns == list(row):
            with self.path.open("a", newline="") as file:
                csv.DictWriter(file, fieldnames=columns).writerow(row)
        else:
            self._write_all()
        for name, value in values.items():
            self.board.add_scalar(f"{self.path.stem}/{name}", value, step)
        self.board.flush()
        named = "  ".join(f"{k} {v:.4g}" for k, v in values.items())
        self.show(f"step {step}  seconds {seconds:.0f}  {named}")

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(k for row in self.rows for k in row))

    def _write_all(self) -> None:
        if not self.rows:
            self.path.unlink(missing_ok=True)
            return
        new = self.path.with_suffix(".tmp")
        with new.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=self._columns(), restval="")
            writer.writeheader()
            writer.writerows(self.rows)
        new.replace(self.path)


class Logs:
    """``log.csv`` (means over training batches), ``evaluation.csv`` and ``tensorboard/`` in folder ``out``.

    Everything after ``step`` is dropped; at step 0 the logs start afresh.
    """

    def __init__(self, out: Path, step: int, show: Callable[[str], None]) -> None:
        if step == 0:
            shutil.rmtree(out / "tensorboard", ignore_errors=True)
        self.board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)
        self.training = Table(out / "log.csv", step, self.board, show)
        self.evaluation = Table(out / "evaluation.csv", step, self.board, show)

    def close(self) -> None:
        """Finish the event file."""
        self.board.close()


class Logging(Callback):
    """Writes the rows of the logs. The first callback, so that the others find the logs open."""

    def __init__(
        self,
        out: Path,
        evaluate: Callable[[nn.Module], dict[str, float]],
        log_every: int,
        evaluate_every: int,
        collapse: float,
    ) -> None:
        self.out, self.evaluate, self.collapse = out, evaluate, collapse
        self.log_every, self.evaluate_every = log_every, evaluate_every
        self.sums: Tensor | None = None  # of what was measured since the last row
        self.summed = 0
        self.largest = 1.0  # effective dimension; there is none smaller

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        if trainer.is_global_zero:
            module.logs = Logs(self.out, trainer.global_step, module.print)
            if trainer.global_step == 0:
                self._evaluate(trainer, module)

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        measured = torch.stack(list(module.measured.values()))
        self.sums = measured if self.sums is None else self.sums.to(measured) + measured
        self.summed += 1
        step = trainer.global_step
        if step % self.log_every == 0 or module.finished:
            means = (self._mean(trainer, self.sums) / self.summed).tolist()
            if module.logs is not None:
                row = {"rate": trainer.optimizers[0].param_groups[0]["lr"]}
                row |= dict(zip(module.measured, means, strict=True))
                module.logs.training.write(step, module.elapsed, row)
            self.sums, self.summed = None, 0
        if step % self.evaluate_every == 0 or module.finished:
            self._evaluate(trainer, module)

    def on_save_checkpoint(self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        sums = None if self.sums is None else self._mean(trainer, self.sums)
        checkpoint["logging"] = {"sums": sums, "summed": self.summed, "largest": self.largest}

    def on_load_checkpoint(self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]) -> None:
        state = checkpoint["logging"]
        self.sums, self.summed, self.largest = state["sums"], state["summed"], state["largest"]

    def _mean(self, trainer: lightning.Trainer, values: Tensor) -> Tensor:
        reduced = trainer.strategy.reduce(values.clone(), reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return reduced

    def _evaluate(self, trainer: lightning.Trainer, module: Any) -> None:
        if module.logs is None:
            return
        torch.manual_seed(module.seed)  # every evaluation meets the same noise
        row = self.evaluate(module.average.module)
        module.logs.evaluation.write(trainer.global_step, module.elapsed, row)
        if "effective_dimension" in row:
            found = row["effective_dimension"]
            least = 1.0 + self.collapse * (self.largest - 1.0)
            # Not by "less than": a descriptor without any variance has no effective dimension (NaN).
            if not found > least - 1e-4:
                raise CollapseError(
                    f"step {trainer.global_step}: the descriptors have collapsed: their effective dimension "
                    f"is {found:.3g}, after {self.largest:.3g} at best; more weight on variance and "
                    f"covariance, or a lower learning rate, may help"
                )
            self.largest = max(self.largest, found)


class Saving(Callback):
    """Replaces ``state.pt``. The last callback, so that a state stands for a finished step."""

    def __init__(self, out: Path, evaluate_every: int) -> None:
        self.file, self.evaluate_every = out / "state.pt", evaluate_every
        self.saved = 0.0

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        self.saved = module.elapsed
        if trainer.is_global_zero and trainer.global_step == 0:
            self.file.unlink(missing_ok=True)  # of a run that was not to be resumed

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        due = trainer.global_step % self.evaluate_every == 0 or module.finished
        if due or module.elapsed - self.saved > SAVE_SECONDS:
            self.saved = module.elapsed
            new = self.file.with_suffix(".tmp")
            trainer.save_checkpoint(new, weights_only=False)
            if trainer.is_global_zero:
                new.replace(self.file)


class Bar(TQDMProgressBar):
    """Lightning's bar, counting to the end of the run: the stream itself has none."""

    @property
    def total_train_batches(self) -> int:
        return self.trainer.max_steps

    def get_metrics(self, trainer: lightning.Trainer, module: Any) -> dict[str, Any]:
        return {name: value.item() for name, value in module.measured.items()}
