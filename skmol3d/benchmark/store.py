"""Conformers of a panel, made once for every method that needs them and for every later run."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import rdkit
from numpy.typing import NDArray
from tqdm import tqdm

from skmol3d.structures import Conformers, ConformerSettings, StructureError, generate, read_molecule
from skmol3d.structures.molecule import Molecule

CHUNK = 500  # molecules per file: what an interrupted run may lose


class ConformerStore:
    """Conformers of SMILES, kept in a folder of ``.npz`` files.

    A featurizer's own cache keeps rows, which a new checkpoint makes useless; conformers do not depend on the
    checkpoint, and are most of the cost.

    Parameters
    ----------
    folder : path, optional
        Where chunks are kept; without it the last list asked for stays in memory.
    settings : ConformerSettings
        How conformers are made; part of the files' names, as is RDKit's version.
    n_jobs : int, optional
        Worker processes.
    verbose : int
        Show a progress bar if not 0.
    """

    def __init__(
        self,
        folder: Path | None = None,
        settings: ConformerSettings | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.folder = folder
        self.settings = settings or ConformerSettings()
        self.n_jobs = n_jobs
        self.verbose = verbose
        self._last: tuple[list[str], list[Conformers | StructureError]] = ([], [])

    def get(self, smiles: list[str]) -> list[Conformers | StructureError]:
        """Conformers, or the reason why there are none, of each SMILES (in that order)."""
        if smiles != self._last[0]:
            found: list[Conformers | StructureError] = []
            starts = range(0, len(smiles), CHUNK)
            for start in tqdm(starts, "conformers", unit=f"x{CHUNK}", disable=not self.verbose):
                found += self._chunk(smiles[start : start + CHUNK])
            self._last = (list(smiles), found)
        return self._last[1]

    def _chunk(self, smiles: list[str]) -> list[Conformers | StructureError]:
        if self.folder is None:
            return self._make(smiles)
        name = hashlib.sha256(repr((smiles, self.settings, rdkit.__version__)).encode()).hexdigest()[:24]
        path = self.folder / f"{name}.npz"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # Renamed when complete: an interrupted run leaves no torn file under the final name.
            partial = path.with_suffix(".partial.npz")
            arrays: dict[str, Any] = _pack(self._make(smiles))
            np.savez(partial, **arrays)
            partial.replace(path)
        with np.load(path, allow_pickle=False) as stored:
            return _unpack(dict(stored))

    def _make(self, smiles: list[str]) -> list[Conformers | StructureError]:
        molecules: list[Molecule | StructureError] = []
        for text in smiles:
            try:
                molecules.append(read_molecule(text))
            except StructureError as error:
                molecules.append(error)
        made = generate((m for m in molecules if isinstance(m, Molecule)), self.settings, self.n_jobs)
        return [next(made) if isinstance(m, Molecule) else m for m in molecules]


def _pack(items: list[Conformers | StructureError]) -> dict[str, NDArray]:
    good = [item for item in items if isinstance(item, Conformers)]
    bonds = [np.empty((0, 2), np.int32) if c.bonds is None else c.bonds for c in good]
    return {
        "reasons": np.array(
            ["" if isinstance(item, Conformers) else str(item) for item in items], dtype=np.str_
        ),
        "atoms": np.array([len(c.numbers) for c in good], dtype=np.int64),
        "n_bonds": np.array([-1 if c.bonds is None else len(c.bonds) for c in good], dtype=np.int64),
        "charges": np.array([c.charge for c in good], dtype=np.int64),
        "n_conformers": np.array([len(c.positions) for c in good], dtype=np.int64),
        "numbers": np.concatenate([c.numbers for c in good] or [np.empty(0, np.uint8)]),
        "bonds": np.concatenate(bonds or [np.empty((0, 2), np.int32)]),
        "energies": np.concatenate([c.energies for c in good] or [np.empty(0)]),
        "positions": np.concatenate(
            [c.positions.reshape(-1, 3) for c in good] or [np.empty((0, 3), np.float32)]
        ),
    }


def _unpack(arrays: dict[str, NDArray]) -> list[Conformers | StructureError]:
    atoms, n_conformers, n_bonds = arrays["atoms"], arrays["n_conformers"], arrays["n_bonds"]

    def parts(name: str, counts: NDArray) -> list[NDArray]:
        return np.split(arrays[name], np.cumsum(counts)[:-1])

    good = iter(
        [
            Conformers(
                numbers, positions.reshape(-1, len(numbers), 3), energies, charge, None if m < 0 else bonds
            )
            for numbers, positions, energies, bonds, charge, m in zip(
                parts("numbers", atoms),
                parts("positions", atoms * n_conformers),
                parts("energies", n_conformers),
                parts("bonds", n_bonds.clip(0)),
                arrays["charges"].tolist(),
                n_bonds.tolist(),
                strict=False,  # np.split makes one empty part out of no counts at all
            )
        ]
    )
    return [StructureError(reason) if reason else next(good) for reason in arrays["reasons"].tolist()]
