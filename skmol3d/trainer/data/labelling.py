"""``skmol3d label INPUT OUT``: GFN2-xTB labels of a whole file, in worker processes, resumed after a kill.

Inputs are labelled in chunks. A finished chunk is one file in ``OUT.parts``, written under another name and
then renamed; it holds labels and failures together, so after a kill at any moment a chunk is there whole or
not at all. When all are there they are merged into OUT.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from tqdm import tqdm

from skmol3d.structures import (
    ConformerSettings,
    Failure,
    StructureError,
    embed_cached,
    read_molecule,
    read_records,
)
from skmol3d.structures.errors import describe_input
from skmol3d.structures.xtb import xtb_labels
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.positions import POSITION_UNIT, integer_positions
from skmol3d.trainer.data.workers import Ticket, Workers, check

CHUNK = 32  # inputs: what a kill can cost

TYPES = {
    "numbers": np.uint8,
    "positions": np.int16,
    "forces": np.float32,
    "charges": np.float32,
    "energy": np.float64,
    "dipole": np.float32,
    "homo": np.float32,
    "lumo": np.float32,
    "total_charge": np.int8,
    "kind": np.uint8,
    "row": np.int64,
}
PER_ATOM = ("numbers", "positions", "forces", "charges")
Result = tuple[list[dict[str, Any]], list[Failure]]  # of a chunk


class NothingLabelled(ValueError):
    """The molecules are at fault, all of them."""


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """What `label_file` did.

    Attributes
    ----------
    inputs, conformers : int
        Inputs read and geometries labelled.
    resumed : int
        Inputs that an earlier run had dealt with.
    failures : list of Failure
        Inputs, or single conformers of them, without labels.
    """

    inputs: int
    conformers: int
    resumed: int
    failures: list[Failure]


def label_file(
    source: Path,
    out: Path,
    column: str | None = None,
    settings: ConformerSettings | None = None,
    n_jobs: int | None = None,
    verbose: int = 0,
    cache_dir: Path | None = None,
) -> LabelSummary:
    """Label the molecules of a file with GFN2-xTB energies, forces, charges, dipoles and frontier orbitals.

    Geometries that the file brings are labelled as they are (centred and rounded to 0.001 Å, before the
    calculation), others get conformers. Unless a molecule runs into the time limit, OUT is the same, bit for
    bit, for any number of processes and kills.

    Parameters
    ----------
    source : path
        Any of the formats of `skmol3d.structures.reading`.
    out : path
        ``.npz`` for `skmol3d.trainer.data.xtb.read_xtb`: ``offsets`` [M + 1]; per atom ``numbers``,
        ``positions`` (0.001 Å), ``forces`` (eV/Å), ``charges`` (e); per conformer ``energy``, ``homo``,
        ``lumo`` (eV), ``dipole`` (e·Å), ``total_charge`` (e), ``kind`` (`ConformerKind`: ``MMFF``,
        ``BROUGHT`` by the input or ``ETKDG``) and ``row``, the 0-based place of its molecule in ``source``.
        Failures go to ``OUT.failures.csv`` (index, input, reason).
    column : str, optional
        Column of a table with the SMILES; by default the one called so.
    settings : ConformerSettings, optional
        By default one MMFF94-relaxed conformer. A file's geometries are one record each.
    n_jobs : int or None, default=None
        Worker processes, as in joblib; each uses one thread.
    verbose : int, default=0
        1 shows progress on stderr.
    cache_dir : path or None
        Folder that keeps conformers, so that labelling them anew embeds nothing again.

    Returns
    -------
    LabelSummary

    Raises
    ------
    FileExistsError
        If ``out`` exists.
    ValueError
        For other types of files, or if ``OUT.parts`` belongs to another input or other settings.
    NothingLabelled
        If all inputs failed.
    ImportError
        If tblite is not installed.
    """
    settings = settings or ConformerSettings(relax="mmff")
    if out.suffix != ".npz":
        raise ValueError(f"{out}: labels go to a .npz file")
    parts = out.with_name(out.name + ".parts")
    if out.exists() and not (parts / "settings.json").exists():  # else a kill came while parts were removed
        raise FileExistsError(f"{out} exists already; remove it to label anew")
    inputs = (record.structure for record in read_records(source, smiles_column=column))
    _begin(parts, source, {"column": column, "chunk": CHUNK, **asdict(settings)})
    counts = {"inputs": 0, "resumed": 0}

    def todo() -> Iterator[tuple[int, list[object]]]:
        while chunk := list(islice(inputs, CHUNK)):
            start = counts["inputs"]
            counts["inputs"] += len(chunk)
            if _part(parts, start).exists():
                counts["resumed"] += len(chunk)
            else:
                yield start, chunk

    workers = joblib.effective_n_jobs(n_jobs)
    with tqdm(disable=not verbose, unit="input", file=sys.stderr) as bar:
        for start, size, result in _in_processes(todo(), settings, workers, cache_dir):
            _save(_part(parts, start), _arrays(*result))
            bar.update(size)
    if not counts["inputs"]:
        _remove(parts, 0)
        raise ValueError(f"{source}: there is no molecule in it")
    merged, failures = _merge(parts, counts["inputs"])
    record = out.with_name(out.name + ".failures.csv")
    if failures:
        with _replacing(record) as partial:
            pd.DataFrame(failures).to_csv(partial, index=False)
    if not len(merged["energy"]):
        _remove(parts, counts["inputs"])  # what can be done next is to mend the input
        raise NothingLabelled(
            f"none of the {counts['inputs']} inputs of {source} could be labelled; see {record}"
        )
    if not failures:
        record.unlink(missing_ok=True)  # of an earlier run
    _save(out, merged)
    _remove(parts, counts["inputs"])
    return LabelSummary(counts["inputs"], len(merged["energy"]), counts["resumed"], failures)


# --- files -----------------------------------------------------------------------------------------------


def _begin(parts: Path, source: Path, settings: dict[str, Any]) -> None:
    """Make the folder of parts, or make sure that the one that exists is of this very task."""
    with source.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    task = {"input": digest, **settings, "rdkit": version("rdkit"), "tblite": _tblite()}
    file_ = parts / "settings.json"
    if not parts.exists():
        parts.mkdir(parents=True)
    elif file_.exists():
        found = json.loads(file_.read_text(encoding="utf-8"))
        differing = sorted(k for k in task.keys() | found.keys() if task.get(k) != found.get(k))
        if differing:
            raise ValueError(
                f"{parts}: begun with another {', '.join(differing)}; remove the folder to begin anew"
            )
    elif any(parts.glob("part_*.npz")):
        raise ValueError(f"{parts}: parts without settings.json; remove the folder to begin anew")
    with _replacing(file_) as partial:
        partial.write_text(json.dumps(task, indent=1) + "\n", encoding="utf-8")


def _remove(parts: Path, count: int) -> None:
    for start in range(0, count, CHUNK):
        _part(parts, start).unlink()
    (parts / "settings.json").unlink()  # last: without it parts are nobody's
    parts.rmdir()


def _tblite() -> str:
    try:
        return version("tblite")
    except PackageNotFoundError as error:
        raise ImportError('GFN2-xTB labels need tblite: pip install "skmol3d[labels]"') from error


def _part(parts: Path, start: int) -> Path:
    return parts / f"part_{start:09d}.npz"


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a name to write under; the file appears under its own when it is complete and on disk."""
    partial = path.with_name(path.name + ".partial")
    yield partial
    with partial.open("r+b") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _save(path: Path, arrays: dict[str, Any]) -> None:
    with _replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def _arrays(rows: list[dict[str, Any]], failures: list[Failure]) -> dict[str, np.ndarray]:
    arrays = {"sizes": np.array([len(row["numbers"]) for row in rows], np.int64)}
    for name, kind in TYPES.items():
        values = [row[name] for row in rows]
        join = np.concatenate if name in PER_ATOM else np.stack
        arrays[name] = join(values).astype(kind) if values else np.empty(0, kind)
    arrays["failed"] = np.array([failure.index for failure in failures], np.int64)
    for name in ("input", "reason"):
        arrays[f"failed_{name}"] = np.array([getattr(failure, name) for failure in failures], np.str_)
    return arrays


def _merge(parts: Path, count: int) -> tuple[dict[str, np.ndarray], list[Failure]]:
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("sizes", *TYPES)}
    failures: list[Failure] = []
    for start in range(0, count, CHUNK):
        with np.load(_part(parts, start), allow_pickle=False) as data:
            failed = zip(data["failed"], data["failed_input"], data["failed_reason"], strict=True)
            failures += [Failure(int(k), str(text), str(reason)) for k, text, reason in failed]
            if len(data["sizes"]):  # otherwise the shapes of its empty arrays would not fit
                for name, values in columns.items():
                    values.append(data[name])
    merged = {name: np.concatenate(values) if values else np.empty(0) for name, values in columns.items()}
    merged["offsets"] = np.concatenate([[0], np.cumsum(merged.pop("sizes"))]).astype(np.int64)
    return merged, failures


# --- processes -------------------------------------------------------------------------------------------


def _in_processes(
    chunks: Iterator[tuple[int, list[object]]],
    settings: ConformerSettings,
    workers: int,
    cache_dir: Path | None,
) -> Iterator[tuple[int, int, Result]]:
    """Yield (start, size, result) of each chunk as it is done."""
    pending: dict[Future[Result], tuple[int, list[object]]] = {}
    pool = Workers(workers)
    try:
        while True:
            while len(pending) < 2 * workers and (item := next(chunks, None)):
                pending[pool.submit(_label_chunk, *item, settings, cache_dir)] = item
            if not pending:
                return
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            try:
                results = [(pending[future], future.result()) for future in done]
            except BrokenProcessPool:
                # One of the chunks under way took its worker down, and the pool with it.
                pool.close()
                pool = Workers(workers)
                results = [(item, _alone(*item, settings, cache_dir)) for item in pending.values()]
                pending.clear()
            for (start, chunk), result in results:
                yield start, len(chunk), result
            for future in done:
                pending.pop(future, None)
    finally:
        pool.close()


def _alone(start: int, chunk: list[object], settings: ConformerSettings, cache_dir: Path | None) -> Result:
    """Label a chunk in a process of its own; one that takes it down is halved until the input is found."""
    pool = Workers(1)
    try:
        return pool.submit(_label_chunk, start, chunk, settings, cache_dir).result()
    except BrokenProcessPool:
        pass
    finally:
        pool.close()
    if len(chunk) == 1:
        return [], [Failure(start, describe_input(chunk[0]), "its process died (a crash, or out of memory)")]
    middle = len(chunk) // 2
    rows, failures = _alone(start, chunk[:middle], settings, cache_dir)
    more_rows, more_failures = _alone(start + middle, chunk[middle:], settings, cache_dir)
    return rows + more_rows, failures + more_failures


def _label_chunk(
    start: int, chunk: list[object], settings: ConformerSettings, cache_dir: Path | None, ticket: Ticket
) -> Result:
    rows: list[dict[str, Any]] = []
    failures: list[Failure] = []
    for index, value in enumerate(chunk, start):
        check(ticket)
        try:
            molecule = read_molecule(value)
            conformers = embed_cached(molecule, settings, cache_dir)
        except StructureError as error:
            failures.append(Failure(index, describe_input(value), str(error)))
            continue
        own = ConformerKind.MMFF if settings.relax == "mmff" else ConformerKind.ETKDG
        kind = own if molecule.coordinates is None else ConformerKind.BROUGHT
        for k, positions in enumerate(conformers.positions):
            try:
                labels = _label(conformers.numbers, positions, conformers.charge)
            except (ValueError, RuntimeError) as error:  # what tblite raises
                which = f"conformer {k}: " if len(conformers.positions) > 1 else ""
                failures.append(Failure(index, describe_input(value), f"{which}{error}"))
            else:
                rows.append({**labels, "kind": kind, "row": index})
    return rows, failures


def _label(numbers: np.ndarray, positions: np.ndarray, charge: int) -> dict[str, Any]:
    # Rounded first: the labels belong to the positions that are stored.
    packed = integer_positions(positions)
    labels = asdict(xtb_labels(numbers, packed * POSITION_UNIT, charge))
    broken = [name for name, value in labels.items() if not np.isfinite(value).all()]
    if broken:
        raise ValueError(f"GFN2-xTB gave no finite {', '.join(broken)}")
    return {"numbers": numbers, "positions": packed, "total_charge": charge, **labels}
