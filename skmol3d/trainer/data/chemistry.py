"""Targets of the ``mo3enet_pooled`` recipe, under the same names for labelled conformers and corpora."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from skmol3d.trainer.data.corpus import winsorised
from skmol3d.trainer.data.energies import element_energies, relative_energies
from skmol3d.trainer.data.sets import PackedSet

SAMPLE = 20000  # conformers of each set that scales are measured on
WIDEST = 6.0  # standard deviations
LABELS = ("energy", "homo", "lumo")


def with_descriptors(data: PackedSet, targets: Path | None) -> PackedSet:
    """The set with the descriptors of a file of ``pack xtb``, if there is one.

    Raises
    ------
    ValueError
        If the file is not of this set.
    """
    if targets is None:
        return data
    with np.load(targets, allow_pickle=False) as extra:
        descriptors = extra["descriptors"]
    if len(descriptors) != len(data):
        raise ValueError(f"{targets}: has {len(descriptors)} conformers, but its set {len(data)}")
    return replace(data, molecule_targets=data.molecule_targets | {"descriptors": descriptors})


@dataclass(frozen=True)
class ChemicalScales:
    """Scales of the targets over training conformers.

    Attributes
    ----------
    references : ndarray [119]
        Energies of the elements, eV.
    level_mean, level_std : ndarray [4]
        Of energies less those of the elements, HOMO, LUMO and gap, eV.
    descriptor_mean, descriptor_std : ndarray [T]
        Of the 2D descriptors, winsorised.
    """

    references: np.ndarray
    level_mean: np.ndarray
    level_std: np.ndarray
    descriptor_mean: np.ndarray
    descriptor_std: np.ndarray

    @classmethod
    def measure(cls, sets: Sequence[PackedSet], train: Sequence[np.ndarray]) -> ChemicalScales:
        """Measure over the conformers ``train`` of each set.

        Raises
        ------
        ValueError
            If no set has GFN2-xTB labels.
        """
        samples = [np.random.default_rng(0).permutation(index)[:SAMPLE] for index in train]
        labelled = [(s, i) for s, i in zip(sets, samples, strict=True) if has_labels(s)]
        if not labelled:
            raise ValueError("data: no set has GFN2-xTB labels, which the chemistry is learned from")
        references = element_energies(labelled)
        levels = np.concatenate([_levels(s, references)[i] for s, i in labelled])
        low, high = np.percentile(levels, [0.5, 99.5], axis=0)
        levels = np.clip(levels, low, high)
        known = [(s, i) for s, i in zip(sets, samples, strict=True) if "descriptors" in s.molecule_targets]
        columns = [s.molecule_targets["descriptors"][i] for s, i in known]
        values = np.concatenate([*columns, np.zeros((1, columns[0].shape[1] if columns else 1))])
        values = winsorised(values)
        return cls(
            references,
            levels.mean(0),
            levels.std(0),
            np.nanmean(values, 0),
            np.nanstd(values, 0),
        )

    def labelled(self, data: PackedSet) -> PackedSet:
        """The set with the targets ``electronic`` [M, 4], ``dipole`` [M, 3], ``descriptors`` and ``charges``.

        Standardised where they have no direction; NaN where one is unknown.
        """
        count = len(data)
        targets = {
            "electronic": np.full((count, len(self.level_mean)), np.nan, np.float32),
            "dipole": np.full((count, 3), np.nan, np.float32),
            "descriptors": np.full((count, len(self.descriptor_mean)), np.nan, np.float32),
        }
        charges = np.full(len(data.numbers), np.nan, np.float16)
        if has_labels(data):
            levels = (_levels(data, self.references) - self.level_mean) / self.level_std
            targets["electronic"] = np.clip(levels, -WIDEST, WIDEST).astype(np.float32)
            neutral = data.charge == 0  # an ion's dipole depends on the origin
            targets["dipole"][neutral] = data.molecule_targets["dipole"][neutral]
            charges = data.atom_targets["charges"].astype(np.float16)
        if "descriptors" in data.molecule_targets:
            varies = self.descriptor_std > 1e-6
            scaled = data.molecule_targets["descriptors"] - self.descriptor_mean
            scaled = np.clip(scaled / np.where(varies, self.descriptor_std, np.nan), -4.0, 4.0)
            targets["descriptors"] = scaled.astype(np.float32)
        return replace(data, atom_targets={"charges": charges}, molecule_targets=targets)


def has_labels(data: PackedSet) -> bool:
    """Whether conformers have GFN2-xTB labels."""
    return set(LABELS) <= data.molecule_targets.keys() and "charges" in data.atom_targets


def _levels(data: PackedSet, references: np.ndarray) -> np.ndarray:
    """Energies less those of the elements, HOMO, LUMO and gap [M, 4], eV."""
    energy = relative_energies(data, references).molecule_targets["energy"]
    homo, lumo = data.molecule_targets["homo"], data.molecule_targets["lumo"]
    return np.stack([energy, homo, lumo, lumo - homo], 1).astype(np.float64)
