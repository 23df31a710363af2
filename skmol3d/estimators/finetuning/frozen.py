"""What the frozen row alone says: where fine-tuning starts, and columns for its head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skmol3d.estimators.kernel_ridge import RowKernelRidge, drawn, numbered
from skmol3d.featurizers.scales import counted_columns

MOST = 4000
"""Molecules that a kernel is fitted to; of more a random part, since time grows with their cube."""
CLIP = 6.0
"""Standard deviations, beyond which a column of a new molecule is not followed."""


@dataclass(frozen=True)
class RowScaler:
    """Standardises rows; counts go through a square root, signs kept, before.

    Attributes
    ----------
    kept, counted : ndarray of bool, shape [D]
        Columns that vary in training; those among all that hold whole numbers.
    mean, scale : ndarray of float64, shape [kept]
    """

    kept: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, rows: NDArray[np.float32]) -> Self:
        """Measure rows [n, D] of training molecules."""
        counted = counted_columns(rows)
        values = _rooted(rows, counted)
        mean, scale = values.mean(axis=0), values.std(axis=0)
        kept = scale > 1e-6 * (1 + np.abs(mean))
        return cls(kept, counted, mean[kept], scale[kept])

    def transform(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardised columns [n, kept]."""
        standard = (_rooted(rows, self.counted)[:, self.kept] - self.mean) / self.scale
        return standard.clip(-CLIP, CLIP).astype(np.float32)


def _rooted(rows: NDArray[np.float32], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    values = rows.astype(np.float64)
    values[:, counted] = np.sign(values[:, counted]) * np.sqrt(np.abs(values[:, counted]))
    return values


class FrozenStart:
    """Kernel ridge regression on frozen rows, one for each task.

    Attributes
    ----------
    rows : ndarray of float32, shape [n, D]
        Of all training molecules.
    places : list of ndarray of int64
        Training molecules that each task's kernel was fitted to.
    kernels : list of RowKernelRidge
    """

    def __init__(
        self, rows: NDArray[np.float32], places: list[NDArray[np.int64]], kernels: list[RowKernelRidge]
    ) -> None:
        self.rows, self.places, self.kernels = rows, places, kernels

    @classmethod
    def fit(
        cls,
        kind: str,
        rows: NDArray[np.float32],
        wanted: NDArray[np.float64],
        rng: np.random.RandomState,
        weights: NDArray[np.float64] | None = None,
    ) -> tuple[Self, NDArray[np.float64]]:
        """Fit to targets [n, T], NaN where one is unknown, with weights [n] of the molecules.

        Returns
        -------
        FrozenStart
        honest : ndarray of float64, shape [n, T]
            What each training molecule would be predicted without its own target, and without those of
            equal rows.
        """
        numbers = numbered(rows)
        places: list[NDArray[np.int64]] = []
        kernels: list[RowKernelRidge] = []
        honest = np.empty(wanted.shape)
        for task, y in enumerate(wanted.T):
            known = np.flatnonzero(np.isfinite(y))
            if len(known) > MOST:
                known = known[drawn(kind, y[known], MOST, rng)]
            own = None if weights is None else weights[known]
            kernel = RowKernelRidge.fit(kind, rows[known], y[known], weights=own)
            # A molecule that was not fitted may have copies that were: what these are predicted holds for it.
            left_out = np.full(len(rows), np.nan)
            left_out[numbers[known]] = kernel.left_out
            honest[:, task] = left_out[numbers]
            honest[known, task] = kernel.left_out
            others = np.flatnonzero(np.isnan(honest[:, task]))
            if len(others):
                honest[others, task] = kernel.predict(rows[others])
            places.append(known.astype(np.int64))
            kernels.append(kernel)
        return cls(rows, places, kernels), honest

    def predict(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Predictions [m, T] for rows [m, D]."""
        return np.stack([kernel.predict(rows) for kernel in self.kernels], axis=1)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that `predict` needs, as arrays; most counts are 0, so the rows are sparse."""
        sparse = csr_array(self.rows)
        found: dict[str, NDArray[Any]] = {
            "shape": np.array(self.rows.shape),
            "data": sparse.data,
            "indices": sparse.indices.astype(np.int32),
            "indptr": sparse.indptr.astype(np.int64),
        }
        for task, (places, kernel) in enumerate(zip(self.places, self.kernels, strict=True)):
            found[f"{task}.places"] = places
            for name, value in vars(kernel).items():
                if name == "chosen":
                    found |= {f"{task}.chosen.{key}": np.array(number) for key, number in value.items()}
                elif name not in ("rows", "left_out"):
                    found[f"{task}.{name}"] = np.asarray(value)
        return found

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Undo `arrays`."""
        parts = arrays["data"], arrays["indices"], arrays["indptr"]
        rows = csr_array(parts, shape=tuple(arrays["shape"].tolist())).toarray()
        places: list[NDArray[np.int64]] = []
        kernels: list[RowKernelRidge] = []
        while f"{len(places)}.places" in arrays:
            start = f"{len(places)}."
            own = {name.removeprefix(start): a for name, a in arrays.items() if name.startswith(start)}
            chosen = {k.removeprefix("chosen."): v.item() for k, v in own.items() if k.startswith("chosen.")}
            kernels.append(
                RowKernelRidge(
                    rows=rows[own["places"]],
                    counted=own["counted"],
                    dense=own["dense"],
                    chosen=chosen,
                    mean=own["mean"].item(),
                    dual=own["dual"],
                    left_out=np.empty(0),
                )
            )
            places.append(own["places"])
        return cls(rows, places, kernels)

    def __getstate__(self) -> dict[str, NDArray[Any]]:
        return self.arrays()

    def __setstate__(self, state: dict[str, NDArray[Any]]) -> None:
        made = self.from_arrays(state)
        self.rows, self.places, self.kernels = made.rows, made.places, made.kernels
