"""What all featurizers share: inputs in chunks, failures, output containers, feature names, progress."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import scipy.sparse
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_consistent_length

# Private, but the same since 1.2, and there is no public way to ask for the configured container.
from sklearn.utils._set_output import _get_output_config
from tqdm import tqdm

from skmol3d.featurizers.parameters import check_choice, check_integer
from skmol3d.structures import Failure, iter_inputs
from skmol3d.structures.errors import describe_input

CHUNK = 8192
"""Molecules parsed and held at a time."""

SHOWN = 10


class FeaturizationError(ValueError):
    """Some inputs gave no row.

    Attributes
    ----------
    failures : list of Failure
        All of them: position in the input, input, reason. The message shows the first ten.
    """

    def __init__(self, failures: Sequence[Failure], total: int, item: str = "molecule") -> None:
        super().__init__(failures, total, item)  # as they came, so that a worker can pickle the error
        self.failures = list(failures)
        self.total = total
        self.item = item

    def __str__(self) -> str:
        lines = [f"{len(self.failures)} of {self.total} {self.item}s could not be featurized:"]
        lines += [f"  [{f.index}] {f.input}: {f.reason}" for f in self.failures[:SHOWN]]
        if len(self.failures) > SHOWN:
            lines.append(f"  ... and {len(self.failures) - SHOWN} more (see the attribute `failures`)")
        lines.append(
            "errors='nan' keeps them as rows of NaN; drop_failures then removes them from X and y, and "
            "SkipFailures skips them within a pipeline."
        )
        return "\n".join(lines)


class StructureFeaturizer(TransformerMixin, BaseEstimator, ABC):
    """Base of all featurizers: one structure in, a molecule or a crystal, and one row of float32 out.

    A subclass stores its parameters in ``__init__``, among them ``n_jobs``, ``errors`` and ``verbose``; it
    says what it takes in `item` and `_iter_inputs`, names its columns in `_feature_names` and fills rows in
    `_compute`. A row depends on its structure alone, so there is nothing to fit.
    """

    item: ClassVar[str]
    """What becomes a row, in the words of messages."""

    n_jobs: int | None
    errors: str
    verbose: int

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters; nothing is learned from the data.

        Parameters
        ----------
        X : iterable
            Not looked at (a generator is left untouched).
        y : object
            Not looked at.

        Returns
        -------
        self
        """
        self._check_params()
        return self

    def transform(self, X: Any) -> Any:
        """Compute one row per structure, in input order.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Each molecule a SMILES or InChI string, `rdkit.Chem.Mol`, `ase.Atoms`, or path to a file with one
            record. What files may be, `skmol3d.structures.reading` says; RDKit's suppliers are fine, too.
            Of crystals, `CrystalFeaturizer` says what they may be.

        Returns
        -------
        ndarray of float32, shape [n, n_features]
            Or the container set by `set_output` (a pandas Series or DataFrame keeps its index). With
            ``errors="nan"`` failures are rows of NaN, and the attribute `failures_` is a DataFrame
            with the columns index, input and reason (empty if all went well).

        Raises
        ------
        FeaturizationError
            With ``errors="raise"``, after all were tried; lists all that failed.
        TypeError
            If `X` is not a collection of such structures.
        ValueError
            If `X` is empty or a parameter is invalid.
        """
        rows = self._assemble(self.iter_transform(X), _count(X))
        pandas_output = _get_output_config("transform", self)["dense"] == "pandas"
        if pandas_output and isinstance(X, pd.Series) and not scipy.sparse.issparse(rows):
            # Older scikit-learn keeps the index of DataFrames only; a ColumnTransformer hands over Series.
            return pd.DataFrame(rows, index=X.index, columns=self.get_feature_names_out())
        return rows

    def iter_transform(self, X: Any, chunk_size: int = CHUNK) -> Iterator[Any]:
        """Compute rows chunk by chunk: memory stays flat however many structures there are.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path
            As in `transform`.
        chunk_size : int, default=8192
            Structures per chunk.

        Yields
        ------
        ndarray of float32, shape [chunk_size or fewer, n_features]
            In input order; failures are rows of NaN whatever `errors` says. `failures_` is complete
            after the last chunk.

        Raises
        ------
        FeaturizationError
            With ``errors="raise"``, after the last chunk.
        TypeError, ValueError
            As in `transform`, before the first chunk.
        """
        self._check_params()
        check_integer("chunk_size", chunk_size, 1)
        if X is None:
            raise TypeError(f"X is None; pass a list, array, Series or generator of {self.item}s")
        return self._iter_chunks(self._iter_inputs(X), chunk_size, _count(X))

    @abstractmethod
    def _iter_inputs(self, X: Any) -> Iterator[object]:
        """Single inputs of a collection or file, lazily; TypeError if `X` is neither."""

    def _iter_chunks(self, inputs: Iterator[object], chunk_size: int, total: int | None) -> Iterator[Any]:
        failures: list[Failure] = []
        start, width = 0, self._n_features()
        name, unit = type(self).__name__, f" {self.item}s"
        with tqdm(total=total, desc=name, unit=unit, disable=not self.verbose) as bar:
            while chunk := list(islice(inputs, chunk_size)):
                rows = np.full((len(chunk), width), np.nan, np.float32)
                reasons = self._compute(chunk, rows, bar.update)
                if not isinstance(reasons, dict):
                    raise TypeError(f"{name}._compute must return a dict of reasons; got {reasons!r}")
                failures += [
                    Failure(start + i, describe_input(chunk[i]), reasons[i]) for i in sorted(reasons)
                ]
                start += len(chunk)
                yield self._pack(rows)
        if not start:
            raise ValueError(f"X is empty: there is no {self.item} to featurize")
        self.failures_ = pd.DataFrame(
            {
                "index": np.array([f.index for f in failures], dtype=np.int64),
                "input": pd.Series([f.input for f in failures], dtype=object),
                "reason": pd.Series([f.reason for f in failures], dtype=object),
            }
        )
        if failures and self.errors == "raise":
            raise FeaturizationError(failures, start, self.item)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the columns.

        Parameters
        ----------
        input_features : object
            Not looked at: structures have no feature names.

        Returns
        -------
        ndarray of str, shape [n_features]
        """
        self._check_params()
        return np.array(self._feature_names(), dtype=object)

    def integer_columns(self) -> NDArray[np.bool_]:
        """Say which columns hold nothing but whole numbers, such as counts.

        Returns
        -------
        ndarray of bool, shape [n_features]
        """
        self._check_params()
        return np.zeros(self._n_features(), bool)

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _check_params(self) -> None:
        """Raise ValueError or TypeError for an invalid parameter."""
        check_choice("errors", self.errors, ("raise", "nan"))
        if self.n_jobs is not None:
            check_integer("n_jobs", self.n_jobs)
            if self.n_jobs == 0:
                raise ValueError("n_jobs must not be 0; None means one process, -1 all cores")

    @abstractmethod
    def _feature_names(self) -> list[str]:
        """Names of all columns."""

    @abstractmethod
    def _n_features(self) -> int:
        """Number of columns."""

    @abstractmethod
    def _compute(
        self, inputs: list[object], rows: NDArray[np.float32], advance: Callable[[int], Any]
    ) -> dict[int, str]:
        """Fill `rows` (NaN before) and give the reasons of those that stay NaN, by position.

        `advance` takes the number of inputs done since the last call.
        """

    def _pack(self, rows: NDArray[np.float32]) -> Any:
        """Turn a chunk into what the user gets."""
        return rows

    def _assemble(self, chunks: Iterable[Any], total: int | None) -> Any:
        if total is None:
            return np.concatenate(list(chunks))
        rows = np.empty((total, self._n_features()), np.float32)
        start = 0
        for chunk in chunks:
            rows[start : start + len(chunk)] = chunk
            start += len(chunk)
        return rows[:start]  # what says its length may hold less


class MoleculeFeaturizer(StructureFeaturizer):
    """Base of the featurizers of molecules; they have a parameter ``standardise``, too."""

    item = "molecule"
    standardise: str | None

    def _iter_inputs(self, X: Any) -> Iterator[object]:
        return iter_inputs(X)

    def _check_params(self) -> None:
        super()._check_params()
        check_choice("standardise", self.standardise, ("parent", "neutral", None))


def drop_failures(rows: Any, *arrays: Any) -> tuple[Any, ...]:
    """Remove the molecules that failed under ``errors="nan"`` from X and y together.

    Parameters
    ----------
    rows : ndarray, sparse array or DataFrame, shape [n, n_features]
        What a featurizer returned; a failed molecule is a row of nothing but NaN.
    *arrays : ndarray, sparse array, DataFrame, Series, list or tuple, length n
        Targets, groups, SMILES, ...

    Returns
    -------
    tuple
        `rows` and each of `arrays` without the failed molecules, in their own types.

    Raises
    ------
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> import numpy as np
    >>> from skmol3d import drop_failures
    >>> X = np.array([[1.0, 2.0], [np.nan, np.nan], [5.0, 6.0]])
    >>> X, y = drop_failures(X, [10, 20, 30])
    >>> X.shape, y
    ((2, 2), [10, 30])
    """
    check_consistent_length(rows, *arrays)
    if scipy.sparse.issparse(rows):
        missing = np.bincount(rows.tocoo().row[np.isnan(rows.tocoo().data)], minlength=rows.shape[0])
        keep = missing < rows.shape[1]
    else:
        keep = ~np.isnan(np.asarray(rows)).all(axis=1)
    return tuple(_select(array, keep) for array in (rows, *arrays))


def _select(array: Any, keep: NDArray[np.bool_]) -> Any:
    if isinstance(array, list | tuple):
        return type(array)(item for item, kept in zip(array, keep, strict=True) if kept)
    if hasattr(array, "iloc"):
        return array.iloc[keep]
    if hasattr(array, "filter"):  # polars
        return array.filter(keep)
    return (array.tocsr() if scipy.sparse.issparse(array) else array)[keep]


def _count(X: Any) -> int | None:
    """Number of molecules in `X`, where that is known beforehand."""
    return None if isinstance(X, str | os.PathLike) or not hasattr(X, "__len__") else len(X)
