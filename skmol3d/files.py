"""Rows into files, chunk by chunk: memory stays flat."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

OUTPUTS = (".npy", ".csv")


class NpyWriter:
    """Appends float32 rows to a .npy file whose length is known only at the end."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.width, self.count = len(names), 0
        self.file = path.open("w+b")
        self._header()

    def append(self, inputs: list[object], rows: Any) -> None:
        """Append a chunk; `inputs` leave no trace in this format."""
        self.file.write(rows.astype("<f4").tobytes())
        self.count += len(rows)

    def close(self) -> None:
        """Write the length into the header."""
        self.file.seek(0)
        self._header()
        self.file.close()

    def _header(self) -> None:
        from numpy.lib import format as npy

        # NumPy pads the header so that the first axis can grow in place.
        shape = (self.count, self.width)
        npy.write_array_header_1_0(self.file, {"descr": "<f4", "fortran_order": False, "shape": shape})


class CsvWriter:
    """Appends rows to a table: the input (its number, where it is not text), then the features."""

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self.count = 0
        self.file = path.open("w", newline="", encoding="utf-8")
        self.writer = csv.writer(self.file)
        self.writer.writerow(["molecule", *names])

    def append(self, inputs: list[object], rows: Any) -> None:
        """Append a chunk."""
        for value, row in zip(inputs, rows, strict=True):
            label = value if isinstance(value, str) else self.count
            self.writer.writerow([label, *(f"{number:.7g}" for number in row)])
            self.count += 1

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def write_rows(featurizer: Any, inputs: Iterator[object], path: Path) -> int:
    """Featurize a stream into a file, which appears only when complete.

    Parameters
    ----------
    featurizer : MoleculeFeaturizer
        Its `failures_` are complete afterwards.
    inputs : iterator
        Molecules.
    path : path
        ``.npy`` or ``.csv``.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    ValueError
        For another type of file.
    skmol3d.featurizers.FeaturizationError
        If molecules failed and the featurizer has ``errors="raise"``.
    """
    if path.suffix not in OUTPUTS:
        raise ValueError(f"{path}: unknown output type; expected {', '.join(OUTPUTS)}")
    seen: list[object] = []

    def remember() -> Iterator[object]:
        for value in inputs:
            seen.append(value)
            yield value

    chunks = featurizer.iter_transform(remember())
    partial = path.with_name(path.name + ".partial")
    family = NpyWriter if path.suffix == ".npy" else CsvWriter
    writer = family(partial, featurizer.get_feature_names_out())
    try:
        count = 0
        for rows in chunks:
            writer.append(seen[: len(rows)], rows)
            del seen[: len(rows)]
            count += len(rows)
        writer.close()
        partial.replace(path)
        return count
    finally:
        writer.file.close()
        partial.unlink(missing_ok=True)
