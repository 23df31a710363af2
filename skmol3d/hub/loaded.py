"""Loaded encoders, shared within the process, and the checkpoints they came from."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from skmol3d.hub.folder import Snapshot

MAX_ENCODERS = 4
"""Encoders that a process keeps loaded."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Which weights: what the user named, and what that name stood for.

    Attributes
    ----------
    model, revision : str
        As the user gave them.
    commit : str or None
        The commit that a Hub revision resolved to.
    fingerprint : str
        Hash of the checkpoint.
    """

    model: str
    revision: str | None
    commit: str | None
    fingerprint: str


def find_checkpoint(
    model: str | Path, revision: str | None, commit: str | None = None
) -> tuple[Checkpoint, Path]:
    """Locate a checkpoint (downloading it if need be) without loading its weights.

    Parameters
    ----------
    model : str or path
        Bundled name, folder or Hub repository id.
    revision : str or None
        Branch, tag or commit on the Hub.
    commit : str or None
        Commit to use in place of `revision`: the one it stood for when a featurizer was fitted.

    Returns
    -------
    checkpoint : Checkpoint
    folder : Path

    Raises
    ------
    skmol3d.hub.CheckpointError
        If there is none, or it is damaged.
    TypeError
        If it is no name, but an encoder, for example.
    """
    from skmol3d.hub.folder import fingerprint
    from skmol3d.hub.names import locate

    if not isinstance(model, str | Path):
        raise TypeError(
            f"model must be the name or folder of a checkpoint, not a {type(model).__name__}; "
            "skmol3d.hub.save_pretrained makes a folder of a loaded encoder"
        )
    model = str(model)
    name = model, commit or revision
    found = _commits.get(name) or locate(*name)
    if found.commit is not None:
        _commits[name] = found
    return Checkpoint(model, revision, found.commit, fingerprint(found.folder)), found.folder


# A branch of the Hub is looked up once per process: a grid search must neither call home for every fit nor
# change its weights half-way.
_commits: dict[tuple[str, str | None], Snapshot] = {}

_encoders: OrderedDict[tuple[str, str], Any] = OrderedDict()
_lock = Lock()


def load_encoder(checkpoint: Checkpoint, folder: Path, device: torch.device) -> Any:
    """The encoder on a device, shared by all featurizers of this process."""
    from skmol3d.hub.folder import load_folder

    key = checkpoint.fingerprint, str(device)
    with _lock:
        if key not in _encoders:
            _encoders[key] = load_folder(folder).to(device)
        _encoders.move_to_end(key)
        while len(_encoders) > MAX_ENCODERS:
            _encoders.popitem(last=False)
        return _encoders[key]
