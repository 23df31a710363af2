"""Molecules and synthesised crystals in files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.packing import Packs
from skmol3d.crystals.synthesis import cell_vectors, rotation_matrices
from skmol3d.trainer.data.sources import digest

PER_FILE = 300_000
"""Crystals; some 10 MB."""

LENGTH, ANGLE, PLACE = 1e-3, 1e-4, 2.0**-16
"""What stored lengths (Å), angles and rotation vectors (rad) and places are rounded to, before energies."""


@dataclass(frozen=True)
class CrystalMolecules:
    """Molecules to make crystals of.

    Attributes
    ----------
    numbers : list of ndarray of int [n]
        Atomic numbers.
    positions : list of ndarray [n, 3]
        Å, about the centroids.
    charges : list of ndarray [n]
        Of the atoms, e.
    source : str
        SHA-256 of the file.
    """

    numbers: list[NDArray[np.int64]]
    positions: list[NDArray[np.float64]]
    charges: list[NDArray[np.float64]]
    source: str

    @classmethod
    def read(cls, path: Path) -> CrystalMolecules:
        """Read what `skmol3d.trainer.data.crystal_molecules` wrote."""
        with np.load(path) as arrays:
            stops = np.cumsum(arrays["sizes"])[:-1]
            numbers = np.split(arrays["numbers"].astype(np.int64), stops)
            positions = np.split(arrays["positions"] * arrays["unit"], stops)
            charges = np.split(arrays["charges"].astype(float) / 100, stops)
        return cls(numbers, [p - p.mean(0) for p in positions], charges, str(digest(path)))

    def __len__(self) -> int:
        return len(self.numbers)


def rounded(packs: Packs) -> tuple[Packs, dict[str, NDArray[Any]]]:
    """Crystals as they are stored, and what is stored."""
    lengths = packs.cells.norm(dim=2)
    units = packs.cells / lengths[..., None]
    cosines = torch.stack([(units[:, i] * units[:, j]).sum(1) for i, j in ((1, 2), (0, 2), (0, 1))], 1)
    vectors = _rotation_vectors(packs.rotations)
    stored = {
        "lengths": _as_integers(lengths / LENGTH, np.uint16),
        "angles": _as_integers(cosines.acos() / ANGLE, np.uint16),
        "places": _as_integers(packs.places % 1.0 / PLACE, np.uint16),
        "rotations": _as_integers(vectors / ANGLE, np.int16),
    }
    return restored(packs.group, packs.molecule, stored, packs.cells), stored


def restored(group: int, molecule: Tensor, stored: dict[str, NDArray[Any]], like: Tensor) -> Packs:
    """Crystals of what `rounded` stored, as tensors like another."""
    numbers = {name: like.new_tensor(stored[name].astype(np.float64)) for name in stored}
    angles = numbers["angles"] * ANGLE
    b_x, c_x, c_y = GROUPS[group].skew
    free = like.new_tensor([c_y, c_x, b_x])
    cells = cell_vectors(numbers["lengths"] * LENGTH, torch.where(free > 0, angles, np.pi / 2))
    cells = cells * like.new_tensor([[1, 0, 0], [b_x, 1, 0], [c_x, c_y, 1]])
    turned = rotation_matrices(numbers["rotations"] * ANGLE)
    return Packs(group, molecule, cells, turned, numbers["places"] * PLACE)


def _as_integers(values: Tensor, kind: type) -> NDArray[Any]:
    return np.round(values.double().cpu().numpy()).astype(np.int64).astype(kind)


def _rotation_vectors(rotations: Tensor) -> Tensor:
    """Rotation vectors [K, 3] (rad), at most π long, of rotation matrices [K, 3, 3]."""
    found = Rotation.from_matrix(rotations.double().cpu().numpy()).as_rotvec()
    return torch.from_numpy(found).to(rotations)


def read_parts(folder: Path, source: str) -> Iterator[tuple[Path, dict[str, NDArray[Any]]]]:
    """What was stored, file by file; ``source`` is the digest of the molecules.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If crystals were made of other molecules.
    """
    paths = sorted(folder.glob("part_????.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder}: no part_*.npz")
    for path in paths:
        with np.load(path) as arrays:
            part = {name: arrays[name] for name in arrays.files}
        if str(part.pop("source")) != source:
            raise ValueError(f"{path} was made of other molecules than those of molecules.npz beside it")
        yield path, part


class Writer:
    """Keeps what was made, and writes it to as few files as are not too large."""

    def __init__(self, out: Path, source: str) -> None:
        self.out, self.source = out, source
        self.parts: list[dict[str, NDArray[Any]]] = []
        self.count = self.files = 0

    def add(self, part: dict[str, NDArray[Any]]) -> None:
        """Keep the crystals of a block."""
        if self.parts and sum(map(_length, [*self.parts, part])) > PER_FILE:
            self.write()
            self.parts, self.files = [], self.files + 1
        self.parts.append(part)
        self.count += _length(part)

    def write(self) -> None:
        """Write the file that grows."""
        if not self.parts:
            return
        arrays: dict[str, Any] = {
            name: np.concatenate([part[name] for part in self.parts]) for name in self.parts[0]
        }
        partial = self.out / "partial.npz"
        np.savez_compressed(partial, source=np.array(self.source), **arrays)
        partial.rename(self.out / f"part_{self.files:04d}.npz")


def _length(part: dict[str, NDArray[Any]]) -> int:
    return len(part["molecule"])
