"""Conformers embedded by worker processes while the model trains, through a bounded replay buffer."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import torch

from skmol3d.structures import StructureError
from skmol3d.trainer.data.batches import Batch, Mixture, bucketed
from skmol3d.trainer.data.examples import build_example
from skmol3d.trainer.data.sets import PackedSet, Row, stack
from skmol3d.trainer.data.workers import Ticket, Workers, check

CHUNK = 8  # molecules a worker embeds before it hands them over
AHEAD = 3  # chunks under way per worker: it has the next one when it is done

Pack = Callable[[str, int], Row]


class WorkerError(RuntimeError):
    """A worker process died, or packing a molecule raised what is no `StructureError`."""


class OnlineConformers:
    """Worker processes fill a buffer with fresh conformers; training draws from it.

    The consumer waits for the first fill, and later only if everything in the buffer has been drawn
    ``reuse`` times. A full buffer does not stop the workers either: a new conformer takes the place of the
    one that was drawn most often; they pause only while no conformer in a full buffer has been drawn yet.
    Which conformers are drawn depends on timing, so runs with them are not repeatable.

    Use it as a context manager, or call `close`.

    Parameters
    ----------
    smiles : sequence of str
        The corpus; every pass over it has another order and other conformers.
    workers : int, default=1
        Processes, one thread each.
    capacity : int, default=4096
        Conformers in the buffer.
    first_fill : int, default=512
        Conformers the first draw waits for.
    reuse : int, default=8
        How often one conformer is drawn at most.
    seed : int, default=0
        Of orders, conformers and draws.
    pack : callable, default=build_example
        ``pack(smiles, random_state)`` gives a `Row` or raises `StructureError`; it must be picklable. The
        group is set here: the molecule's place in ``smiles``.
    """

    def __init__(
        self,
        smiles: Sequence[str],
        workers: int = 1,
        capacity: int = 4096,
        first_fill: int = 512,
        reuse: int = 8,
        seed: int = 0,
        pack: Pack = build_example,
    ) -> None:
        if not len(smiles):
            raise ValueError("the corpus is empty")
        if min(workers, capacity, first_fill, reuse) < 1 or first_fill > capacity:
            raise ValueError(
                "workers, first_fill and reuse must be positive and first_fill at most capacity, got "
                f"{workers}, {first_fill}, {reuse} and {capacity}"
            )
        self._buffer = _Buffer(smiles, capacity, reuse, seed, pack, workers)
        self._first_fill = first_fill
        self._rng = np.random.default_rng([seed, 1])
        # Also when nobody calls `close`: workers must not outlive the process that reads from them.
        self._finalizer = weakref.finalize(self, self._buffer.close)

    def draw(self, count: int) -> PackedSet:
        """Draw up to ``count`` different conformers.

        Raises
        ------
        WorkerError
            If a worker died.
        ValueError
            If no molecule of the corpus could be embedded.
        RuntimeError
            If it is closed.
        """
        rows = self._buffer.draw(count, self._first_fill, self._rng)
        self._first_fill = 1
        return stack(rows)

    def batches(self, atoms: int, window: int = 256) -> Iterator[Batch]:
        """Endless batches of at most ``atoms`` (padded) atoms, out of draws of ``window`` conformers.

        The targets ``row`` and ``group`` [B] are the molecule's place in ``smiles``.
        """
        while True:
            drawn = self.draw(window)
            for index in bucketed(drawn.sizes, np.arange(len(drawn)), atoms, self._rng):
                batch, targets = drawn.batch(index)
                row = torch.from_numpy(drawn.group[index])
                yield batch, targets | {"row": row, "group": row}

    @property
    def embedded(self) -> int:
        """Conformers made so far."""
        return self._buffer.embedded

    @property
    def failed(self) -> int:
        """Attempts that gave no conformer so far."""
        return self._buffer.failed

    def close(self) -> None:
        """Stop the workers, within a molecule; may be called twice."""
        self._finalizer()

    def __enter__(self) -> OnlineConformers:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True)
class WithOnline:
    """Batches of a mixture, of which a share is replaced by conformers embedded meanwhile.

    Which batches these are is a function of seed and step; which conformers they hold is not (see
    `OnlineConformers`), so a resumed run does not repeat them.

    Attributes
    ----------
    packed : Mixture
    online : OnlineConformers
        Its molecules' ``set`` is the number of packed sets.
    share : float
        Of the batches.
    """

    packed: Mixture
    online: OnlineConformers
    share: float

    def __call__(self, start: int = 0, stride: int = 1) -> Iterator[Batch]:
        """Batches ``start``, ``start + stride``, ..."""
        fresh = self.online.batches(self.packed.atoms)
        for step, batch in zip(count(start, stride), self.packed(start, stride), strict=False):
            if np.random.default_rng([self.packed.seed, step]).random() < self.share:
                atoms, targets = next(fresh)
                yield atoms, targets | {"set": torch.full((len(atoms),), len(self.packed.sets))}
            else:
                yield batch


class _Buffer:
    """The shared state. Results arrive in the pool's own thread, so everything happens under one lock."""

    def __init__(
        self, smiles: Sequence[str], capacity: int, reuse: int, seed: int, pack: Pack, workers: int
    ) -> None:
        self.smiles, self.capacity, self.reuse, self.pack = smiles, capacity, reuse, pack
        self.rows: list[Row] = []
        self.uses = np.zeros(capacity, np.int64)
        self.embedded = self.failed = 0
        self.reason = ""  # of the latest failure
        self.error: BaseException | None = None
        self.closed = False
        self.under_way: set[Future[Any]] = set()
        self.most = AHEAD * workers
        self.tasks = _tasks(len(smiles), seed)
        self.changed = threading.Condition(threading.RLock())
        self.pool = Workers(workers)
        with self.changed:
            self._submit()

    def draw(self, count: int, least: int, rng: np.random.Generator) -> list[Row]:
        with self.changed:
            self.changed.wait_for(lambda: len(self.rows) >= least or self._stopped())
            if self.error is not None:
                raise WorkerError(f"online conformers: {_describe(self.error)}") from self.error
            if self.closed:
                raise RuntimeError("online conformers are closed")
            if not self.rows:
                raise ValueError(
                    f"none of {self.failed} molecules could be embedded; the last: {self.reason}"
                )
            chosen = rng.choice(len(self.rows), min(count, len(self.rows)), replace=False)
            rows = [self.rows[k] for k in chosen]
            self.uses[chosen] += 1
            for k in np.sort(chosen)[::-1]:  # from the back, so that the places before stay
                if self.uses[k] >= self.reuse:
                    self._remove(int(k))
            self._submit()
            return rows

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.rows.clear()
            self.changed.notify_all()
        # Without the lock: the pool's thread may be waiting for it.
        self.pool.close()

    def _stopped(self) -> bool:
        hopeless = not self.embedded and self.failed >= len(self.smiles)
        return self.closed or self.error is not None or hopeless

    def _remove(self, k: int) -> None:
        last = len(self.rows) - 1
        self.rows[k], self.uses[k] = self.rows[last], self.uses[last]
        self.rows.pop()

    def _submit(self) -> None:
        """Keep the workers busy, unless nobody reads what they make."""
        while len(self.under_way) < self.most and not self._stopped():
            if len(self.rows) == self.capacity and not self.uses.any():
                return
            chunk, random_state = next(self.tasks)
            texts = [self.smiles[k] for k in chunk]
            try:
                future = self.pool.submit(_pack_chunk, self.pack, chunk, texts, random_state)
            except RuntimeError as error:  # broken, or shutting down with the interpreter
                self.error = error
                self.changed.notify_all()
                return
            self.under_way.add(future)
            future.add_done_callback(self._deliver)

    def _deliver(self, future: Future[Any]) -> None:
        with self.changed:
            self.under_way.discard(future)
            if self.closed:
                return
            try:
                rows, reasons = future.result()
            except CancelledError:
                return
            except Exception as error:
                # Whatever it is, it belongs to the consumer; raised in this thread nobody would see it.
                self.error = self.error or error
            else:
                self.embedded += len(rows)
                self.failed += len(reasons)
                self.reason = reasons[-1] if reasons else self.reason
                for row in rows:
                    self._put(row)
                self._submit()
            self.changed.notify_all()

    def _put(self, row: Row) -> None:
        if len(self.rows) < self.capacity:
            k = len(self.rows)
            self.rows.append(row)
        else:
            k = int(self.uses.argmax())
            self.rows[k] = row
        self.uses[k] = 0


def _tasks(count: int, seed: int) -> Iterator[tuple[list[int], int]]:
    """Endless chunks of places in the corpus, with the random state of their pass."""
    random_state = 0
    while True:
        order = np.random.default_rng([seed, 0, random_state]).permutation(count).tolist()
        for start in range(0, count, CHUNK):
            yield order[start : start + CHUNK], seed * 1_000_003 + random_state
        random_state += 1


def _pack_chunk(
    pack: Pack, places: list[int], smiles: list[str], random_state: int, ticket: Ticket
) -> tuple[list[Row], list[str]]:
    rows, reasons = [], []
    for place, text in zip(places, smiles, strict=True):
        check(ticket)
        try:
            row = pack(text, random_state)
        except StructureError as error:
            reasons.append(f"{text}: {error}")
        else:
            rows.append(replace(row, group=place))
    return rows, reasons


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"
