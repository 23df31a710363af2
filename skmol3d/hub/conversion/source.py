"""Reading files of others: tensors if they hold nothing else, pickles only by explicit consent."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from skmol3d.encoders.backbones.mace import mace_torch
from skmol3d.hub.folder import BAD_SETTINGS, CheckpointError

RISK = (
    "it is a pickle of Python objects, as mace-torch saves its models: to load it is to run whatever code its"
    " author put there, with your rights. If you trust who made it and where it came from, say so with"
    " trust_pickle=True (--trust-pickle)"
)


def load_tensors(path: Path) -> Any:
    """Content of a file that torch can read without unpickling objects; None if it cannot.

    Raises
    ------
    CheckpointError
        If there is no such file, or it is none of torch's.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        _check_pickle(path)
        return None
    except (OSError, RuntimeError, EOFError, LookupError, ValueError) as error:
        _check_pickle(path)
        reason = str(error).partition("\n")[0] or "it ends too soon"
        raise CheckpointError(f"{path}: cannot be read as a file of torch: {reason}") from error


def _check_pickle(path: Path) -> None:
    """Raise CheckpointError for what is no pickle: nobody should be asked to trust a failed download."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        start = file.read(40)
    if start[:2] not in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise CheckpointError(
            f"{path}: cannot be read as a file of torch: it begins with {start!r} (has the page of an "
            "error, or the pointer of a file in Git LFS, been downloaded in its place?)"
        )


@contextmanager
def reading(path: Path, what: str) -> Iterator[None]:
    """Context in which what is wrong with the content of ``path`` is a CheckpointError: ``what``, and why."""
    try:
        yield
    except CheckpointError:
        raise
    except (*BAD_SETTINGS, AttributeError) as error:  # the last: of values that have another type
        raise CheckpointError(f"{path}: {what}: {type(error).__name__}: {error}") from error


def load_pickle(path: Path, trusted: bool) -> Any:
    """Content of a pickle.

    Raises
    ------
    CheckpointError
        Unless ``trusted``; or if it cannot be unpickled.
    """
    if not trusted:
        raise CheckpointError(f"{path}: not loaded: {RISK}")
    with mace_torch(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript's, for what e3nn has generated
        try:
            return torch.load(path, map_location="cpu", weights_only=False)
        except Exception as error:  # whatever its classes raise
            raise CheckpointError(f"{path}: cannot be unpickled: {type(error).__name__}: {error}") from error
