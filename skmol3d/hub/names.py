"""Where a name leads: bundled checkpoints, folders and repositories of the Hugging Face Hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from skmol3d.hub.folder import CONFIG, WEIGHTS, CheckpointError, Snapshot, load_folder

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"


def bundled() -> list[str]:
    """Names of the checkpoints that ship with the package."""
    return sorted(path.parent.name for path in CHECKPOINTS.glob(f"*/{CONFIG}"))


def resolve(
    name: str | Path,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Path:
    """Folder of the checkpoint ``name``, downloaded first if it lives on the Hugging Face Hub.

    Tried in this order: a bundled name, an existing folder, a Hub repository id ``owner/name``. The first
    two, and a Hub repository cached at a full commit hash, need no network.

    Parameters
    ----------
    name : str or path
        Bundled name, folder or Hub repository id.
    revision : str, optional
        Branch, tag or commit hash of a Hub repository; its main branch if absent.
    token : str or bool, optional
        Access token of the Hub; by default ``HF_TOKEN`` or the stored login.
    cache_dir : path, optional
        Where downloads are kept; by default below ``HF_HOME``.
    local_files_only : bool, default=False
        Use what the cache holds and never the network, as with ``HF_HUB_OFFLINE=1``.

    Returns
    -------
    Path
        A folder with ``config.json`` and ``model.safetensors``.

    Raises
    ------
    CheckpointError
        Nothing by that name, or it could not be downloaded.
    """
    return locate(name, revision, token, cache_dir, local_files_only).folder


def locate(
    name: str | Path,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Snapshot:
    """What `resolve` finds, and the commit if it came from the Hub."""
    text = str(name)
    local = CHECKPOINTS / text if text in bundled() else _folder(text)
    if local is not None:
        if revision is not None:
            raise CheckpointError(
                f"{local}: revision={revision!r} needs a Hub repository, but this is a folder"
            )
        for file in (CONFIG, WEIGHTS):
            if not (local / file).is_file():
                raise CheckpointError(f"{local / file}: no such file, so {local} is not a checkpoint")
        return Snapshot(local, None)
    if _exists(text, Path.is_file):
        raise CheckpointError(
            f"{text}: a file, but a checkpoint is a folder: `skmol3d convert` makes one of models trained"
            " elsewhere"
        )
    if not _is_hub_id(text):
        raise CheckpointError(
            f"{text!r} is neither a bundled checkpoint ({', '.join(bundled()) or 'there are none'}), nor an"
            " existing folder, nor a Hub repository id (owner/name)"
        )
    # Late: huggingface_hub takes a second to import, and its bars warn in a Jupyter without ipywidgets.
    from skmol3d.hub.remote import download

    return download(text, revision, token, cache_dir, local_files_only)


def _folder(text: str) -> Path | None:
    """The folder of that name, if there is one."""
    return Path(text).expanduser() if text and _exists(text, Path.is_dir) else None


def _exists(text: str, kind: Callable[[Path], bool]) -> bool:
    try:
        return kind(Path(text).expanduser())
    except (OSError, RuntimeError):  # a name too long for a file, or of a user who does not exist
        return False


def _is_hub_id(text: str) -> bool:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(text)
    except HFValidationError:
        return False
    # Only the Hub's oldest models have no owner; here such a name is a misspelt bundled one.
    return "/" in text


def from_pretrained(
    name: str | Path,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> nn.Module:
    """Load an encoder: float32, on the CPU, in evaluation mode, shared with no other caller.

    Parameters
    ----------
    name, revision, token, cache_dir, local_files_only
        See `resolve`.

    Returns
    -------
    Module
        One of `skmol3d.encoders.ENCODERS`.

    Raises
    ------
    CheckpointError
        The checkpoint cannot be found; its config is invalid, of an unknown encoder or a newer version; its
        weights are truncated, altered or of other shapes. The message names the file.
    """
    return load_folder(resolve(name, revision, token, cache_dir, local_files_only))
