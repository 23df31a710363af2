"""What a network that is fine-tuned reads of a molecule: its frozen row, and atoms with their scalars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from skmol3d import inference
from skmol3d.encoders.atoms import AtomBatch
from skmol3d.featurizers import REM3DIFeaturizer
from skmol3d.featurizers.base import FeaturizationError
from skmol3d.structures import Failure, StructureError, conformers_of, read_molecule
from skmol3d.structures.errors import describe_input


class Record(NamedTuple):
    """The tokens of one conformer.

    Attributes
    ----------
    numbers : ndarray of int64, shape [L]
        Atomic numbers.
    positions : ndarray of float32, shape [L, 3]
        Å.
    bonds : ndarray of int64, shape [m, 2], or None
        Among these atoms.
    scalars : ndarray of float32, shape [L, S]
        Standardised invariants of the potential.
    """

    numbers: NDArray[np.int64]
    positions: NDArray[np.float32]
    bonds: NDArray[np.int64] | None
    scalars: NDArray[np.float32]


class TokenFeaturizer(REM3DIFeaturizer):
    """A `REM3DIFeaturizer` that also gives the records of molecules."""

    def encoder(self) -> tuple[Any, torch.device]:
        """The frozen encoder, shared within the process, and its device."""
        encoder, _, device = self._load()
        return encoder, device

    def records(self, molecules: Sequence[object]) -> list[list[Record]]:
        """Records of each molecule, one for each of its conformers.

        Parameters
        ----------
        molecules : sequence
            Whose rows could be computed.

        Raises
        ------
        FeaturizationError
            If one has no conformers after all (a time limit may be reached at the second time).
        """
        encoder, device = self.encoder()
        if device.type == "cpu":
            inference.prime_malloc()
        read = [read_molecule(value, self.standardise) for value in molecules]
        items: list[tuple[int, inference.Item]] = []
        failures: list[Failure] = []
        stream = conformers_of(iter(read), self._settings(), self.n_jobs, self.cache_dir)
        for i, (molecule, made) in enumerate(zip(read, stream, strict=True)):
            if isinstance(made, StructureError):
                failures.append(Failure(i, describe_input(molecules[i]), str(made)))
            else:
                items += [(i, item) for item in self._items(molecule, made)]
        if failures:
            raise FeaturizationError(failures, len(read))
        # A batch has bonds for all of its molecules or for none.
        items.sort(key=lambda pair: (pair[1].bonds is None, len(pair[1].numbers)))
        found: list[list[Record]] = [[] for _ in read]
        budget = self.batch_size or inference.atoms_at_once(encoder, device)
        for _, same in groupby(items, key=lambda pair: pair[1].bonds is None):
            for batch in _batches(list(same), budget):
                with torch.no_grad():
                    tokens = encoder.tokens(AtomBatch.from_arrays([item for _, item in batch]).to(device))
                for (i, _), record in zip(batch, _split(tokens), strict=True):
                    found[i].append(record)
        return found


def _batches(
    items: list[tuple[int, inference.Item]], budget: int
) -> Iterator[list[tuple[int, inference.Item]]]:
    batch: list[tuple[int, inference.Item]] = []
    atoms = 0
    for pair in items:
        atoms += len(pair[1].numbers)
        if batch and atoms > budget:
            yield batch
            batch, atoms = [], len(pair[1].numbers)
        batch.append(pair)
    yield batch


def _split(tokens: Any) -> Iterator[Record]:
    atoms = tokens.atoms
    counts = atoms.counts.tolist()
    numbers, positions = atoms.numbers.cpu().numpy(), atoms.positions.cpu().numpy()
    scalars = tokens.scalars.float().cpu().numpy()
    bonds = None if atoms.bonds is None else atoms.bonds.T.cpu().numpy()
    start = 0
    for i, count in enumerate(counts):
        stop = start + count
        own = None
        if bonds is not None:
            own = bonds[(bonds[:, 0] >= start) & (bonds[:, 0] < stop)] - start
        yield Record(numbers[start:stop], positions[start:stop], own, scalars[i, :count].copy())
        start = stop
