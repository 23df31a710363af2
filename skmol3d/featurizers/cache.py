"""Rows that were computed before: bounded in memory, optionally on disk."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float32]

MEMORY_BYTES = 256 * 2**20
"""Bound of the cache that all featurizers of a process share."""

FILE_NAME = "skmol3d-rows.sqlite3"


class CacheError(OSError):
    """A cache file that cannot be read or written; the message names it."""


def row_key(molecule: str, **settings: Any) -> bytes:
    """Cache key of one row: 32 bytes from the molecule's key and all that shapes the row."""
    return hashlib.sha256(json.dumps([molecule, settings], sort_keys=True).encode()).digest()


class MemoryCache:
    """Least-recently-used rows, or reasons why there is no row, up to a number of bytes.

    Reasons are kept because a molecule that ran into its time limit would do so again in every fold.
    """

    OVERHEAD = 250  # bytes of Python objects around an entry

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.size = 0
        self._entries: OrderedDict[bytes, Row | str] = OrderedDict()
        self._lock = Lock()  # grid searches may run on threads

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Row | str]:
        """The entries there are."""
        found = {}
        with self._lock:
            for key in keys:
                if key in self._entries:
                    self._entries.move_to_end(key)
                    found[key] = self._entries[key]
        return found

    def put(self, entries: Mapping[bytes, Row | str]) -> None:
        """Store copies of rows, dropping the entries unused for longest."""
        with self._lock:
            for key, value in entries.items():
                if key not in self._entries:
                    # A copy: a view would keep the whole batch alive.
                    self._entries[key] = value if isinstance(value, str) else value.copy()
                    self.size += self._weight(value)
            while self.size > self.max_bytes:
                self.size -= self._weight(self._entries.popitem(last=False)[1])

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries.clear()
            self.size = 0

    def _weight(self, value: Row | str) -> int:
        return (len(value) if isinstance(value, str) else value.nbytes) + self.OVERHEAD


MEMORY = MemoryCache(MEMORY_BYTES)


class DiskCache:
    """Rows in an SQLite file that several processes may use at the same time.

    Values are raw float32 bytes behind their CRC-32, so nothing is ever unpickled and a damaged row is
    noticed. A connection lives for one call, hence threads and forks need no care. The folder must be on a
    local disk: SQLite's write-ahead log does not work over network file systems.

    Parameters
    ----------
    folder : str or path
        Made if missing.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.path = Path(folder).expanduser() / FILE_NAME

    def get(self, keys: Iterable[bytes], width: int) -> dict[bytes, Row]:
        """The rows there are, each of ``width`` numbers.

        Raises
        ------
        CacheError
            If the file is not a cache, or is damaged.
        """
        keys, found = list(keys), {}
        with self._connection() as connection:
            for start in range(0, len(keys), 500):  # below SQLite's limit on parameters
                part = keys[start : start + 500]
                query = f"SELECT key, value FROM rows WHERE key IN ({','.join('?' * len(part))})"
                for key, value in connection.execute(query, part):
                    found[key] = self._decode(value, width)
        return found

    def put(self, rows: Mapping[bytes, Row]) -> None:
        """Store the rows that are not there yet, in one transaction.

        Raises
        ------
        CacheError
            If the file is not a cache, is damaged, or cannot be written.
        """
        values = ((key, _encode(row)) for key, row in rows.items())
        with self._connection() as connection:
            connection.executemany("INSERT OR IGNORE INTO rows VALUES (?, ?)", values)

    def _decode(self, value: bytes, width: int) -> Row:
        row = np.frombuffer(value, dtype="<f4", offset=4) if len(value) == 4 + 4 * width else None
        if row is None or zlib.crc32(value[4:]).to_bytes(4, "little") != value[:4]:
            raise CacheError(
                f"{self.path}: a stored row is damaged; delete the file or choose another cache_dir"
            )
        return row

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=60.0)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS rows (key BLOB PRIMARY KEY, value BLOB NOT NULL)"
                )
                with connection:  # commits, or rolls back on an error
                    yield connection
        except (sqlite3.Error, FileExistsError, NotADirectoryError, PermissionError) as error:
            raise CacheError(
                f"{self.path}: cannot be used as a cache ({error}); delete it or choose another cache_dir"
            ) from error


def _encode(row: Row) -> bytes:
    raw = np.ascontiguousarray(row, dtype="<f4").tobytes()
    return zlib.crc32(raw).to_bytes(4, "little") + raw
