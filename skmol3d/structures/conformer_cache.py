"""Conformers that are made once: they cost most, and outlive every checkpoint."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice

import numpy as np
import rdkit

from skmol3d.structures.conformers import CONVENTIONS, Conformers, ConformerSettings
from skmol3d.structures.enantiomers import Embedded, embedded_enantiomer
from skmol3d.structures.errors import StructureError, TransientError
from skmol3d.structures.molecule import Molecule
from skmol3d.structures.storage import Cache, content_key
from skmol3d.structures.workers import generate

MEMORY_BYTES = 64 * 2**20
"""Bound of the conformers that a process keeps; `skmol3d.set_cache_bytes` sets another.

A conformer takes 12 bytes an atom, and a molecule 260 more: that is 80,000 drug-like molecules.
"""

WINDOW = 1024  # molecules that are looked up together
FLUSH = 64  # conformers that a killed process may lose

# First byte of a stored value. Failures of before strained rings were embedded have another: tried anew.
MADE, FAILED, TRANSIENT = KINDS = b"c", b"g", b"t"


class _ConformerCache(Cache):
    def lasts(self, value: bytes) -> bool:
        # A time limit says something about this machine today. In memory it stays, because the molecule would
        # run into it again in every fold.
        return value[:1] != TRANSIENT


CACHE = _ConformerCache("conformers", MEMORY_BYTES)


def conformers_of(
    molecules: Iterable[Molecule],
    settings: ConformerSettings,
    n_jobs: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Iterator[Conformers | StructureError]:
    """Conformers of a stream of molecules, in order: looked up, or else made and kept.

    What is kept, in memory up to a bound (`MEMORY_BYTES`) and with `cache_dir` on disk, depends on the
    molecule, the settings, RDKit's version and our `CONVENTIONS`, and on nothing else: featurizers, the
    benchmark and the trainer share it. Enantiomers share an entry. Failures are kept, too, but those that
    another machine or day may not see (`TransientError`) in memory only. Worker processes of a grid search
    have a memory each; they share conformers through `cache_dir` alone. Threads may call this at the same
    time, and take turns at RDKit; those that ask for the same molecule at once may both make it, with the
    same result.

    Positions of our own making are rounded to single precision (1e-6 Å), whether looked up or just made.
    Molecules that brought coordinates pass through unrounded and are not kept.

    Parameters
    ----------
    molecules : iterable of Molecule
        Consumed lazily, up to 1024 ahead.
    settings : ConformerSettings
        How conformers are made.
    n_jobs : int or None, default=None
        Processes that make them, as in joblib.
    cache_dir : str, path or None, default=None
        Folder, on a local disk, that outlives the process and that several may share.

    Yields
    ------
    Conformers or StructureError
        For each molecule, in the order given; failures are values.

    Raises
    ------
    skmol3d.structures.storage.CacheError
        If the folder's file cannot be used.

    Examples
    --------
    >>> from skmol3d.structures import ConformerSettings, conformers_of, read_molecule
    >>> molecules = [read_molecule(text) for text in ("CCO", "OCC", "C#N")]
    >>> [made.positions.shape for made in conformers_of(molecules, ConformerSettings())]
    [(1, 9, 3), (1, 9, 3), (1, 3, 3)]
    """
    stream = iter(molecules)
    while window := list(islice(stream, WINDOW)):
        yield from _window(window, settings, n_jobs, cache_dir)


def embed_cached(
    molecule: Molecule, settings: ConformerSettings, cache_dir: str | os.PathLike[str] | None = None
) -> Conformers:
    """`conformers_of` one molecule, whose failure is raised, for callers that run in processes of their own.

    Raises
    ------
    StructureError
        Why there are none.
    """
    [made] = conformers_of([molecule], settings, n_jobs=1, cache_dir=cache_dir)
    if isinstance(made, StructureError):
        raise made
    return made


def _window(
    molecules: list[Molecule],
    settings: ConformerSettings,
    n_jobs: int | None,
    cache_dir: str | os.PathLike[str] | None,
) -> Iterator[Conformers | StructureError]:
    embedded = [embedded_enantiomer(molecule) for molecule in molecules]
    keys = [
        content_key(image.molecule.key, asdict(settings), rdkit.__version__, CONVENTIONS)
        for image in embedded
    ]
    images = {key: image.molecule for key, image in zip(keys, embedded, strict=True)}  # each once
    kept = CACHE.get((key for key, image in images.items() if image.coordinates is None), cache_dir)
    values = {key: value for key, value in kept.items() if value[:1] in KINDS}
    todo = {key: image for key, image in images.items() if key not in values}
    made = zip(todo, generate(todo.values(), settings, n_jobs), strict=True)
    passed: dict[bytes, Conformers | StructureError] = {}  # what is not kept
    fresh: dict[bytes, bytes] = {}
    try:
        for molecule, image, key in zip(molecules, embedded, keys, strict=True):
            while key not in values and key not in passed:
                at, result = next(made)
                if images[at].coordinates is not None:
                    passed[at] = result
                else:
                    values[at] = fresh[at] = _encode(result)
                if len(fresh) >= FLUSH:
                    CACHE.put(fresh, cache_dir)
                    fresh = {}
            yield passed[key] if key in passed else _decode(values[key], molecule, image)
    finally:
        CACHE.put(fresh, cache_dir)


def _encode(result: Conformers | StructureError) -> bytes:
    if isinstance(result, StructureError):
        return (TRANSIENT if isinstance(result, TransientError) else FAILED) + str(result).encode()
    # All the rest is known from the molecule.
    return MADE + result.energies.astype("<f8").tobytes() + result.positions.astype("<f4").tobytes()


def _decode(value: bytes, molecule: Molecule, embedded: Embedded) -> Conformers | StructureError:
    kind, content = value[:1], value[1:]
    if kind != MADE:
        return (TransientError if kind == TRANSIENT else StructureError)(content.decode())
    atoms = len(molecule.numbers)
    count = len(content) // (8 + 12 * atoms)
    energies = np.frombuffer(content, "<f8", count).copy()
    positions = np.frombuffer(content, "<f4", offset=8 * count).reshape(count, atoms, 3).astype(np.float64)
    return Conformers(
        molecule.numbers, embedded.turned_back(positions), energies, molecule.charge, molecule.bonds
    )
