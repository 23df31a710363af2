"""From conformers to encoder output: devices, batches that fit into memory, threads.

Two settings of the whole process change what other code in it may notice; both can be switched off, in this
process and in workers it starts, by environment variables that are read at every call:

- ``SKMOL3D_ONE_THREAD=0``: small batches on the CPU run on as many threads as torch is set to, not on one.
- ``SKMOL3D_PRIME_MALLOC=0``: glibc's allocator is left as it is (see `prime_malloc`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

BATCH_ATOMS = {"cpu": 512, "cuda": 16384}
"""Default atoms per batch: larger tensors miss a CPU's caches, smaller ones are mostly calls."""

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


def atoms_at_once(encoder: Any, device: torch.device) -> int:
    """Default atoms per batch: on the CPU the backbone may ask for fewer (``cpu_atoms``)."""
    if device.type != "cpu":
        return BATCH_ATOMS["cuda"]
    return int(getattr(getattr(encoder, "backbone", None), "cpu_atoms", BATCH_ATOMS["cpu"]))


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
    environments: NDArray[np.uint32] | None = None


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


def _wanted(setting: str) -> bool:
    return os.environ.get(setting, "1") != "0"


def prime_malloc() -> None:
    """Make glibc keep freed memory for the next batch, up to 64 MB.

    At first glibc maps blocks from 128 KiB on anew each time and hands memory back at every chance, so that
    page faults take up to two thirds of the time. It raises both thresholds by itself, to the size of the
    largest mapped block that it has seen freed (at most 32 MiB) and to twice that. Freeing one such block,
    never touched, takes it there at once, needs no mallopt (which would switch the rule off), and respects
    MALLOC_* in the environment. Other allocators do not care.
    """
    if _wanted("SKMOL3D_PRIME_MALLOC"):
        _prime_malloc()


@lru_cache(maxsize=1)
def _prime_malloc() -> None:
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
    alone = small and _wanted("SKMOL3D_ONE_THREAD")
    try:
        with torch.inference_mode(), _one_thread() if alone else nullcontext():
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
