"""Errors as values, with RDKit's own words for the reason."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Number
from threading import RLock

import numpy as np


class StructureError(ValueError):
    """A structure that cannot be used; the message is the reason alone."""


class TransientError(StructureError):
    """A failure that another machine or another day may not see: out of time, or its process died."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An input that gave no row: its 0-based position, a short repr of it, and the reason."""

    index: int
    input: str
    reason: str


# RDKit has one log of each kind for all threads, and crashes if one thread writes (an embedding does, without
# holding Python's own lock) while another redirects it.
_logs = RLock()


@contextmanager
def rdkit_errors() -> Iterator[list[str]]:
    """Collect RDKit's error messages within the block instead of printing them, and no warnings either.

    Outside the block the logs stay as the user set them. The list is filled when the block ends. Other
    threads wait meanwhile, as for `rdkit_silence`.
    """
    from rdkit import rdBase  # the errors themselves are raised where there is no RDKit, too

    messages: list[str] = []
    with _logs, rdBase.BlockLogs(), rdBase.CaptureErrorLog() as capture:
        yield messages
    try:
        text = capture.messages
    except UnicodeDecodeError:  # RDKit cuts by bytes, and has cut through a character
        return
    for line in text.splitlines():
        line = re.sub(r"^\[\d\d:\d\d:\d\d\]\s*", "", line).strip()
        line = re.sub(r"^(SMILES Parse )?(Error|ERROR):\s*| for input: .*$", "", line)
        if line.strip("~^* ") and not line.endswith("-condition Violation"):  # the next line says which
            messages.append(line if len(line) <= 200 else line[:197] + "...")


@contextmanager
def rdkit_silence() -> Iterator[None]:
    """Keep RDKit from logging within the block; other threads wait before theirs."""
    from rdkit import rdBase

    with _logs, rdBase.BlockLogs():
        yield


def rdkit_reason(error: Exception) -> str:
    """Say what an RDKit exception says, without the lines on its source and build that follow."""
    return ": ".join(line.strip() for line in str(error).strip().splitlines()[:2]) or repr(error)


def shorten(text: str, length: int = 40) -> str:
    """Quote a text, cut to at most `length` characters."""
    return repr(text if len(text) <= length else text[: length - 3] + "...")


def describe_input(value: object) -> str:
    """What stands for an input in a list of failures: at most 80 characters, the same in every run."""
    from rdkit import Chem

    if isinstance(value, np.generic):
        value = value.item()  # of an array: shown as what it holds
    if isinstance(value, Exception):  # a record that `iter_inputs` could not read
        text = "<unreadable record>"
    elif value is None or isinstance(value, str | os.PathLike | Number):
        text = repr(value)
    elif isinstance(value, Chem.Mol):
        # Not its SMILES: whatever is wrong with a molecule may make writing it fail. Likewise repr below.
        name = f" {value.GetProp('_Name')!r}" if value.HasProp("_Name") else ""
        text = f"<{type(value).__name__}{name} of {value.GetNumAtoms()} atoms>"
    else:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."
