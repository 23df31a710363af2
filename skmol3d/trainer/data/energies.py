"""Energies of the elements, which the energies of molecules are taken relative to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from skmol3d.encoders.atoms import MAX_NUMBER
from skmol3d.trainer.data.sets import PackedSet


def element_energies(parts: Sequence[tuple[PackedSet, np.ndarray]]) -> np.ndarray:
    """Energy of each element (eV) [MAX_NUMBER] by least squares over some conformers of each set.

    Zero for elements that none of them has.
    """
    composition = np.concatenate([_composition(data)[index] for data, index in parts])
    energy = np.concatenate([data.molecule_targets["energy"][index] for data, index in parts])
    seen = composition.sum(0) > 0
    energies = np.zeros(MAX_NUMBER)
    energies[seen] = np.linalg.lstsq(composition[:, seen], energy, rcond=None)[0]
    return energies


def _composition(data: PackedSet) -> np.ndarray:
    counts = np.zeros((len(data), MAX_NUMBER))
    np.add.at(counts, (np.repeat(np.arange(len(data)), data.sizes), data.numbers), 1.0)
    return counts


def relative_energies(data: PackedSet, references: np.ndarray) -> PackedSet:
    """The set with energies less those of its atoms, subtracted in double precision."""
    if "energy" not in data.molecule_targets:
        return data
    owner = np.repeat(np.arange(len(data)), data.sizes)
    atoms = np.bincount(owner, references[data.numbers], len(data))
    energy = data.molecule_targets["energy"] - atoms
    return replace(data, molecule_targets={**data.molecule_targets, "energy": energy})
