"""The checkpoint folder: reading, checking and writing its files."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from skmol3d.encoders.config import ConfigError, config_from_dict, config_to_dict
from skmol3d.encoders.registry import ENCODERS
from skmol3d.hub.allowance import building

CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
WORDS = "words.csv"  # what the columns of words count; not all checkpoints have it
FORMAT = "skmol3d-encoder"
FRONT_MATTER = """\
---
library_name: skmol3d
license: mit
pipeline_tag: feature-extraction
tags:
- chemistry
- molecules
- {encoder}
---

"""

# What a constructor or `upgrade` may raise on numbers that pass the type check, such as zero heads.
BAD_SETTINGS = (ValueError, TypeError, LookupError, ArithmeticError, RuntimeError)


class CheckpointError(ValueError):
    """A checkpoint cannot be found, read, verified or published; the message names the file or repository."""


class Snapshot(NamedTuple):
    """A checkpoint's folder, and the commit it holds (None where it does not come from the Hub)."""

    folder: Path
    commit: str | None


@dataclass(frozen=True)
class _Manifest:
    """Content of ``config.json``."""

    format: str
    encoder: str
    version: int
    config: dict
    weights_sha256: str


def load_folder(folder: Path) -> nn.Module:
    """Encoder of the checkpoint ``folder``; see `skmol3d.hub.from_pretrained`."""
    manifest = _read_manifest(folder / CONFIG)
    state = _read_weights(folder / WEIGHTS, manifest.weights_sha256)
    cls: Any = ENCODERS[manifest.encoder]
    settings = manifest.config
    try:
        if manifest.version < cls.version:
            settings, state = cls.upgrade(settings, state, manifest.version)
        config = config_from_dict(cls.Config, settings)
        with building(state):
            encoder = cls(config).float()
    except ConfigError as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    except BAD_SETTINGS as error:
        raise CheckpointError(
            f"{folder / CONFIG}: no {manifest.encoder} (version {manifest.version}) can be built from these"
            f" settings: {type(error).__name__}: {error}"
        ) from error
    wrong = _mismatches(encoder.state_dict(), state)
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
        raise CheckpointError(f"{folder / WEIGHTS}: does not fit the encoder of {CONFIG}: {shown}")
    broken = [name for name, value in state.items() if not value.isfinite().all()]
    if broken:
        raise CheckpointError(f"{folder / WEIGHTS}: NaN or infinite weights in {', '.join(broken[:5])}")
    encoder.load_state_dict(state)
    return encoder.eval()


def fingerprint(folder: Path) -> str:
    """Hash (hex) of everything in a checkpoint that decides what its encoder computes.

    ``config.json`` holds the hash of the weights, so this need not read them; the model card does not count.
    """
    manifest = _read_manifest(Path(folder) / CONFIG)
    return hashlib.sha256(json.dumps(vars(manifest), sort_keys=True).encode()).hexdigest()


def encoder_name(folder: Path) -> str:
    """Name of a checkpoint's encoder among the `skmol3d.encoders.ENCODERS`; the weights are not read."""
    return _read_manifest(Path(folder) / CONFIG).encoder


def _read_manifest(path: Path) -> _Manifest:
    try:
        data = json.loads(path.read_bytes(), parse_constant=_refuse_constant)
        json.dumps(data)  # nor may what was read be nested too deeply to be written
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise CheckpointError(f'{path}: not the config of a skmol3d checkpoint ("format" must be "{FORMAT}")')
    try:
        manifest: _Manifest = config_from_dict(_Manifest, data)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    if manifest.encoder not in ENCODERS:
        known = ", ".join(sorted(ENCODERS))
        raise CheckpointError(f"{path}: unknown encoder {manifest.encoder!r}; this skmol3d knows {known}")
    newest = vars(ENCODERS[manifest.encoder])["version"]
    if not 1 <= manifest.version <= newest:
        raise CheckpointError(
            f"{path}: version {manifest.version} of {manifest.encoder}, but this skmol3d reads 1 to {newest};"
            " install a newer skmol3d"
        )
    return manifest


def _refuse_constant(token: str) -> Any:
    raise ValueError(f"{token} is not JSON")


def _read_weights(path: Path, sha256: str) -> dict[str, Tensor]:
    # Read once: what is checked is what is loaded, even while somebody writes the file.
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise CheckpointError(
            f"{path}: truncated or altered: its SHA-256 is {found}, but {CONFIG} says {sha256};"
            " fetch the checkpoint again"
        )
    try:
        return safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise CheckpointError(f"{path}: not a safetensors file: {error}") from error
    except KeyError as error:  # types that torch has no tensors of
        raise CheckpointError(f"{path}: tensors of an unknown type: {error}") from error


def _mismatches(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    wrong = [f"{name} is missing" for name in expected if name not in found]
    wrong += [f"{name} is unknown" for name in found if name not in expected]
    for name in expected.keys() & found.keys():
        want, have = expected[name], found[name]
        if want.shape != have.shape:
            wrong.append(f"{name} has shape {list(have.shape)} instead of {list(want.shape)}")
        elif want.is_floating_point() != have.is_floating_point():
            wrong.append(f"{name} has type {have.dtype} instead of {want.dtype}")
    return sorted(wrong)


def save_pretrained(
    encoder: nn.Module, folder: str | Path, card: str, half: bool = False, words: str | None = None
) -> Path:
    """Write ``encoder`` as a checkpoint folder.

    Files are written under temporary names and renamed at the end, so that a save that fails leaves an
    existing checkpoint as it was; one that is killed between the renames is noticed when it is loaded.

    Parameters
    ----------
    encoder : Module
        One of `skmol3d.encoders.ENCODERS`.
    folder : path
        Created if needed; a checkpoint already there is replaced.
    card : str
        Model card (Markdown). Without a YAML head it gets the one the Hub needs.
    half : bool, default=False
        Store the parameters as float16 (they load as float32). Buffers stay float32: they are few, and
        rounding them, say reference energies of hundreds of eV, would be felt.
    words : str, optional
        Names of a REM3DI's words (CSV), as `skmol3d.trainer.word_names` makes them.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    CheckpointError
        A weight is not finite, or becomes infinite as float16.
    TypeError
        Not an encoder that `from_pretrained` could load again.
    """
    cls: Any = type(encoder)
    if cls not in ENCODERS.values():
        raise TypeError(f"{cls.__name__} is none of the registered encoders: {', '.join(sorted(ENCODERS))}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parameters = {name for name, _ in encoder.named_parameters()}
    state = {}
    for name, value in encoder.state_dict().items():
        if value.is_floating_point():
            value = value.to(torch.float16 if half and name in parameters else torch.float32)
            if not value.isfinite().all():
                raise CheckpointError(
                    f"{folder / WEIGHTS}: not written: {name} is not finite as {value.dtype}"
                )
        state[name] = value.detach().cpu().contiguous().clone()
    weights = safetensors.torch.save(state)
    manifest = _Manifest(
        format=FORMAT,
        encoder=cls.name,
        version=cls.version,
        config=config_to_dict(encoder.config),
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )
    if not card.startswith("---"):
        card = FRONT_MATTER.format(encoder=cls.name) + card
    config = json.dumps(asdict(manifest), indent=2) + "\n"
    files = {WEIGHTS: weights, CONFIG: config.encode(), CARD: card.encode()}
    if words is not None:
        files[WORDS] = words.encode()
    # Next to their final places, because a rename is atomic only within one file system.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as unfinished:
        for file, content in files.items():
            (Path(unfinished) / file).write_bytes(content)
        for file in files:
            os.replace(Path(unfinished) / file, folder / file)
    if words is None:  # those of a checkpoint that was replaced are not this one's
        (folder / WORDS).unlink(missing_ok=True)
    return folder
