"""What was computed before: bytes by key, in memory within a bound, and in a folder that lasts."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

FILE_NAME = "skmol3d-cache.sqlite3"
PATIENCE = 60.0  # seconds to wait for other processes


class CacheError(OSError):
    """A cache file that cannot be read or written; the message names it."""


def content_key(*parts: Any) -> bytes:
    """Cache key: 32 bytes from all that shapes a value (text, numbers, and lists and dicts of them)."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


class Memory:
    """Values up to a number of bytes; threads may share it.

    When it is full, values leave at random. Cross-validation walks through all molecules again and again, so
    that what was used longest ago is what comes next: of data a quarter larger than the bound, dropping the
    oldest finds nothing again, dropping at random more than half.

    Parameters
    ----------
    max_bytes : int
        Bound, with keys and Python's own objects counted.

    Attributes
    ----------
    size : int
        Bytes held.
    hits, misses : int
        Values that were asked for since the last `clear`.
    """

    OVERHEAD = 250  # bytes of Python objects around a value

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._lock = Lock()
        self.clear()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values there are."""
        found, asked = {}, 0
        with self._lock:
            for key in keys:
                asked += 1
                if key in self._values:
                    found[key] = self._values[key]
            self.hits += len(found)
            self.misses += asked - len(found)
        return found

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Store what is not there yet."""
        with self._lock:
            for key, value in values.items():
                if key not in self._values:
                    self._values[key] = value
                    self._keys.append(key)
                    self.size += len(value) + self.OVERHEAD
            self._shrink()

    def resize(self, max_bytes: int) -> None:
        """Set another bound, which holds at once."""
        with self._lock:
            self.max_bytes = max_bytes
            self._shrink()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values: dict[bytes, bytes] = {}
            self._keys: list[bytes] = []  # in no order, for drawing one at random
            self._random = random.Random(0)
            self.size = self.hits = self.misses = 0

    def _shrink(self) -> None:
        while self.size > self.max_bytes:
            place = self._random.randrange(len(self._keys))
            self._keys[place], self._keys[-1] = self._keys[-1], self._keys[place]
            self.size -= len(self._values.pop(self._keys.pop())) + self.OVERHEAD


def files_of(folder: str | os.PathLike[str]) -> list[Path]:
    """Files that a cache in this folder consists of: SQLite's, and its logs while it is in use."""
    path = Path(folder).expanduser() / FILE_NAME
    return [file for end in ("", "-wal", "-shm") if (file := path.with_name(path.name + end)).is_file()]


class Disk:
    """Values in one table of an SQLite file that several processes may use at the same time.

    They stand behind their CRC-32, so that a damaged one is noticed, and nothing is ever unpickled. A
    connection lives for one call, hence threads and forks need no care. The folder must be on a local disk:
    SQLite's write-ahead log does not work over network file systems.

    Parameters
    ----------
    folder : str or path
        Made if missing.
    table : str
        Name of the table.
    """

    def __init__(self, folder: str | os.PathLike[str], table: str) -> None:
        self.path = Path(folder).expanduser() / FILE_NAME
        self.table = table

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """The values there are.

        Raises
        ------
        CacheError
            If the file is not a cache, or is damaged.
        """
        keys = set(keys)
        with self._connection() as connection:
            # The key beside the value counts, not the one in the index: one damaged byte there would give
            # another molecule's value.
            found = dict(self._select(connection, list(keys), "key, value"))
        return {key: self._checked(value) for key, value in found.items() if key in keys}

    def put(self, values: Mapping[bytes, bytes]) -> None:
        """Store what is not there yet, in one transaction.

        Raises
        ------
        CacheError
            If the file is not a cache, is damaged, or cannot be written.
        """
        with self._connection() as connection:
            stored = {key for (key,) in self._select(connection, list(values), "key")}
            new = ((key, _crc(value) + value) for key, value in values.items() if key not in stored)
            connection.executemany(f"INSERT OR IGNORE INTO {self.table} VALUES (?, ?)", new)

    def _select(self, connection: sqlite3.Connection, keys: list[bytes], columns: str) -> Iterator[Any]:
        for start in range(0, len(keys), 500):  # below SQLite's limit on parameters
            part = keys[start : start + 500]
            marks = ",".join("?" * len(part))
            rows = f"SELECT rowid FROM {self.table} WHERE key IN ({marks})"
            yield from connection.execute(f"SELECT {columns} FROM {self.table} WHERE rowid IN ({rows})", part)

    def _checked(self, value: object) -> bytes:
        if not isinstance(value, bytes) or _crc(value[4:]) != value[:4]:
            raise CacheError(
                f"{self.path}: a stored value is damaged; delete the file or choose another cache_dir"
            )
        return value[4:]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=PATIENCE)) as connection:
                _write_ahead(connection)
                connection.execute("PRAGMA synchronous=NORMAL")
                connection.execute(
                    f"CREATE TABLE IF NOT EXISTS {self.table} (key BLOB PRIMARY KEY, value BLOB NOT NULL)"
                )
                with connection:  # commits, or rolls back on an error
                    yield connection
        except (sqlite3.Error, OSError) as error:
            raise CacheError(
                f"{self.path}: cannot be used as a cache ({error}); delete it or choose another cache_dir"
            ) from error


class Cache:
    """Memory before a folder: what one of them lacks, it gets from the other.

    Parameters
    ----------
    table : str
        Kind of values, which has a table of its own in the folder's file.
    max_bytes : int
        Bound of the memory.
    """

    def __init__(self, table: str, max_bytes: int) -> None:
        self.table = table
        self.memory = Memory(max_bytes)

    def get(self, keys: Iterable[bytes], cache_dir: str | os.PathLike[str] | None) -> dict[bytes, bytes]:
        """The values there are; those in memory alone are put into the folder, too.

        Raises
        ------
        CacheError
            If the folder's file cannot be used.
        """
        keys = list(keys)
        found = self.memory.get(keys)
        if cache_dir is not None:
            disk = Disk(cache_dir, self.table)
            disk.put({key: value for key, value in found.items() if self.lasts(value)})
            on_disk = disk.get(key for key in keys if key not in found)
            self.memory.put(on_disk)
            found |= on_disk
        return found

    def put(self, values: Mapping[bytes, bytes], cache_dir: str | os.PathLike[str] | None) -> None:
        """Store values in memory, and in the folder if there is one.

        Raises
        ------
        CacheError
            If the folder's file cannot be used.
        """
        self.memory.put(values)
        if cache_dir is not None:
            Disk(cache_dir, self.table).put({k: value for k, value in values.items() if self.lasts(value)})

    def lasts(self, value: bytes) -> bool:
        """Whether a value holds in other processes, too."""
        return True


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Choose the write-ahead log. While others do so, SQLite may refuse at once, whatever the timeout."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _crc(value: bytes) -> bytes:
    return zlib.crc32(value).to_bytes(4, "little")
