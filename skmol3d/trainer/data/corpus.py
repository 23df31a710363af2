"""Targets of the ``rem3di`` recipe: those of packed corpora and of labelled conformers, and statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.files import appearing
from skmol3d.trainer.data.assays import AssayStatistics
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.shards import ATOM_TARGETS, check_targets

ELECTRONIC = 3  # HOMO, LUMO, dipole
ECFP_COLUMNS = 3  # of the packed environments; the others are of pharmacophoric features


def with_targets(data: PackedSet, targets: Path | None, name: str) -> PackedSet:
    """The set with the targets of REM3DI's objectives.

    Corpora have theirs, and no ``electronic`` ones; those of labelled conformers are in a file of their own.

    Raises
    ------
    ValueError
        If it is neither, or the file is not of this set.
    """
    if "descriptors" in data.molecule_targets:
        unknown = np.full((len(data), ELECTRONIC), np.nan, np.float32)
        return replace(data, molecule_targets=data.molecule_targets | {"electronic": unknown})
    if targets is None or not {"homo", "lumo", "dipole"} <= data.molecule_targets.keys():
        raise ValueError(
            f"{name}: neither a corpus of `pack corpus` nor labelled conformers with `targets` of `pack xtb`"
        )
    with np.load(targets, allow_pickle=False) as extra:
        check_targets(extra.files, targets)
        atom_targets = {k: extra[k] for k in ATOM_TARGETS}
        if "charges" in data.atom_targets:
            atom_targets["charges"] = data.atom_targets["charges"]
        descriptors = extra["descriptors"]
    if len(descriptors) != len(data) or len(atom_targets[ATOM_TARGETS[0]]) != len(data.numbers):
        raise ValueError(f"{targets}: not the targets of {name}: it has {len(data)} conformers")
    dipole = np.linalg.norm(data.molecule_targets["dipole"], axis=1)
    dipole[data.charge != 0] = np.nan  # depends on the origin
    columns = np.stack([data.molecule_targets["homo"], data.molecule_targets["lumo"], dipole], 1)
    columns = (columns - np.nanmean(columns, 0)) / np.nanstd(columns, 0)
    molecule_targets = {"descriptors": descriptors, "electronic": columns.astype(np.float32)}
    return replace(data, atom_targets=atom_targets, molecule_targets=molecule_targets)


@dataclass
class CorpusStatistics:
    """Fixed statistics of the targets over the training molecules.

    Attributes
    ----------
    vocabularies : list of uint32 arrays
        Environments that have a class, the most frequent first, for each column of the labels.
    bits : int
        Size of the folded environment counts.
    mean, std : Tensor [descriptors]
        Of the 2D descriptors.
    bit_mean, bit_scale : Tensor [bits]
        Mean of the log-counts, and what they are divided by once centred.
    assays : AssayStatistics
        Of the assay labels, if there are any.
    """

    vocabularies: list[np.ndarray]
    bits: int
    mean: Tensor
    std: Tensor
    bit_mean: Tensor
    bit_scale: Tensor
    assays: AssayStatistics

    @classmethod
    def measure(
        cls,
        sets: list[PackedSet],
        train: list[np.ndarray],
        classes: Sequence[int],
        bits: int,
        vocabularies: list[np.ndarray] | None = None,
    ) -> CorpusStatistics:
        """Measure over the conformers ``train`` of each set.

        ``classes`` limits the vocabulary of each column of environments; the vocabularies are those of the
        whole sets, unless ``vocabularies``, one for each column, are given.
        """
        if vocabularies is None or len(vocabularies) != len(classes):
            whole = list({id(s): s for s in sets}.values())
            vocabularies = [_frequent(whole, column, n) for column, n in enumerate(classes)]
        sample = [np.random.default_rng(0).permutation(t)[:5000] for t in train]
        values = np.concatenate(
            [s.molecule_targets["descriptors"][i] for s, i in zip(sets, sample, strict=True)]
        )
        clipped = winsorised(values)
        counts = torch.cat(
            [
                fingerprint_counts(b, t["environments"], bits)
                for b, t in (s.batch(i) for s, i in zip(sets, sample, strict=True))
            ]
        ).log1p()
        scale = counts.std(0).clamp(min=0.02).sqrt()
        return cls(
            vocabularies=vocabularies,
            bits=bits,
            mean=torch.from_numpy(np.nanmean(clipped, 0)).float(),
            std=torch.from_numpy(np.nanstd(clipped, 0)).float(),
            bit_mean=counts.mean(0),
            bit_scale=scale * (counts.std(0) / scale).square().mean().sqrt(),
            assays=AssayStatistics.measure(sets, train),
        )

    def save(self, folder: Path) -> None:
        """Write ``statistics.npz``: a resumed run keeps its classes and scales if the corpus has grown."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, Any] = {f"vocabulary_{k}": v for k, v in enumerate(self.vocabularies)}
        tensors = {k: getattr(self, k).numpy() for k in ("mean", "std", "bit_mean", "bit_scale")}
        arrays |= {f"assay_{k}": v for k, v in asdict(self.assays).items()}
        with appearing(folder / "statistics.npz") as path, path.open("wb") as file:
            np.savez(file, bits=self.bits, **arrays, **tensors)

    @classmethod
    def load(cls, folder: Path) -> CorpusStatistics | None:
        """Read what `save` wrote, or None."""
        if not (folder / "statistics.npz").exists():
            return None
        with np.load(folder / "statistics.npz", allow_pickle=False) as data:
            vocabularies = [data[k] for k in sorted(data.files) if k.startswith("vocabulary_")]
            tensors = {k: torch.from_numpy(data[k]) for k in ("mean", "std", "bit_mean", "bit_scale")}
            assays = AssayStatistics(**{f.name: data[f"assay_{f.name}"] for f in fields(AssayStatistics)})
            return cls(vocabularies=vocabularies, bits=int(data["bits"]), assays=assays, **tensors)

    @property
    def classes(self) -> tuple[int, ...]:
        """Sizes of the vocabularies."""
        return tuple(len(v) for v in self.vocabularies)

    @property
    def descriptors(self) -> int:
        """Number of 2D descriptors."""
        return len(self.mean)

    def standardised(self, values: Tensor) -> Tensor:
        """Z-scored 2D descriptors [B, T], winsorised at ±4; NaN for columns constant in the corpus."""
        mean, std = self.mean.to(values), self.std.to(values)
        scaled = ((values - mean) / std).clamp(-4.0, 4.0)
        return torch.where(std > 1e-6, scaled, torch.nan)

    def scaled(self, counts: Tensor) -> Tensor:
        """Log-counts over the root of their spread: between raw (common bits rule) and z-scored (rare)."""
        return (counts.log1p() - self.bit_mean.to(counts)) / self.bit_scale.to(counts)


def winsorised(values: np.ndarray) -> np.ndarray:
    """Columns [M, T] without their outermost hundredths: single molecules must not set the scale of one."""
    low, high = np.nanpercentile(values, [1, 99], axis=0)
    clipped: np.ndarray = np.clip(values, low, high)
    return clipped


def classified(environments: Tensor, vocabularies: Sequence[np.ndarray]) -> Tensor:
    """Classes [N, vocabularies] of identifiers [N, columns]; -1 for those without one."""
    found = environments.cpu().numpy()
    labels = [_lookup(found[:, column], v) for column, v in enumerate(vocabularies)]
    return torch.from_numpy(np.stack(labels, 1)).to(environments.device)


def _frequent(sets: list[PackedSet], column: int, count: int) -> np.ndarray:
    found = np.concatenate([s.atom_targets["environments"][:, column] for s in sets])
    identifiers, frequency = np.unique(found[found > 0], return_counts=True)
    return identifiers[np.argsort(-frequency, kind="stable")[:count]]


def _lookup(identifiers: np.ndarray, vocabulary: np.ndarray) -> np.ndarray:
    order = np.argsort(vocabulary)
    place = order[np.searchsorted(vocabulary, identifiers, sorter=order).clip(max=len(vocabulary) - 1)]
    return np.where(vocabulary[place] == identifiers, place, -1).astype(np.int32)


def fingerprint_counts(batch: AtomBatch, environments: Tensor, bits: int) -> Tensor:
    """Counts [B, bits] of each molecule's ECFP environments, folded by remainder.

    ``environments`` [N, columns] starts with the columns of radius 0 to 2 over atom types; 0 means none.
    """
    environments = environments[:, :ECFP_COLUMNS].long()
    flat = batch.molecule[:, None] * bits + environments % bits
    counts = batch.positions.new_zeros(len(batch) * bits)
    counts = counts.index_add(0, flat.flatten(), (environments > 0).flatten().to(counts))
    return counts.view(len(batch), bits)
