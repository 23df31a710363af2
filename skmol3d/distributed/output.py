"""The folder that a run fills: partitions that are final, what is known of each, and for which task.

============================  ==============================================================================
``part-0000000.parquet``      results of partition 0, in the order of its molecules
``_manifest.json``            the task: only the same is continued
``_parts/0000000.json``       written after the partition: it is done; its size, molecules and failures
``_failures.csv``             all failures, when all partitions are done
============================  ==============================================================================

Every file appears when it is complete, under its own name: whatever is killed, a file is whole or not there.
What readers of Parquet take for data does not begin with an underscore.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from skmol3d.files import appearing

PARTS, MANIFEST, FAILURES, LOCK = "_parts", "_manifest.json", "_failures.csv", "_lock"
TOP = "top.parquet"


@dataclass(frozen=True)
class LibraryResult:
    """What became of a library.

    Attributes
    ----------
    output : Path
        Folder of the results.
    molecules : int
        How many there were.
    failed : int
        How many of them have no result.
    failures : Path
        CSV table of these: index (number in the library), id, input, reason.
    """

    output: Path
    molecules: int
    failed: int
    failures: Path


class Output:
    """The folder, locked for this process: a context manager.

    Parameters
    ----------
    path : path
        Made if there is none.
    task : dict
        All that decides what the results are, as JSON can hold it.
    restart : bool
        Discard what an earlier run left.

    Raises
    ------
    ValueError
        If it holds results of another task or foreign files, or another process is at it.
    OSError
        If it cannot be written.
    """

    def __init__(self, path: Path, task: dict[str, Any], restart: bool = False) -> None:
        self.path = path
        path.mkdir(exist_ok=True)
        foreign = [file.name for file in path.iterdir() if not _ours(file)]
        if foreign:
            raise ValueError(f"{path}: a folder with something else in it ({foreign[0]}); name a new one")
        if not (path / PARTS).exists() and any(path.glob("*.parquet")):
            raise ValueError(f"{path}: there is Parquet of another origin in it; name a new folder")
        (path / PARTS).mkdir(exist_ok=True)
        self._lock = FileLock(path / LOCK)
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise ValueError(f"{path}: another process is writing it") from error
        try:
            self._begin(json.loads(json.dumps(task)), restart)
        except BaseException:
            self._lock.release()
            raise

    def _begin(self, task: dict[str, Any], restart: bool) -> None:
        if restart:
            self._clear()
        if found := read_manifest(self.path).get("task"):
            differing = [key for key in {**found, **task} if found.get(key) != task.get(key)]
            if differing:
                named = ", ".join(_differences(key, found.get(key), task.get(key)) for key in differing)
                raise ValueError(
                    f"{self.path}: what is there was made with another {named}; the same run would go on, "
                    "a restart discards what there is"
                )
        elif any(self.path.glob("*.parquet")):  # a restart that was killed, or somebody took the manifest
            raise ValueError(f"{self.path}: there is Parquet without a manifest in it; a restart discards it")
        for file in self.path.rglob(".*.tmp"):
            file.unlink(missing_ok=True)  # what a kill left
        self.manifest: dict[str, Any] = {"task": task}

    def _clear(self) -> None:
        # The manifest first: without it nothing is taken for results.
        (self.path / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.path / PARTS)
        (self.path / PARTS).mkdir()
        for file in (*self.path.glob("*.parquet"), self.path / FAILURES):
            file.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def note(self, **more: Any) -> None:
        """Say more in the manifest, which is written."""
        self.manifest |= more
        with appearing(self.path / MANIFEST) as made:
            made.write_text(json.dumps(self.manifest, indent=1), encoding="utf-8")

    def done(self, final: bool) -> set[int]:
        """Numbers of the partitions that are done, and are there as they were written."""
        found = set()
        for note in (self.path / PARTS).glob("*.json"):
            number = int(note.stem)
            part = part_path(self.path, number, final)
            size = json.loads(note.read_text(encoding="utf-8")).get("bytes")
            if part.is_file() and part.stat().st_size == size:
                found.add(number)
        return found

    def finish(self, partitions: int) -> LibraryResult:
        """Write the table of failures."""
        start = failed = 0
        with appearing(self.path / FAILURES) as made, made.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(("index", "id", "input", "reason"))
            for number in range(partitions):
                done = json.loads(note_path(self.path, number).read_text(encoding="utf-8"))
                table.writerows((start + index, *rest) for index, *rest in done["failures"])
                start += done["molecules"]
                failed += len(done["failures"])
        self.note(molecules=start, failed=failed)
        return LibraryResult(self.path, start, failed, self.path / FAILURES)


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a folder; nothing where there is none."""
    try:
        found = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return dict(found)


def note_path(folder: Path, number: int) -> Path:
    """What says that a partition is done."""
    return folder / PARTS / f"{number:07}.json"


def part_path(folder: Path, number: int, final: bool) -> Path:
    """Results of a partition: at their place, or among the parts of what will be one file."""
    return (folder if final else folder / PARTS) / f"part-{number:07}.parquet"


def _ours(file: Path) -> bool:
    part = re.fullmatch(r"part-\d{7,}\.parquet", file.name)  # other programs' parts have longer names
    return bool(part) or file.name in (PARTS, MANIFEST, FAILURES, LOCK, TOP) or file.name.startswith(".")


def _differences(key: str, one: Any, other: Any) -> str:
    """A key, and of input files those that differ."""
    if key == "input" and isinstance(one, str) and isinstance(other, str):
        return "input (by the token of the Dask DataFrame)"
    if key != "input" or not (isinstance(one, list) and isinstance(other, list)):
        return key
    before, now = (dict(files) for files in (one, other))
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return (
        f"input ({', '.join(changed[:3])}{', ...' if len(changed) > 3 else ''})"
        if changed
        else "order of files"
    )
