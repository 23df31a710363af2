"""The Hugging Face Hub: fetching and publishing checkpoint folders."""

from __future__ import annotations

import re
import tempfile
import warnings
from pathlib import Path

from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    constants,
    hf_hub_download,
    try_to_load_from_cache,
)

# `HTTPError` is the base error of whichever HTTP client huggingface_hub uses (httpx2, httpx or requests).
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from torch import nn

from skmol3d.hub.folder import CARD, CONFIG, WEIGHTS, WORDS, CheckpointError, Snapshot, save_pretrained

HUB_TIMEOUT = 10.0  # seconds for the first question to the Hub

_COMMIT = re.compile(r"[0-9a-f]{40}")
# HTTPError: the client's own errors. ValueError: invalid ids, answers that are not JSON (a login page).
# RuntimeError: failed transfers of large files (LFS, xet).
_HUB_ERRORS = (HTTPError, OSError, ValueError, RuntimeError)


def download(
    repo_id: str,
    revision: str | None,
    token: str | bool | None,
    cache_dir: str | Path | None,
    local_files_only: bool,
) -> Snapshot:
    """The Hub repository ``repo_id`` in the cache; see `skmol3d.hub.resolve`."""
    where = f"{repo_id} (revision {revision})" if revision else repo_id
    cached = _cached(repo_id, revision, cache_dir)
    offline = local_files_only or constants.HF_HUB_OFFLINE
    # A full hash names the same content forever: there is nothing to ask the Hub about.
    if cached and (offline or _COMMIT.fullmatch(revision or "")):
        return cached
    if offline:
        raise CheckpointError(
            f"{where}: not in the cache ({cache_dir or constants.HF_HUB_CACHE}), and the network is off."
            " Load it once without local_files_only and HF_HUB_OFFLINE, or pass a folder or a bundled name"
        )
    try:
        return _fetch(repo_id, revision, token, cache_dir, where)
    except CheckpointError:
        raise
    except _HUB_ERRORS as error:
        if cached and _unreachable(error):
            message = f"{where}: {_explain(error)}; using commit {cached.commit} from the cache"
            warnings.warn(message, stacklevel=5)
            return cached
        raise CheckpointError(f"{where}: {_explain(error)}") from error


def _cached(repo_id: str, revision: str | None, cache_dir: str | Path | None) -> Snapshot | None:
    files = [try_to_load_from_cache(repo_id, file, cache_dir, revision) for file in (CONFIG, WEIGHTS)]
    if not all(isinstance(file, str) for file in files):
        return None
    return _snapshot(repo_id, revision, cache_dir)


def _snapshot(repo_id: str, revision: str | None, cache_dir: str | Path | None) -> Snapshot:
    """Where the cached ``revision`` is, and at which commit."""
    # A rehearsed download that finds its file in the cache: the one question about commits that needs neither
    # the network nor a look at everything cached.
    known = hf_hub_download(
        repo_id, CONFIG, revision=revision, cache_dir=cache_dir, local_files_only=True, dry_run=True
    )
    return Snapshot(Path(known.local_path).parent, known.commit_hash)


def _fetch(
    repo_id: str, revision: str | None, token: str | bool | None, cache_dir: str | Path | None, where: str
) -> Snapshot:
    # Asked first because, unlike the downloads, this fails at once: they retry for half a minute.
    info = HfApi(token=token).model_info(repo_id, revision=revision, timeout=HUB_TIMEOUT)
    offered = {file.rfilename for file in info.siblings or ()}
    for file in (CONFIG, WEIGHTS):
        if file not in offered:
            raise CheckpointError(f"{where}: the repository has no {file}, so it is not a skmol3d checkpoint")
    # The first file notes in the cache where the branch stands; the others come from that very commit.
    hf_hub_download(repo_id, CONFIG, revision=revision, token=token, cache_dir=cache_dir)
    snapshot = _snapshot(repo_id, revision, cache_dir)
    for file in (WEIGHTS, CARD, WORDS):
        if file in offered:
            hf_hub_download(repo_id, file, revision=snapshot.commit, token=token, cache_dir=cache_dir)
    return snapshot


def _unreachable(error: Exception) -> bool:
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code >= 500
    return isinstance(error, HTTPError | LocalEntryNotFoundError)


def _explain(error: Exception) -> str:
    """Say in one line what went wrong with the Hub, and what to do about it."""
    hub = constants.ENDPOINT
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        return f"{error} {_explain(error.__cause__)}"
    if isinstance(error, GatedRepoError):
        return f"its owner asks you to accept terms at {hub} first; then pass token or set HF_TOKEN"
    if isinstance(error, RepositoryNotFoundError):
        return f"no such folder, and no such repository on {hub} (a private one needs token or HF_TOKEN)"
    if isinstance(error, RevisionNotFoundError):
        return f"the repository on {hub} has no such revision"
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        if status in (401, 403):
            return f"{hub} refused the access token ({status}); check token or HF_TOKEN and what it may do"
        return f"{hub} answered {status} {error.response.reason_phrase}"
    if isinstance(error, HTTPError):
        return f"{hub} cannot be reached ({type(error).__name__}: {error})"
    return f"{type(error).__name__}: {error}"


def push_to_hub(
    encoder: nn.Module,
    repo_id: str,
    card: str,
    token: str | bool | None = None,
    private: bool = False,
    words: str | None = None,
) -> str:
    """Publish ``encoder`` on the Hugging Face Hub in one commit.

    Parameters
    ----------
    encoder, card, words
        See `save_pretrained`.
    repo_id : str
        ``owner/name``; created if it does not exist.
    token : str or bool, optional
        Access token that may write there; by default ``HF_TOKEN`` or the stored login.
    private : bool, default=False
        Whether a repository created here is private.

    Returns
    -------
    str
        Hash of the commit: what `from_pretrained` takes as ``revision``.

    Raises
    ------
    CheckpointError
        The Hub refused, or could not be reached.
    """
    api = HfApi(token=token)
    with tempfile.TemporaryDirectory() as scratch:
        folder = save_pretrained(encoder, scratch, card, words=words)
        try:
            api.create_repo(repo_id, private=private, exist_ok=True)
            # One commit for all files: nobody who loads meanwhile gets the weights without their config.
            files = (CONFIG, WEIGHTS, CARD, *([] if words is None else [WORDS]))
            changes: list[CommitOperationAdd | CommitOperationDelete] = [
                CommitOperationAdd(file, folder / file) for file in files
            ]
            if words is None and api.file_exists(repo_id, WORDS):  # those of the checkpoint that was there
                changes.append(CommitOperationDelete(WORDS))
            message = f"Upload {vars(type(encoder))['name']} encoder"
            return api.create_commit(repo_id, changes, commit_message=message).oid
        except _HUB_ERRORS as error:
            raise CheckpointError(f"{repo_id}: not uploaded: {_explain(error)}") from error
