"""From conformers to encoder output: checkpoints, devices, batches that fit into memory."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

MAX_ENCODERS = 4
"""Encoders that a process keeps loaded."""

PAIR_SCALE = 64
"""Molecules below twice this many atoms cost their atoms; in larger ones pairs dominate the memory."""

ONE_THREAD = 4096
"""Up to this cost a batch runs on one thread when on the CPU.

Default batches, a few ms each, consist of operations too small to split: the threads wait for each other at
every one of them, and where another process wants a core too, each wait costs a time slice (measured on two
cores with one busy: 54 molecules/s on one thread, 6 to 11 on two).
"""

MALLOC_PRIMER = 31 * 2**20
"""Bytes; glibc learns from mapped blocks of up to 32 MiB, its bookkeeping included."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Which weights: what the user named, and what that name stood for.

    Attributes
    ----------
    model, revision : str
        As the user gave them.
    commit : str or None
        The commit that a Hub revision resolved to.
    fingerprint : str
        Hash of the checkpoint.
    """

    model: str
    revision: str | None
    commit: str | None
    fingerprint: str


def find_checkpoint(model: str, revision: str | None, commit: str | None = None) -> tuple[Checkpoint, Path]:
    """Locate a checkpoint (downloading it if need be) without loading its weights.

    Parameters
    ----------
    model : str
        Bundled name, folder or Hub repository id.
    revision : str or None
        Branch, tag or commit on the Hub.
    commit : str or None
        Commit to use in place of `revision`: the one it stood for when a featurizer was fitted.

    Returns
    -------
    checkpoint : Checkpoint
    folder : Path

    Raises
    ------
    skmol3d.hub.CheckpointError
        If there is none, or it is damaged.
    """
    from skmol3d import hub

    if model in hub.bundled() or Path(model).expanduser().is_dir():
        folder = hub.resolve(model, revision)
        return Checkpoint(model, revision, None, hub.fingerprint(folder)), folder
    folder = _hub_folder(model, commit or revision)
    if commit is None and re.fullmatch(r"[0-9a-f]{40}", folder.name):
        commit = folder.name
    return Checkpoint(model, revision, commit, hub.fingerprint(folder)), folder


@lru_cache(maxsize=64)
def _hub_folder(model: str, revision: str | None) -> Path:
    from skmol3d import hub

    # A branch is looked up once per process: a grid search must neither call home for every fit nor change
    # its weights half-way.
    return hub.resolve(model, revision)


_encoders: OrderedDict[tuple[str, str], Any] = OrderedDict()
_lock = Lock()


def load_encoder(checkpoint: Checkpoint, folder: Path, device: torch.device) -> Any:
    """The encoder on a device, shared by all featurizers of this process."""
    from skmol3d import hub

    key = checkpoint.fingerprint, str(device)
    with _lock:
        if key not in _encoders:
            _encoders[key] = hub.from_pretrained(str(folder)).to(device).eval()
        _encoders.move_to_end(key)
        while len(_encoders) > MAX_ENCODERS:
            _encoders.popitem(last=False)
        return _encoders[key]


def find_device(device: str) -> torch.device | None:
    """The torch device of a name, or None if this machine lacks it.

    "auto" is the first CUDA device, or else the CPU.

    Raises
    ------
    ValueError
        If it is not a device's name.
    """
    import torch

    if device == "auto":
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda', 'cuda:1', 'mps', ...; got {device!r}"
        ) from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        return None
    if found.type == "mps" and not torch.backends.mps.is_available():
        return None
    # The index makes "cuda" and "cuda:0" one entry among the loaded encoders.
    return torch.device("cuda", found.index or 0) if found.type == "cuda" else found


class Item(NamedTuple):
    """One conformer: what `AtomBatch.from_arrays` takes."""

    numbers: NDArray[np.uint8]
    positions: NDArray[np.float64]
    charge: int
    bonds: NDArray[np.int32] | None


def encode(
    encoder: Any, items: Sequence[Item], device: torch.device, budget: int
) -> tuple[NDArray[np.float32], dict[int, str], int]:
    """Encode conformers in size-sorted batches under an atom budget.

    The budget halves itself when memory runs out; a conformer that does not fit alone is a failure.

    Parameters
    ----------
    encoder : nn.Module
        On `device`, in evaluation mode.
    items : sequence of Item
        In any order.
    device : torch.device
        Where to compute.
    budget : int
        Atoms per batch; in molecules of n >= 128 atoms each counts as n // 64.

    Returns
    -------
    rows : ndarray of float32, shape [len(items), D]
        NaN where there is a reason.
    reasons : dict
        Why an item has no row, by position.
    budget : int
        What is left of the budget.
    """
    if device.type == "cpu":
        prime_malloc()
    rows = np.full((len(items), sum(encoder.output_blocks().values())), np.nan, np.float32)
    reasons: dict[int, str] = {}
    # Largest first: if memory is short, it shows at once. Molecules without bonds stay among themselves,
    # since a batch has bonds for all of its molecules or for none.
    order = sorted(range(len(items)), key=lambda i: (items[i].bonds is None, -len(items[i].numbers)))
    while order:
        batch = _next_batch(items, order, budget)
        output = _forward(encoder, [items[i] for i in batch], device)
        if output is None and len(batch) > 1:
            budget = max(1, min(budget, sum(_cost(items[i]) for i in batch)) // 2)
            continue
        order = order[len(batch) :]
        if output is None:
            reasons[batch[0]] = f"out of memory on {device} for {len(items[batch[0]].numbers)} atoms alone"
        elif isinstance(output, str):
            reasons.update(dict.fromkeys(batch, output))
        else:
            rows[batch] = output
            for i in np.flatnonzero(~np.isfinite(output).all(axis=1)):
                rows[batch[i]] = np.nan
                reasons[batch[i]] = "the encoder returned numbers that are not finite"
    return rows, reasons, budget


@lru_cache(maxsize=1)
def prime_malloc() -> None:
    """Make glibc keep freed memory for the next batch, up to 64 MB.

    At first glibc maps blocks from 128 KiB on anew each time and hands memory back at every chance, so that
    page faults take up to two thirds of the time. It raises both thresholds by itself, to the size of the
    largest mapped block that it has seen freed (at most 32 MiB) and to twice that. Freeing one such block,
    never touched, takes it there at once, needs no mallopt (which would switch the rule off), and respects
    MALLOC_* in the environment. Other allocators do not care.
    """
    import torch

    torch.empty(MALLOC_PRIMER, dtype=torch.uint8)


_threads_lock = Lock()
_threads = [0, 0]  # callers inside `_one_thread`, and the setting before the first of them


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for torch, and afterwards as many as before, also when several threads encode at once."""
    import torch

    with _threads_lock:
        if _threads[0] == 0:
            _threads[1] = torch.get_num_threads()
        _threads[0] += 1
    try:
        torch.set_num_threads(1)
        yield
    finally:
        with _threads_lock:
            _threads[0] -= 1
            torch.set_num_threads(_threads[1])


def _next_batch(items: Sequence[Item], order: list[int], budget: int) -> list[int]:
    batch: list[int] = []
    total = 0
    for i in order:
        total += _cost(items[i])
        if batch and (total > budget or (items[i].bonds is None) != (items[batch[0]].bonds is None)):
            break
        batch.append(i)
    return batch


def _cost(item: Item) -> int:
    n = len(item.numbers)
    return n * max(1, n // PAIR_SCALE)


def _forward(encoder: Any, items: list[Item], device: torch.device) -> NDArray[np.float32] | str | None:
    """Rows of one batch, the reason why the encoder refuses it, or None if memory ran out."""
    import torch

    from skmol3d.encoders.atoms import AtomBatch

    small = device.type == "cpu" and sum(map(_cost, items)) <= ONE_THREAD
    try:
        with torch.inference_mode(), _one_thread() if small else nullcontext():
            return encoder(AtomBatch.from_arrays(items).to(device)).float().cpu().numpy()
    except ValueError as error:
        if items[0].bonds is None:  # the 2d structure encoding cannot do without
            return str(error)
        raise
    except (RuntimeError, MemoryError) as error:
        if not _is_out_of_memory(error):
            raise
    # Outside of the except block, whose traceback holds on to the tensors of the failed batch.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _is_out_of_memory(error: Exception) -> bool:
    # CUDA, the CPU allocator and MPS word it differently; torch.OutOfMemoryError is a RuntimeError.
    phrases = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(phrase in str(error).lower() for phrase in phrases)
