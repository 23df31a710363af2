"""Entries of a recipe's ``data``, and the formats of what they name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from skmol3d.encoders.config import check_positive
from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.shards import SHARDS, shards_source


@dataclass(frozen=True)
class Source:
    """One entry of ``data``.

    Attributes
    ----------
    path : str
        File or folder below ``--data``, of one of the `FORMATS`; or a file of SMILES, to be embedded first.
    share : float
        How often it is drawn, relative to the others.
    kinds : tuple of str
        Names of `ConformerKind`, in lower case: the conformers to train on; by default all. Which molecules
        are held out does not depend on it.
    targets : str or None
        File of ``pack xtb`` with the targets of labelled conformers (of kinds rem3di and mo3enet_pooled).
    views : int
        Conformers of one molecule, drawn at random, that a batch holds; molecules with fewer are not drawn.
        With 1 conformers are drawn independently.
    provenance, licence : str or None
        Where the data come from, and their licence: the model card quotes it.
    sha256 : str or None
        Of the file (of a folder of shards: of the file that their molecules come from). If the data are
        others, the card quotes nothing.
    """

    path: str
    share: float = 1.0
    kinds: tuple[str, ...] = ()
    targets: str | None = None
    views: int = 1
    provenance: str | None = None
    licence: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        check_positive(self, "share", "views")
        unknown = [kind for kind in self.kinds if kind.upper() not in ConformerKind.__members__]
        if unknown:
            known = ", ".join(kind.name.lower() for kind in ConformerKind)
            raise ValueError(f"{self.path}: no such kinds {unknown}; there are {known}")

    def select(self, data: PackedSet, index: np.ndarray) -> np.ndarray:
        """Those of the conformers ``index`` that are of the `kinds`.

        Raises
        ------
        ValueError
            If the set does not know the kinds of its conformers, or none is left.
        """
        if not self.kinds:
            return index
        if "kind" not in data.molecule_targets:
            raise ValueError(f"{self.path}: kinds are selected, but its conformers have none")
        wanted = [ConformerKind[kind.upper()] for kind in self.kinds]
        kept = index[np.isin(data.molecule_targets["kind"][index], wanted)]
        if not len(kept):
            raise ValueError(f"{self.path}: no conformer of {', '.join(self.kinds)} to train on")
        return kept


@dataclass(frozen=True)
class Format:
    """A format of training data.

    Attributes
    ----------
    name : str
        As error messages call it.
    fits : callable
        Whether a path is of it.
    reader : str
        ``module:function``, the module in this folder; ``function(path)`` returns a `PackedSet`. It is
        imported when it is needed: some readers want rdkit, which training does not.
    """

    name: str
    fits: Callable[[Path], bool]
    reader: str


def _ends(*suffixes: str) -> Callable[[Path], bool]:
    return lambda path: path.is_file() and path.name.lower().removesuffix(".gz").endswith(suffixes)


#: The formats; a new one is a module in this folder and a line here.
FORMATS = (
    Format("a packed folder", lambda path: (path / "packed.json").is_file(), "packed:read_packed"),
    Format("a folder of shards", lambda path: any(path.glob(SHARDS)), "shards:read_shards"),
    Format(".npz of `skmol3d label`", _ends(".npz"), "xtb:read_xtb"),
    Format(".xyz or .extxyz", _ends(".xyz", ".extxyz"), "readers:read_trajectory"),
    Format(".sdf", _ends(".sdf"), "readers:read_sdf"),
)
SMILES = _ends(".smi", ".csv", ".tsv", ".parquet")


def read_set(path: Path) -> PackedSet:
    """Read training data of any of the `FORMATS`.

    Raises
    ------
    FileNotFoundError
        If there is nothing there.
    ValueError
        If it is of no format.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder")
    for format_ in FORMATS:
        if format_.fits(path):
            module, function = format_.reader.split(":")
            read: Callable[[Path], PackedSet] = getattr(
                import_module(f"skmol3d.trainer.data.{module}"), function
            )
            return read(path)
    raise ValueError(f"{path}: neither {', '.join(format_.name for format_ in FORMATS)}")


def digest(path: Path) -> str | None:
    """SHA-256 of a file, of a packed folder's files, or of what shards come from; None if they do not say."""
    if path.is_dir() and any(path.glob(SHARDS)):
        return shards_source(path)
    if path.is_dir():
        files = [(file.name, digest(file)) for file in sorted(path.iterdir()) if file.is_file()]
        return hashlib.sha256(repr(files).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quoted(source: Source, found: str | None) -> dict[str, Any]:
    """Provenance and licence of an entry, unless the data with the digest ``found`` are ``others``."""
    others = source.sha256 is not None and source.sha256 != found
    return {
        "sha256": found,
        "others": others,
        "provenance": None if others else source.provenance,
        "licence": None if others else source.licence,
    }


def describe(source: Source, data: PackedSet, found: str | None) -> dict[str, Any]:
    """What a run knows of an entry, for the model card; ``found`` is the digest of its data."""
    heavy = np.add.reduceat(data.numbers > 1, data.offsets[:-1], dtype=np.int64)
    facts: dict[str, Any] = {
        "path": source.path,
        "share": source.share,
        "count": len(data),
        "what": "conformers",
        "molecules": len(np.unique(data.group)),
        "heavy_atoms": [int(heavy.min()), int(heavy.max())],
        **quoted(source, found),
    }
    if "kind" in data.molecule_targets:
        kinds, counts = np.unique(data.molecule_targets["kind"], return_counts=True)
        facts["kinds"] = {ConformerKind(k).name.lower(): int(n) for k, n in zip(kinds, counts, strict=True)}
        facts["selected"] = list(source.kinds)
    return facts
