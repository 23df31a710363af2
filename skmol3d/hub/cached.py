"""Checkpoints of the Hugging Face Hub that were downloaded before."""

from __future__ import annotations

from dataclasses import replace

from huggingface_hub import CachedRepoInfo, CacheNotFound, constants, scan_cache_dir

from skmol3d.hub.folder import CONFIG, CheckpointError, encoder_name


def downloaded() -> dict[str, CachedRepoInfo]:
    """Repositories in the Hub's cache that are skmol3d's, by id; those of other programs are left out."""
    try:
        repos = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        return {}
    return {repo.repo_id: repo for repo in sorted(repos, key=lambda repo: repo.repo_id) if _is_ours(repo)}


def _is_ours(repo: CachedRepoInfo) -> bool:
    for revision in repo.revisions:
        if (revision.snapshot_path / CONFIG).is_file():
            try:
                return bool(encoder_name(revision.snapshot_path))
            except CheckpointError:
                continue
    return False


def forget(repos: dict[str, CachedRepoInfo]) -> None:
    """Delete downloaded repositories; they are downloaded again when they are asked for."""
    if not repos:
        return
    cache = scan_cache_dir(constants.HF_HUB_CACHE)
    for repo in repos.values():
        # One at a time: revisions are found by their hash, which a copy of the repository has, too.
        hashes = [revision.commit_hash for revision in repo.revisions]
        replace(cache, repos=frozenset([repo])).delete_revisions(*hashes).execute()
