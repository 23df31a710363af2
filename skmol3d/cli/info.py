"""Versions, devices, checkpoints and caches of this installation; clears caches.

Conformers and rows are kept in memory, and on disk only where a cache_dir was
given: --cache-dir names that folder. What is cleared is made or downloaded
again when it is asked for. Clear rows while no other process uses them.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import skmol3d

EXAMPLE = "skmol3d info --cache-dir cache --clear-cache rows"

CACHES = ("datasets", "checkpoints", "rows")
SETTINGS = ("SKMOL3D_", "HF_HOME", "HF_HUB_", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
"""What the environment variables that change something here begin with; no token does."""


@dataclass(frozen=True)
class _Cache:
    where: str
    holds: str
    size: int
    clear: Callable[[], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    parser.add_argument(
        "--cache-dir", type=Path, metavar="DIR", help="folder given to featurizers as cache_dir"
    )
    parser.add_argument(
        "--clear-cache",
        nargs="+",
        choices=CACHES,
        default=[],
        metavar="NAME",
        help="datasets: fetched tables; checkpoints: those of skmol3d in the Hugging Face cache, "
        "of no other program; rows: conformers and rows in --cache-dir",
    )


def run(args: argparse.Namespace) -> None:
    """Print what there is, or clear what was named and print how much that was."""
    if "rows" in args.clear_cache and args.cache_dir is None:
        raise ValueError(
            "--clear-cache rows needs --cache-dir DIR: conformers and rows are in no other folder"
        )
    if args.cache_dir is not None and not Path(args.cache_dir).is_dir():
        raise ValueError(f"--cache-dir {args.cache_dir}: no such folder")
    caches = _caches(args.cache_dir)
    if args.clear_cache:
        for name in dict.fromkeys(args.clear_cache):
            caches[name].clear()
            print(f"{name}: {_size(caches[name].size)} freed in {caches[name].where}")
        return
    print("\n".join(_report(caches)))


def _report(caches: dict[str, _Cache]) -> Iterator[str]:
    yield f"skmol3d {skmol3d.__version__} in {Path(skmol3d.__file__).parent}"
    yield f"Python {platform.python_version()} ({sys.executable}), {platform.platform()}"
    yield from ("", "packages:", *_packages())
    yield from ("", "devices:", *_devices())
    settings = {name: value for name, value in sorted(os.environ.items()) if name.startswith(SETTINGS)}
    if settings:
        yield from ("", "environment:", *(f"  {name}={value}" for name, value in settings.items()))
    yield from ("", "checkpoints that ship:", *_bundled())
    yield from ("", "caches:")
    for name, cache in caches.items():
        yield f"  {name:12} {_size(cache.size):>9}  {cache.where}{cache.holds and f' ({cache.holds})'}"


def _packages() -> Iterator[str]:
    """Of every extra the packages with their versions, wrapped by hand at five a line."""
    from packaging.requirements import Requirement

    try:
        requirements = metadata.requires("skmol3d") or []
    except metadata.PackageNotFoundError:
        yield "  unknown: skmol3d is on the path, but not installed"
        return
    groups: dict[str, list[str]] = {}
    for requirement in map(Requirement, requirements):
        extra = (
            str(requirement.marker).rpartition("extra == ")[2].strip('"') if requirement.marker else "core"
        )
        if requirement.name == "skmol3d":
            continue
        try:
            version = metadata.version(requirement.name)
            fits = requirement.specifier.contains(version, prereleases=True)
            text = f"{requirement.name} {version}{'' if fits else f' (needs {requirement.specifier})'}"
        except metadata.PackageNotFoundError:
            text = f"no {requirement.name}"
        groups.setdefault(extra, []).append(text)
    for extra, texts in groups.items():
        for start in range(0, len(texts), 5):
            yield f"  {extra if not start else '':10} {', '.join(texts[start : start + 5])}"


def _devices() -> Iterator[str]:
    import torch

    from skmol3d.inference import find_device

    yield f"  auto is    {find_device('auto')}"
    yield f"  cpu        cores: {os.cpu_count()}, threads of torch: {torch.get_num_threads()}"
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        memory = f"{properties.total_memory / 2**30:.0f} GiB"
        yield f"  cuda:{i}     {properties.name}, {memory}, CUDA {torch.version.cuda}"
    if torch.backends.mps.is_available():
        yield "  mps        Apple GPU"


def _bundled() -> Iterator[str]:
    from skmol3d.hub import bundled, encoder_name, resolve

    for name in bundled():
        folder = resolve(name)
        yield f"  {name:22} {encoder_name(folder):16} {_size(_total(folder.iterdir())):>9}"


def _caches(cache_dir: Path | None) -> dict[str, _Cache]:
    from huggingface_hub import constants

    from skmol3d.datasets import get_data_home
    from skmol3d.datasets.fetchers import fetched_files
    from skmol3d.hub.cached import downloaded, forget
    from skmol3d.structures.storage import files_of

    def remove(files: list[Path]) -> None:
        for file in files:
            file.unlink(missing_ok=True)

    tables, repos = fetched_files(), downloaded()
    caches = {
        "datasets": _Cache(
            str(get_data_home()), _count(len(tables), "file"), _total(tables), lambda: remove(tables)
        ),
        "checkpoints": _Cache(
            constants.HF_HUB_CACHE,
            ", ".join(repos) or _count(0, "repository"),
            sum(repo.size_on_disk for repo in repos.values()),
            lambda: forget(repos),
        ),
    }
    if cache_dir is not None:
        rows = files_of(cache_dir)
        caches["rows"] = _Cache(str(cache_dir), "", _total(rows), lambda: remove(rows))
    return caches


def _total(files: Iterator[Path] | list[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _count(number: int, noun: str) -> str:
    return f"no {noun}" if not number else f"{number} {noun}{'s' if number > 1 else ''}"


def _size(size: int) -> str:
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
