"""What all recipes have: fields, where they run, and what they know of their data."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from skmol3d import hub
from skmol3d.encoders.config import check_positive
from skmol3d.encoders.potential import Potential
from skmol3d.files import appearing
from skmol3d.trainer.data.sets import PackedSet
from skmol3d.trainer.data.sources import SMILES, Source, describe, digest, read_set
from skmol3d.trainer.loop import main_process
from skmol3d.trainer.objectives import registry
from skmol3d.trainer.schedule import Schedule

STATE = "state.pt"
SETTINGS = "recipe.json"
LEFT = (STATE, "statistics.npz")  # by an earlier run: another one must not go on from them


@dataclass(frozen=True)
class Place:
    """Where a recipe runs, and on what.

    Attributes
    ----------
    data : Path
        Folder that the paths of its data start from.
    out : Path
        Folder of all runs: checkpoints that were trained there are found by their names.
    logs : Path
        Folder of this run: logs, states, ``data.json``, ``metrics.json``.
    resume : bool
        Whether to go on with the run found in ``logs``.
    n_jobs : int
        Processes that embed molecules.
    device, devices, nodes, precision : str, int, int, str
        As in `skmol3d.trainer.loop.train`.
    recorded : bool
        Whether a GPU replays whole steps (`skmol3d.trainer.recorded`).
    settings : dict or None
        What the run is begun with, for ``recipe.json``.
    """

    data: Path
    out: Path
    logs: Path
    resume: bool = False
    n_jobs: int = 1
    device: str = "cpu"
    devices: int = 1
    nodes: int = 1
    precision: str = "32-true"
    recorded: bool = False
    settings: dict[str, Any] | None = None

    @property
    def continued(self) -> bool:
        """Whether there is a state to go on from."""
        return self.resume and (self.logs / STATE).exists()

    def checkpoint(self, name: str) -> str:
        """A checkpoint's name, or its folder if it was trained here."""
        return str(self.out / name) if (self.out / name).is_dir() else name

    def potential(self, name: str) -> Potential:
        """The potential of that name; ValueError if the checkpoint is another encoder."""
        source = self.checkpoint(name)
        potential = hub.from_pretrained(source)
        if not isinstance(potential, Potential):
            raise ValueError(f"{source} is a {type(potential).__name__}, not a potential")
        return potential


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Fields of every recipe.

    Attributes
    ----------
    kind : str
        One of `skmol3d.trainer.kinds.KINDS`.
    name : str
        Of the checkpoint.
    seed : int
        Of the split, the weights, the batches and the objectives' noise.
    data : tuple of Source
    held_out : float
        Share of the molecules of each entry that is not trained on.
    licence : str or None
        Of the checkpoint, as the Hub spells it; the card names none if the data are not the recipe's.
    """

    kind: str = ""
    name: str
    seed: int = 0
    data: tuple[Source, ...]
    held_out: float
    licence: str | None = None

    half: ClassVar[bool] = True
    """Whether the checkpoint keeps its parameters in half precision."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("data: there is no entry")
        if Path(self.name).name != self.name or self.name in ("", ".."):
            raise ValueError(f"name: {self.name!r} is not the name of a folder")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        if not 0 <= self.held_out < 1:
            raise ValueError(f"held_out is a share, from 0 and below 1; got {self.held_out}")
        targets = {source.path: source.targets for source in reversed(self.data)}
        for source in self.data:
            if source.targets != targets[source.path]:
                raise ValueError(f"data: {source.path} is named twice, with other targets")

    def check(self, place: Place) -> None:
        """Raise ValueError if the recipe cannot run there."""
        if place.recorded:
            raise ValueError(f"--recorded is for recipes of kind potential, and {self.name} is a {self.kind}")

    def run(self, place: Place) -> Any:
        """Train and return the encoder; leaves ``data.json`` and ``metrics.json`` in ``place.logs``."""
        raise NotImplementedError

    def about(self) -> str:
        """What the checkpoint is, for the card (Markdown)."""
        raise NotImplementedError

    def history(self, logs: Path) -> list[str]:
        """What was done, for the card: items of a list."""
        raise NotImplementedError

    @property
    def paths(self) -> list[str]:
        """Paths of the data, each once."""
        return list(dict.fromkeys(source.path for source in self.data))

    def read(self, place: Place) -> dict[str, PackedSet]:
        """Read the data, each path once, and write what is known of them to ``data.json``."""
        sets = {}
        for path in self.paths:
            whole = place.data / path
            sets[path] = read_set(packed(whole, place) if SMILES(whole) else whole)
        digests = {path: digest(place.data / path) for path in self.paths}
        facts = [describe(s, sets[s.path], digests[s.path]) for s in self.data]
        for source, own in zip(self.data, facts, strict=True):
            if source.targets is not None:
                own["targets"] = {"path": source.targets, "sha256": digest(place.data / source.targets)}
        record(place, facts)
        return sets

    def train_rows(
        self, sets: dict[str, PackedSet], splits: dict[str, tuple[np.ndarray, np.ndarray]]
    ) -> list[np.ndarray]:
        """Conformers that each entry trains on."""
        return [source.select(sets[source.path], splits[source.path][0]) for source in self.data]

    def split(self, sets: dict[str, PackedSet]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Conformers of each path to train on, and held out; whatever kinds of them entries select."""
        return {path: data.split(self.held_out, self.seed) for path, data in sets.items()}

    @property
    def shares(self) -> list[float]:
        """How often each entry is drawn."""
        return [source.share for source in self.data]

    @property
    def views(self) -> list[int]:
        """Conformers of a molecule in the batches of each entry."""
        return [source.views for source in self.data]


@dataclass(frozen=True, kw_only=True)
class LoopRecipe(Recipe):
    """Fields of recipes that `skmol3d.trainer.loop` trains.

    Attributes
    ----------
    atoms : int
        Most atoms of a batch, padding included; a larger molecule is a batch of its own.
    weights : dict
        Weights of the losses that are computed; ``registry.losses(kind)`` lists them.
    schedule : Schedule
    """

    atoms: int
    weights: dict[str, float]
    schedule: Schedule

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "atoms")
        registry.check_weights(self.kind, self.weights)
        if not any(self.weights.values()):
            raise ValueError("weights: all are zero, and nothing would be learned")

    def settings(self, place: Place) -> dict[str, Any]:
        """Arguments of `skmol3d.trainer.loop.train`."""
        return {
            "weights": self.weights,
            "schedule": self.schedule,
            "out": place.logs,
            "resume": place.resume,
            "seed": self.seed,
            **{name: getattr(place, name) for name in ("device", "devices", "nodes", "precision")},
        }

    def history(self, logs: Path) -> list[str]:
        """Objectives, steps, molecules and time."""
        log = pd.read_csv(logs / "log.csv")
        last = log.iloc[-1]
        # Where a run was resumed the step falls back, and takes what was done twice off again.
        seen = (log["molecules"] * log["step"].diff().fillna(log["step"])).sum()
        known = registry.losses(self.kind)
        losses = [f"`{name}` ({w:g}): {known[name].about}" for name, w in self.weights.items() if w]
        return [
            f"Objectives, with weights: {'; '.join(losses)}",
            f"{int(last['step'])} steps, about {int(seen):,} molecules seen, "
            f"{last['seconds'] / 60:.0f} min of training",
        ]


def packed(source: Path, place: Place) -> Path:
    """Folder of shards with the molecules of a file of SMILES, embedded unless that has been done."""
    from skmol3d.trainer.data.pack import pack_corpus  # needs rdkit, which other training does not

    folder = place.logs / "packed" / os.path.relpath(source, place.data).replace(os.sep, "__")
    if place.devices * place.nodes > 1:
        raise ValueError(
            f"{source}: embed it first, with `python -m skmol3d.trainer.data.pack corpus`, to train with "
            "several processes"
        )
    pack_corpus(source, folder, n_jobs=place.n_jobs)
    return folder


def record(place: Place, facts: Sequence[dict[str, Any]]) -> None:
    """Begin a run whose data have been read: write what it knows of them, remove what another one left.

    Raises
    ------
    ValueError
        If a resumed run began with other data.
    """
    known = place.logs / "data.json"
    if place.continued and known.exists():
        before = _digests(json.loads(known.read_text(encoding="utf-8")))
        # Of a run that an older version began, some are not known.
        changed = [path for path, now in _digests(facts).items() if before.get(path) not in (None, now)]
        if changed:
            raise ValueError(
                f"--resume: {changed[0]} is not the file that the run in {place.logs} began with"
            )
    if main_process():
        place.logs.mkdir(parents=True, exist_ok=True)
        if not place.continued:
            for name in LEFT:
                (place.logs / name).unlink(missing_ok=True)
        if place.settings is not None:
            _write(place.logs / SETTINGS, place.settings)
        _write(known, facts)


def _digests(facts: Sequence[dict[str, Any]]) -> dict[str, str | None]:
    """Digests of the data, and of the files of targets, by their paths."""
    files = [*facts, *(fact["targets"] for fact in facts if "targets" in fact)]
    return {file["path"]: file["sha256"] for file in files}


def _write(path: Path, values: Any) -> None:
    with appearing(path) as file:
        file.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def write_metrics(place: Place, metrics: dict[str, Any]) -> None:
    """Write ``metrics.json``."""
    (place.logs / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
