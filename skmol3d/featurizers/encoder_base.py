"""Base of the featurizers that run a pretrained encoder on conformers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import islice
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import rdkit
from numpy.typing import NDArray

import skmol3d
from skmol3d import inference
from skmol3d.featurizers import cache
from skmol3d.featurizers.base import MoleculeFeaturizer
from skmol3d.featurizers.elements import unknown_elements
from skmol3d.featurizers.parameters import check_choice, check_integer, check_names, check_path
from skmol3d.featurizers.spellings import read_named
from skmol3d.hub import loaded
from skmol3d.structures import (
    Conformers,
    ConformerSettings,
    Molecule,
    StructureError,
    boltzmann_weights,
    conformers_of,
    read_molecule,
)
from skmol3d.structures.conformers import CONVENTIONS
from skmol3d.structures.storage import content_key

if TYPE_CHECKING:
    import torch

Row = NDArray[np.float32]

WINDOW = 1024
"""Conformers that are sorted by size and encoded together; also rows that are looked up together."""


class EncoderFeaturizer(MoleculeFeaturizer):
    """Conformers, a pretrained encoder, pooling over conformers, and the caches between them.

    A subclass stores its parameters, which are those named here and in the base class. Weights are loaded
    on first use, shared within the process, and stay out of pickles.
    """

    model: str
    revision: str | None
    device: str
    batch_size: int | None
    n_conformers: int
    conformer_pooling: str
    blocks: tuple[str, ...] | str | None
    relax: str | None
    time_limit: float
    random_state: int
    cache_dir: str | None

    encoder_name: str
    """Which encoders the subclass accepts; also the prefix of its column names."""

    other_encoders: ClassVar[tuple[str, ...]] = ()
    """Further encoders that it accepts."""

    count_blocks: ClassVar[tuple[str, ...]] = ()
    """Blocks of whole numbers, which the cache stores as such."""
    selections: ClassVar[tuple[str, ...]] = ()  # what `blocks` may be besides names of blocks

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and pin the checkpoint; nothing is learned from the data.

        The checkpoint's hash (and the commit of a Hub revision) go into `checkpoint_`, so that a pipeline
        that is loaded again uses the same weights, or says that they are gone.

        Parameters
        ----------
        X : iterable of molecules
            Not looked at (a generator is left untouched).
        y : object
            Not looked at.

        Returns
        -------
        self

        Raises
        ------
        skmol3d.hub.CheckpointError
            If the checkpoint cannot be found or is damaged.
        """
        self._check_params()
        self.checkpoint_, _ = loaded.find_checkpoint(self.model, self.revision)
        return self

    def _check_params(self) -> None:
        super()._check_params()
        if self.batch_size is not None:
            check_integer("batch_size", self.batch_size, 1)
        check_integer("n_conformers", self.n_conformers, 1)
        check_integer("random_state", self.random_state, 0)
        check_choice("conformer_pooling", self.conformer_pooling, ("mean", "boltzmann", "all"))
        if self.conformer_pooling == "boltzmann" and self.relax is None and self.n_conformers > 1:
            raise ValueError(
                "conformer_pooling='boltzmann' weighs conformers by MMFF94 energies, which relax=None leaves "
                "out; set relax='mmff'"
            )
        if isinstance(self.blocks, str) and self.blocks not in self.selections:
            others = " or ".join([*map(repr, self.selections), "None"])
            raise TypeError(f"blocks must be a sequence of block names, e.g. ({self.blocks!r},), or {others}")
        if not isinstance(self.blocks, str | None):
            check_names("blocks", self.blocks)
        check_path("cache_dir", self.cache_dir)
        if not isinstance(self.time_limit, Real):
            raise TypeError(f"time_limit must be a number of seconds; got {self.time_limit!r}")
        self._settings()  # checks the rest

    def _settings(self) -> ConformerSettings:
        return ConformerSettings(
            n_conformers=int(self.n_conformers),
            random_state=int(self.random_state),
            relax=self.relax,
            time_limit=float(self.time_limit),
        )

    # --- the encoder ---------------------------------------------------------------------------------------

    def _load(self) -> tuple[Any, loaded.Checkpoint, torch.device]:
        fitted = getattr(self, "checkpoint_", None)
        if fitted is not None and (fitted.model, fitted.revision) != (str(self.model), self.revision):
            fitted = None  # set_params after fit: the new model counts
        checkpoint, folder = loaded.find_checkpoint(
            self.model, self.revision, None if fitted is None else fitted.commit
        )
        if fitted is not None and checkpoint.fingerprint != fitted.fingerprint:
            raise ValueError(
                f"the checkpoint {self.model!r} ({folder}) is not the one this {type(self).__name__} was "
                "fitted with: its weights or config have changed since; fit again, or restore it"
            )
        device = self._find_device()
        encoder = loaded.load_encoder(checkpoint, folder, device)
        if encoder.name not in (self.encoder_name, *self.other_encoders):
            raise ValueError(
                f"model: expected a {self.encoder_name!r} checkpoint, {self.model!r} holds {encoder.name!r}"
            )
        return encoder, checkpoint, device

    def _find_device(self) -> torch.device:
        device = inference.find_device(self.device)
        if device is None:
            if not getattr(self, "_unpickled", False):
                raise ValueError(
                    f"device={self.device!r} is not available on this machine; use device='auto' or 'cpu'"
                )
            warnings.warn(
                f"device={self.device!r} is not available on this machine; using the CPU instead",
                UserWarning,
                stacklevel=2,
            )
            device = inference.find_device("cpu")
            assert device is not None
        return device

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        # A fitted pipeline must work on a machine without the GPU it was fitted on.
        self._unpickled = True

    def _columns(self, encoder: Any) -> tuple[list[str], NDArray[np.intp]]:
        """Names of one conformer's columns, and their places in the encoder's output."""
        sizes = encoder.output_blocks()
        starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]), strict=False))
        known = tuple(sizes)
        blocks = known if isinstance(self.blocks, str | None) else check_names("blocks", self.blocks, known)
        names = [f"{block}_{i}" for block in blocks for i in range(sizes[block])]
        return names, np.concatenate([starts[block] + np.arange(sizes[block]) for block in blocks])

    def _feature_names(self) -> list[str]:
        names, _ = self._columns(self._load()[0])
        if self.conformer_pooling == "all":
            names = [f"conformer{c}_{name}" for c in range(self.n_conformers) for name in names]
        return [f"{self.encoder_name}_{name}" for name in names]

    def _n_features(self) -> int:
        _, columns = self._columns(self._load()[0])
        return len(columns) * (self.n_conformers if self.conformer_pooling == "all" else 1)

    def integer_columns(self) -> NDArray[np.bool_]:
        self._check_params()
        copies = self.n_conformers if self.conformer_pooling == "all" else 1
        if not self.count_blocks or copies < self.n_conformers:  # means are no whole numbers
            return np.zeros(self._n_features(), bool)
        encoder = self._load()[0]
        return self._counts(encoder).reshape(copies, -1)[:, self._columns(encoder)[1]].ravel()

    # --- rows ----------------------------------------------------------------------------------------------

    def _compute(
        self, inputs: list[object], rows: NDArray[np.float32], advance: Callable[[int], Any]
    ) -> dict[int, str]:
        encoder, checkpoint, device = self._load()
        _, columns = self._columns(encoder)
        factors = self._factors(encoder)
        copies = self.n_conformers if self.conformer_pooling == "all" else 1
        reasons: dict[int, str] = {}
        places: dict[bytes, list[int]] = {}  # every row that a cache key fills: duplicates are computed once
        molecules: dict[bytes, Molecule | None] = {}

        def settle(results: dict[bytes, Row | str]) -> None:
            for key, result in results.items():
                if not isinstance(result, str):
                    result = self._doubt(result.reshape(copies, -1)) or result
                for i in places[key]:
                    if isinstance(result, str):
                        reasons[i] = result
                    else:
                        rows[i] = (result.reshape(copies, -1) * factors)[:, columns].ravel()

        for i, read in enumerate(read_named(inputs, self.standardise)):
            if isinstance(read, StructureError):
                reasons[i] = str(read)
                continue
            key = self._key(read[0], checkpoint)
            places.setdefault(key, []).append(i)
            molecules[key] = molecules.get(key) or read[1]
        counts = self._counts(encoder)
        missing: list[bytes] = []
        keys = iter(places)
        while window := list(islice(keys, WINDOW)):
            found = cache.CACHE.get(window, self.cache_dir)
            settle({key: cache.decode_row(value, counts) for key, value in found.items()})
            missing += [key for key in window if key not in found]
        todo: dict[bytes, Molecule] = {}
        for key in missing:
            molecule = molecules[key] or read_molecule(inputs[places[key][0]], self.standardise)
            if reason := self._refusal(molecule, encoder):
                settle({key: reason})
            else:
                todo[key] = molecule
        advance(len(inputs) - len(todo))
        for results in self._encoded(todo, encoder, device, advance):
            settle(results)
            made = {key: row for key, row in results.items() if not isinstance(row, str)}
            cache.CACHE.put({key: cache.encode_row(row, counts) for key, row in made.items()}, self.cache_dir)
        return reasons

    def _refusal(self, molecule: Molecule, encoder: Any) -> str | None:
        """Why the encoder cannot take this molecule, if so: known before conformers are made."""
        return unknown_elements(molecule.numbers, encoder.elements)

    def _doubt(self, blocks: NDArray[np.float32]) -> str | None:
        """Why a molecule with these blocks [copies, width] gets no row, if so."""
        return None

    def _factors(self, encoder: Any) -> NDArray[np.float32]:
        """What multiplies the columns of one conformer; 1 for all by default."""
        return np.ones(1, np.float32)

    def _counts(self, encoder: Any) -> NDArray[np.bool_]:
        """Which columns of a stored row are whole numbers."""
        sizes = encoder.output_blocks()
        marks = np.repeat([block in self.count_blocks for block in sizes], list(sizes.values()))
        return np.tile(marks, self.n_conformers if self.conformer_pooling == "all" else 1)

    def _key(self, molecule: str, checkpoint: loaded.Checkpoint) -> bytes:
        """Cache key of a row, from its molecule's; all blocks are stored, unscaled: `blocks` is no part."""
        return content_key(
            molecule,
            asdict(self._settings()),
            self.conformer_pooling,
            checkpoint.fingerprint,
            self.count_blocks,  # how rows are stored
            CONVENTIONS,
            rdkit.__version__,
            skmol3d.__version__,
        )

    def _encoded(
        self,
        todo: dict[bytes, Molecule],
        encoder: Any,
        device: torch.device,
        advance: Callable[[int], Any],
    ) -> Iterator[dict[bytes, Row | str]]:
        """Results of `todo`, a window at a time. Reasons are not kept: conformers remember their failures."""
        budget = self.batch_size or inference.atoms_at_once(encoder, device)
        window: dict[bytes, tuple[Molecule, Conformers]] = {}
        failed: dict[bytes, Row | str] = {}
        conformers = 0
        stream = conformers_of(todo.values(), self._settings(), self.n_jobs, self.cache_dir)
        for key, made in zip(todo, stream, strict=True):
            advance(1)
            if isinstance(made, StructureError):
                failed[key] = str(made)
            elif reason := self._conflict(made):
                failed[key] = reason
            else:
                window[key] = (todo[key], made)
                conformers += len(made.positions)
            if conformers >= WINDOW:
                results, budget = self._encode_window(window, encoder, device, budget)
                yield results
                window, conformers = {}, 0
        yield failed
        yield self._encode_window(window, encoder, device, budget)[0]

    def _conflict(self, made: Conformers) -> str | None:
        """Why these conformers cannot be pooled, if so."""
        count = len(made.positions)
        if self.conformer_pooling == "all" and count != self.n_conformers:
            return f"{count} conformer(s), but conformer_pooling='all' needs all {self.n_conformers}"
        if self.conformer_pooling == "boltzmann":
            try:
                boltzmann_weights(made.energies)
            except StructureError as error:
                return str(error)
        return None

    def _encode_window(
        self,
        window: dict[bytes, tuple[Molecule, Conformers]],
        encoder: Any,
        device: torch.device,
        budget: int,
    ) -> tuple[dict[bytes, Row | str], int]:
        items = [item for molecule, made in window.values() for item in self._items(molecule, made)]
        rows, reasons, budget = inference.encode(encoder, items, device, budget)
        results: dict[bytes, Row | str] = {}
        start = 0
        for key, (_, made) in window.items():
            stop = start + len(made.positions)
            reason = next((reasons[i] for i in range(start, stop) if i in reasons), None)
            results[key] = self._pool(rows[start:stop], made) if reason is None else reason
            start = stop
        return results, budget

    def _items(self, molecule: Molecule, made: Conformers) -> list[inference.Item]:
        """What the encoder gets of a molecule: an item per conformer."""
        return [inference.Item(made.numbers, x, made.charge, made.bonds) for x in made.positions]

    def _pool(self, rows: NDArray[np.float32], made: Conformers) -> NDArray[np.float32]:
        if self.conformer_pooling == "all":
            return rows.ravel()
        if self.conformer_pooling == "boltzmann":
            return (boltzmann_weights(made.energies) @ rows.astype(np.float64)).astype(np.float32)
        return rows.mean(axis=0)
