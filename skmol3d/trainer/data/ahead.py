"""Batches drawn ahead by a thread, while the model trains on the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def ahead(items: Iterator[Item], make: Callable[[Item], Made], count: int = 2) -> Generator[Made, None, None]:
    """``make(item)`` of each item, in their order; a thread is up to ``count`` ahead.

    An error is raised where its item would have come. Closing the generator waits for the item in work, and
    draws no other.

    Parameters
    ----------
    items : iterator
        Used in the thread alone.
    make : callable
        Called in the thread, too: here batches move to the device, which would wait for its kernels.
    count : int
        Items that wait.
    """

    def draw() -> list[Made]:
        return [make(item) for item in islice(items, 1)]  # none when they have ended

    thread = ThreadPoolExecutor(1, "batches")
    try:
        waiting = deque(thread.submit(draw) for _ in range(count))
        while made := waiting.popleft().result():
            waiting.append(thread.submit(draw))
            yield from made
    finally:
        thread.shutdown(cancel_futures=True)
