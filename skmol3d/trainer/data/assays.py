"""Assay labels of molecules: as a folder distributes them, as shards keep them, and what they look like.

A set has them as the target ``assays``, float16 [M, T], NaN where a molecule was not measured. Most are not:
files hold triplets (row, column, value).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from skmol3d.trainer.data.sets import PackedSet

TARGET = "assays"
MOLECULES = "molecules.csv.gz"  # of a folder of labels
LEAST = 30  # training labels of a task that counts
CHUNK = 8192  # molecules that are looked at together


@dataclass(frozen=True)
class Labels:
    """Triplets of a table of which little is known.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns of the table.
    row, column : integers [K]
    value : float16 [K]
    """

    shape: tuple[int, int]
    row: np.ndarray
    column: np.ndarray
    value: np.ndarray

    @classmethod
    def of(cls, table: np.ndarray) -> Labels:
        """The known values of ``table`` [M, T]."""
        row, column = np.nonzero(~np.isnan(table))
        return cls(table.shape, row.astype(np.int32), column.astype(np.int32), table[row, column])

    def dense(self) -> np.ndarray:
        """The table, float16 [M, T], NaN where nothing is known."""
        table = np.full(self.shape, np.nan, np.float16)
        table[self.row, self.column] = self.value
        return table

    def take(self, rows: np.ndarray) -> Labels:
        """The labels of ``rows``, in their order, each at most once."""
        place = np.full(self.shape[0], -1)
        place[rows] = np.arange(len(rows))
        kept = place[self.row] >= 0
        return Labels((len(rows), self.shape[1]), place[self.row][kept], self.column[kept], self.value[kept])


def read_assays(folder: Path) -> tuple[list[object], Labels]:
    """SMILES and labels of a folder with ``molecules.csv.gz``, ``labels.npz`` and ``columns.json``.

    ``molecules.csv.gz`` has a column ``smiles``; ``labels.npz`` has ``row`` (of these molecules), ``column``
    (of the list in ``columns.json``) and ``value``.

    Raises
    ------
    ValueError
        If a label is of no molecule or of no column.
    """
    smiles = pd.read_csv(folder / MOLECULES)["smiles"].tolist()
    columns = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
    with np.load(folder / "labels.npz", allow_pickle=False) as data:
        row, column, value = data["row"], data["column"], data["value"]
    for name, places, count in (("row", row, len(smiles)), ("column", column, len(columns))):
        if len(places) and not 0 <= places.min() <= places.max() < count:
            wrong = int(np.argmax((places < 0) | (places >= count)))
            raise ValueError(f"{folder}: label {wrong} is of {name} {places[wrong]}, of {count}")
    labels = Labels((len(smiles), len(columns)), row, column, value.astype(np.float16))
    return smiles, labels


def shard_arrays(table: np.ndarray) -> dict[str, np.ndarray]:
    """What a shard keeps of the target [M, T]."""
    labels = Labels.of(table)
    return {
        "assay_row": labels.row,
        "assay_column": labels.column,
        "assay_value": labels.value,
        "assay_count": np.array(table.shape[1]),
    }


def shard_labels(data: Mapping[str, Any], molecules: int) -> Labels:
    """The labels of a shard with `shard_arrays`."""
    shape = (molecules, int(data["assay_count"]))
    return Labels(shape, data["assay_row"], data["assay_column"], data["assay_value"])


def joined(parts: Sequence[Labels]) -> Labels:
    """Tables below each other.

    Raises
    ------
    ValueError
        If they have other numbers of columns.
    """
    widths = sorted({part.shape[1] for part in parts})
    if len(widths) != 1:
        raise ValueError(f"assay labels of {widths} columns do not go together")
    starts = np.cumsum([0] + [part.shape[0] for part in parts])
    return Labels(
        (int(starts[-1]), widths[0]),
        np.concatenate([part.row + start for part, start in zip(parts, starts[:-1], strict=True)]),
        np.concatenate([part.column for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


@dataclass(frozen=True)
class AssayStatistics:
    """What the labels of training molecules look like, by task.

    Attributes
    ----------
    labels : int64 [T]
        How many there are.
    mean, std : float64 [T]
        Of the labels; the mean of a class is its base rate.
    classes : bool [T]
        Whether all labels are 0 or 1.
    """

    labels: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    classes: np.ndarray

    @classmethod
    def measure(cls, sets: Sequence[PackedSet], train: Sequence[np.ndarray]) -> AssayStatistics:
        """Over the conformers ``train`` of each set; without any labels there are no tasks.

        Raises
        ------
        ValueError
            If sets have other numbers of tasks.
        """
        tables = [
            (s.molecule_targets[TARGET], index)
            for s, index in zip(sets, train, strict=True)
            if TARGET in s.molecule_targets
        ]
        widths = sorted({table.shape[1] for table, _ in tables}) or [0]
        if len(widths) > 1:
            raise ValueError(f"entries have assay labels of {widths} tasks")
        count = np.zeros(widths[0], np.int64)
        total, square, classes = np.zeros(widths[0]), np.zeros(widths[0]), np.ones(widths[0], bool)
        for table, index in tables:
            for start in range(0, len(index), CHUNK):
                values = Labels.of(table[index[start : start + CHUNK]])
                column, value = values.column, values.value.astype(np.float64)
                count += np.bincount(column, minlength=widths[0])
                total += np.bincount(column, value, widths[0])
                square += np.bincount(column, value**2, widths[0])
                classes[column[(value != 0) & (value != 1)]] = False
        mean = total / np.maximum(count, 1)
        std = np.sqrt(np.maximum(square / np.maximum(count, 1) - mean**2, 0.0))
        return cls(count, mean, std, classes & (count > 0))

    @property
    def counted(self) -> np.ndarray:
        """Tasks with enough training labels that are not all the same, bool [T]."""
        return (self.labels >= LEAST) & (self.std > 1e-6)
