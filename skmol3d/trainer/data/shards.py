"""Shards of a corpus: ``shard_0000.npz``, ``shard_0001.npz``, ... in one folder.

Each holds ``numbers`` uint8, ``positions`` int16 (0.001 Å) and `ATOM_TARGETS` by atom, ``offsets``,
``charge`` (e) and ``descriptors`` by molecule, one conformer each; those of assays their labels too, as
triplets (`skmol3d.trainer.data.assays`); and ``source``, the SHA-256 of the file that the molecules come
from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skmol3d.trainer.data.assays import TARGET, Labels, joined, shard_arrays, shard_labels
from skmol3d.trainer.data.sets import PackedSet

ATOM_TARGETS = ("environments", "membership", "handedness")
SHARDS = "shard_????.npz"


def read_shards(folder: Path) -> PackedSet:
    """Read a corpus packed by ``python -m skmol3d.trainer.data.pack corpus`` or ``... pack assays``.

    Raises
    ------
    ValueError
        If a shard lacks targets, or some have assay labels and others none.
    """
    parts: dict[str, list[np.ndarray]] = {}
    assays: list[Labels] = []
    for file in sorted(folder.glob(SHARDS)):
        with np.load(file, allow_pickle=False) as data:
            check_targets(data.files, file)
            sizes = np.diff(data["offsets"])
            if len(sizes):
                names = ("numbers", "positions", "charge", "descriptors", *ATOM_TARGETS)
                for name, values in {**{k: data[k] for k in names}, "sizes": sizes}.items():
                    parts.setdefault(name, []).append(values)
                if "assay_count" in data.files:
                    assays.append(shard_labels(data, len(sizes)))
    if not parts:
        raise ValueError(f"{folder}: no molecule in its shards")
    whole = {name: np.concatenate(values) for name, values in parts.items()}
    molecule_targets = {"descriptors": whole["descriptors"]}
    if assays:
        if len(assays) != len(parts["sizes"]):
            raise ValueError(f"{folder}: {len(assays)} of {len(parts['sizes'])} shards have assay labels")
        molecule_targets[TARGET] = joined(assays).dense()
    return PackedSet(
        numbers=whole["numbers"],
        positions=whole["positions"],
        offsets=np.concatenate([[0], np.cumsum(whole["sizes"])]),
        charge=whole["charge"],
        group=_first(whole),
        atom_targets={name: whole[name] for name in ATOM_TARGETS},
        molecule_targets=molecule_targets,
    )


def _first(whole: dict[str, np.ndarray]) -> np.ndarray:
    """Of each molecule the place of the first that is the same: rows that repeat share a side of a split.

    Atoms come in the order of the canonical SMILES, and so are the same where the molecules are.
    """
    ends = np.cumsum(whole["sizes"])
    seen: dict[bytes, int] = {}
    own = [whole[name] for name in ("numbers", "environments", "handedness")]
    keys = (
        b"".join(values[a:b].tobytes() for values in own) + descriptors.tobytes()
        for a, b, descriptors in zip(ends - whole["sizes"], ends, whole["descriptors"], strict=True)
    )
    return np.array([seen.setdefault(key, k) for k, key in enumerate(keys)], np.int64)


def write_shard(file: Path, data: PackedSet | None, source: str) -> None:
    """Write one shard, None for one without molecules; it appears when it is complete."""
    arrays: dict[str, Any] = dict.fromkeys(("numbers", "positions", "charge", "descriptors"), np.empty(0))
    arrays |= dict.fromkeys(ATOM_TARGETS, np.empty(0)) | {"offsets": np.zeros(1, np.int64)}
    if data is not None:
        arrays = {name: getattr(data, name) for name in ("numbers", "positions", "offsets", "charge")}
        arrays |= data.atom_targets | {"descriptors": data.molecule_targets["descriptors"]}
        if TARGET in data.molecule_targets:
            arrays |= shard_arrays(data.molecule_targets[TARGET])
    partial = file.with_suffix(".tmp.npz")
    np.savez(partial, source=np.array(source), **arrays)
    partial.replace(file)


def shards_source(folder: Path) -> str | None:
    """SHA-256 of the file that the molecules come from; None if the shards do not say."""
    with np.load(next(iter(sorted(folder.glob(SHARDS)))), allow_pickle=False) as data:
        return str(data["source"]) if "source" in data.files else None


def check_targets(names: list[str], file: Path) -> None:
    """Raise ValueError if a file has not all targets of atoms."""
    missing = [name for name in ATOM_TARGETS if name not in names]
    if missing:
        raise ValueError(
            f"{file}: no {', '.join(missing)}; pack it again with `python -m skmol3d.trainer.data.pack`"
        )
