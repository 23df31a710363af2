"""Rows of synthesised crystals: what `CrystalFeaturizer` writes of them, each molecule embedded once.

    python -m skmol3d.trainer.data.crystal_columns DIR [--n-jobs 2]

DIR holds ``molecules.npz`` and the parts of `skmol3d.trainer.data.synthetic_crystals`. Their space groups are
known, so that nobody has to look for symmetry, and all crystals of a group are described at once (less than a
millisecond each; `MolecularCrystal.read` takes ten). Writes ``columns_*.npz`` beside the parts: everything in
a row but the embedding of the molecule, which recipes then read instead of computing it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray

from skmol3d.crystals import MolecularCrystal
from skmol3d.crystals.crystal import RigidMolecule
from skmol3d.crystals.descriptions import Descriptions, describe_many
from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.packing import Packs, Rigid, images, signs_of
from skmol3d.crystals.pose import principal_frames
from skmol3d.crystals.surroundings import REACH
from skmol3d.crystals.symmetry import operation_kinds
from skmol3d.featurizers.crystal_rows import GROUP, MEANS, SCALES, SEVERAL, as_atoms, baselines
from skmol3d.featurizers.crystal_rows import describe as describe_one
from skmol3d.trainer.data.stored_crystals import CrystalMolecules, read_parts, restored
from skmol3d.trainer.data.synthetic_crystals import TARGETS

LAST = len(MEANS) + len(SEVERAL) + len(GROUP)
"""Columns of a row after the embedding."""

AT_ONCE = 2048
"""Crystals described together."""


@dataclass(frozen=True)
class SyntheticCrystals:
    """Crystals with their energies.

    Attributes
    ----------
    molecules : CrystalMolecules
    parts : dict of ndarray
        As `skmol3d.trainer.data.stored_crystals` keeps them.
    columns : ndarray of float32, shape [K, 33]
        The end of their rows.
    handedness : ndarray of int8, shape [K]
        Of the molecules that are described.
    """

    molecules: CrystalMolecules
    parts: dict[str, NDArray[Any]]
    columns: NDArray[np.float32]
    handedness: NDArray[np.int8]

    @classmethod
    def read(cls, folder: Path, n_jobs: int = 1) -> SyntheticCrystals:
        """Read a folder, and describe what `main` has not described yet."""
        molecules = CrystalMolecules.read(folder / "molecules.npz")
        found = []
        for path, part in read_parts(folder, molecules.source):
            known = path.with_name(path.name.replace("part", "columns"))
            if known.exists():
                with np.load(known) as arrays:
                    made = arrays["columns"], arrays["handedness"]
                if len(made[0]) != len(part["molecule"]):
                    raise ValueError(f"{known} describes other crystals than {path}; delete it")
            else:
                made = describe(molecules, part, n_jobs)
            found.append((part, *made))
        parts = {name: np.concatenate([part[name] for part, *_ in found]) for name in found[0][0]}
        return cls(molecules, parts, *(np.concatenate([made[k] for made in found]) for k in (1, 2)))

    def __len__(self) -> int:
        return len(self.columns)

    def __getitem__(self, index: NDArray[np.intp]) -> SyntheticCrystals:
        """Crystals ``index``."""
        parts = {name: values[index] for name, values in self.parts.items()}
        return SyntheticCrystals(self.molecules, parts, self.columns[index], self.handedness[index])

    @property
    def energies(self) -> NDArray[np.float64]:
        """In the order of `TARGETS`: [K, 2]."""
        return np.stack([self.parts[name] for name in TARGETS], 1).astype(float)

    @cached_property
    def kinds(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The different ones of (molecule, handedness) [n, 2], and which of them each crystal has [K]."""
        pairs = np.stack([self.parts["molecule"].astype(np.intp), self.handedness.astype(np.intp)], 1)
        different, which = np.unique(pairs, axis=0, return_inverse=True)
        return different, which.reshape(-1)

    def rigid(self) -> list[RigidMolecule]:
        """The molecules of `kinds` in their standard orientations."""
        return [standard_molecule(self.molecules, *pair) for pair in self.kinds[0].tolist()]

    def crystal(self, k: int) -> MolecularCrystal:
        """Crystal ``k``, described by itself."""
        return single_crystal(self.molecules, self.parts, k)


def single_crystal(molecules: CrystalMolecules, parts: dict[str, NDArray[Any]], k: int) -> MolecularCrystal:
    """Crystal ``k`` of those that are stored, described by itself."""
    group, molecule = int(parts["group"][k]), int(parts["molecule"][k])
    one = {name: parts[name][k : k + 1] for name in ("lengths", "angles", "places", "rotations")}
    packs = restored(group, torch.zeros(1, dtype=torch.long), one, torch.zeros(1, dtype=torch.float64))
    cell = packs.cells[0].numpy()
    posed = molecules.positions[molecule] @ packs.rotations[0].numpy().T
    atoms = molecules.numbers[molecule], posed + packs.places[0].numpy() @ cell
    return MolecularCrystal.from_molecules([atoms], cell, group)


def embedded(crystals: SyntheticCrystals, featurizer: Any) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Rows [K, columns] of crystals, of which each molecule is embedded once, and which of them are whole.

    ``featurizer`` is a fitted `CrystalFeaturizer`.
    """
    rigid = crystals.rigid()
    if hasattr(featurizer, "molecule_"):
        rows = featurizer.molecule_.transform([as_atoms(molecule) for molecule in rigid])
    else:
        rows, _ = baselines(featurizer.molecule, rigid)
    _, which = crystals.kinds
    return np.hstack([rows[which], crystals.columns]), ~np.isnan(rows).any(1)[which]


def standard_molecule(molecules: CrystalMolecules, index: int, handedness: int) -> RigidMolecule:
    """A molecule in its standard orientation, or its mirror image where the handedness asks for it."""
    numbers, positions = molecules.numbers[index], molecules.positions[index]
    turned = (positions - positions.mean(0)) @ principal_frames(numbers, positions)[0].T
    if handedness < 0:
        turned[:, 0] *= -1
    return RigidMolecule(numbers, turned, handedness)


def describe(
    molecules: CrystalMolecules, part: dict[str, NDArray[Any]], n_jobs: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """The end of a row [K, 33], after the embedding, and the handedness [K] of stored crystals."""
    owner = part["molecule"].tolist()
    frames = {i: principal_frames(molecules.numbers[i], molecules.positions[i]) for i in set(owner)}
    linear = np.array([not frames[i][0, 1].any() for i in owner])
    count = np.where(linear, 0, [len(frames[i]) for i in owner])
    order = np.lexsort([count, part["group"]])
    edges = np.flatnonzero(np.diff(count[order]) | np.diff(part["group"][order].astype(int))) + 1
    work = [
        chunk
        for same in np.split(order, edges)
        if count[same[0]]
        for chunk in np.array_split(same, -(-len(same) // AT_ONCE))
    ]
    made = Parallel(n_jobs=n_jobs)(
        delayed(_describe)(
            [molecules.positions[owner[k]] for k in chunk],
            np.stack([frames[owner[k]] for k in chunk]),
            {name: part[name][chunk] for name in ("group", "lengths", "angles", "places", "rotations")},
        )
        for chunk in work
    )
    columns = np.empty((len(owner), LAST), np.float32)
    handedness = np.empty(len(owner), np.int8)
    for chunk, (found, hands) in zip(work, made, strict=True):
        columns[chunk], handedness[chunk] = found, hands
    for k in np.flatnonzero(linear).tolist():  # there are few
        crystal = single_crystal(molecules, part, k)
        columns[k], handedness[k] = describe_one(crystal).columns, crystal.molecules[0].handedness
    return columns, handedness


def _describe(
    positions: list[NDArray[np.float64]], frames: NDArray[np.float64], stored: dict[str, NDArray[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    torch.set_num_threads(1)
    group = int(stored.pop("group")[0])
    pad = torch.nn.utils.rnn.pad_sequence
    places = pad([torch.from_numpy(each) for each in positions], batch_first=True)
    real = pad([torch.ones(len(each), dtype=torch.float64) for each in positions], batch_first=True)
    rigid = Rigid(places, real, torch.zeros_like(real))
    packs = restored(group, torch.arange(len(places)), stored, places)
    turned = frames @ packs.rotations.numpy()[:, None].transpose(0, 1, 3, 2)
    found = describe_many(group, packs.cells.numpy(), packs.places.numpy(), turned)
    radius = (places.norm(dim=-1) * real).amax(1)
    return _columns(group, found, surrounded(packs, rigid).numpy(), radius.numpy()), found.handedness


def _columns(
    group: int, found: Descriptions, around: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.float64]:
    parameters = found.parameters.copy()
    parameters[:, :3] /= radius[:, None]
    count = len(parameters)
    around = around / np.column_stack([radius, *[np.ones(count)] * 3])
    ones, zeros = np.ones((count, 2)), np.zeros((count, 6))
    kinds = np.tile(operation_kinds(group), (count, 1))
    standard = (parameters - MEANS) / SCALES
    return np.hstack([standard, zeros, ones, around, zeros[:, :1], kinds])


def surrounded(packs: Packs, rigid: Rigid) -> torch.Tensor:
    """Spacing, neighbours, distance and alignment [K, 4] of crystals, by the formulas of `surroundings`."""
    group = GROUPS[packs.group]
    signs, moves = signs_of(group, packs.places)
    spacing = (torch.linalg.det(packs.cells) / len(signs)) ** (1 / 3)
    near = images(packs, REACH * spacing)
    turned = signs[near.operation]
    steps = packs.places[near.crystal] * (turned - 1) + moves[near.operation] + near.steps
    gaps = (steps[:, None] @ packs.cells[near.crystal])[:, 0].norm(dim=1) / spacing[near.crystal]
    weights = 2 * near.weight * (1 - (gaps / REACH).square()).clamp(min=0).square()  # images and inverses
    posed = packs.posed(rigid)
    shapes = posed.transpose(1, 2) @ posed / (rigid.radii > 0).sum(1)[:, None, None]
    shapes = (shapes / shapes.flatten(1).norm(dim=1)[:, None, None])[near.crystal]
    parallel = (shapes.square() * turned[:, :, None] * turned[:, None]).sum((1, 2))
    totals = spacing.new_zeros(len(packs), 3)
    totals.index_add_(0, near.crystal, weights[:, None] * torch.stack([gaps**0, gaps, parallel], 1))
    return torch.stack([spacing, totals[:, 0], totals[:, 1] / totals[:, 0], totals[:, 2] / totals[:, 0]], 1)


def main(argv: Sequence[str] | None = None) -> None:
    """Describe all parts that have not been."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n-jobs", type=int, default=1)
    args = parser.parse_args(argv)
    molecules = CrystalMolecules.read(args.folder / "molecules.npz")
    for path, part in read_parts(args.folder, molecules.source):
        out = path.with_name(path.name.replace("part", "columns"))
        if not out.exists():
            columns, handedness = describe(molecules, part, args.n_jobs)
            np.savez(out, columns=columns, handedness=handedness)
        print(f"{out}: {len(part['molecule'])} crystals")


if __name__ == "__main__":
    main()
