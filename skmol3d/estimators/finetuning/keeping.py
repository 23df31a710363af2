"""Fitted estimators as folders: JSON and safetensors, nothing that is unpickled."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skmol3d.estimators.finetuning.frozen import FrozenStart, RowScaler
from skmol3d.hub.loaded import Checkpoint

if TYPE_CHECKING:
    from skmol3d.estimators.finetuning.parameters import FineTuningParameters

    Base = FineTuningParameters
else:
    Base = object

CONFIG, ARRAYS = "fine-tuned.json", "fine-tuned.safetensors"
FORMAT, VERSION = "skmol3d-fine-tuned", 1
OPTIONAL = ("_mean", "_scale", "_logits")
"""Arrays that only one of the estimators has."""
PAIRS = "pairs"
"""Stands before the entries of a dict."""


class Kept(Base):
    """What `REM3DIRegressor` and `REM3DIClassifier` need to be kept."""

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write the fitted estimator into a folder, without the checkpoint it stands on.

        NumPy's scalars are kept as Python's, paths and devices as text.

        Parameters
        ----------
        folder : path
            Made if needed; an estimator that is there already is replaced.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        TypeError
            If a parameter is nothing that JSON can hold, such as a RandomState; the message names it.
        """
        check_is_fitted(self)
        fitted: Any = self
        arrays: dict[str, NDArray[Any]] = {"shares": fitted.shares_, "errors": fitted._errors}
        arrays |= {name: getattr(self, name) for name in OPTIONAL if hasattr(self, name)}
        arrays |= {f"scaler.{name}": value for name, value in vars(fitted._scaler).items()}
        arrays |= {f"start.{name}": value for name, value in fitted._start.arrays().items()}
        for k, member in enumerate(fitted.members_):
            arrays |= {f"members.{k}.{name}": value for name, value in member.items()}
        config = {
            "format": FORMAT,
            "version": VERSION,
            "estimator": type(self).__name__,
            "parameters": {name: _plain(value, name) for name, value in self.get_params().items()},
            "checkpoint": asdict(fitted.featurizer_.checkpoint_),
            "train": fitted._trained,
            "sizes": fitted._sizes,
            "flat": fitted._flat,
            "classes": None if not hasattr(self, "classes_") else _written(fitted.classes_, fitted._flat),
        }
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        # Next to their final places, because a rename is atomic only within one file system.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".saving-") as unfinished:
            ready = {name: np.ascontiguousarray(value) for name, value in arrays.items()}
            safetensors.numpy.save_file(ready, Path(unfinished) / ARRAYS)
            (Path(unfinished) / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
            for file in (ARRAYS, CONFIG):
                os.replace(Path(unfinished) / file, folder / file)
        return folder

    @classmethod
    def from_pretrained(cls, folder: str | Path, **parameters: Any) -> Self:
        """Read a fitted estimator from a folder.

        Parameters
        ----------
        folder : path
            Of `save_pretrained`.
        **parameters : object
            In place of those it was saved with, such as ``device`` or ``cache_dir``; or ``model``, where the
            same checkpoint has another name here.

        Raises
        ------
        ValueError
            If the folder holds no such estimator; the message names the file.
        """
        path = Path(folder) / CONFIG
        try:
            config = json.loads(path.read_text())
            if (config["format"], config["version"]) != (FORMAT, VERSION):
                raise ValueError(f"format {config['format']!r}, version {config['version']!r}")
            if config["estimator"] != cls.__name__:
                raise ValueError(f"it holds a {config['estimator']}, not a {cls.__name__}")
            arrays = safetensors.numpy.load_file(Path(folder) / ARRAYS)
            made = cls(**{**{name: _read(v) for name, v in config["parameters"].items()}, **parameters})
            made._restore(config, arrays)
        except (OSError, ValueError, LookupError, TypeError, safetensors.SafetensorError) as error:
            raise ValueError(f"{path}: no fitted {cls.__name__} can be read from here: {error}") from error
        return made

    def _restore(self, config: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        fitted: Any = self
        fitted._trained, fitted._flat = config["train"], config["flat"]
        fitted._sizes = tuple(config["sizes"])
        fitted.shares_, fitted._errors = arrays["shares"], arrays["errors"]
        for name in OPTIONAL:
            if name in arrays:
                setattr(self, name, arrays[name])
        fitted._scaler = RowScaler(**{f.name: arrays[f"scaler.{f.name}"] for f in fields(RowScaler)})
        fitted._start = FrozenStart.from_arrays(_below(arrays, "start."))
        fitted.members_ = []
        while found := _below(arrays, f"members.{len(fitted.members_)}."):
            fitted.members_.append(found)
        if config["classes"] is not None:
            classes = [np.array(values, dtype=kind) for kind, values in config["classes"]]
            fitted.classes_ = classes[0] if fitted._flat else classes
        featurizer = self._make_featurizer()
        checkpoint = Checkpoint(**config["checkpoint"])
        # Under another name it must still be the same: the featurizer compares the hash.
        featurizer.checkpoint_ = replace(checkpoint, model=str(fitted.model), revision=fitted.revision)
        fitted.featurizer_ = featurizer


def _below(arrays: dict[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(start): value for name, value in arrays.items() if name.startswith(start)}


def _plain(value: Any, name: str) -> Any:
    """A parameter as JSON holds it and `_read` gives it back; TypeError if there is no such form."""
    import torch

    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return [_plain(each, name) for each in value]
    if isinstance(value, dict):  # as pairs: JSON would make text of keys that are numbers
        return {PAIRS: [[_plain(key, name), _plain(each, name)] for key, each in value.items()]}
    if isinstance(value, torch.device):
        return str(value)
    raise TypeError(
        f"{name}={value!r} cannot be kept in a folder; what was fitted does not change by"
        f" set_params({name}=...) with a number or text"
    )


def _read(value: Any) -> Any:
    """What `_plain` wrote; dicts of text as they were once written, too."""
    if isinstance(value, list):
        return [_read(each) for each in value]
    if isinstance(value, dict) and isinstance(value.get(PAIRS), list):
        return {key: _read(each) for key, each in value[PAIRS]}
    return value


def _written(classes: Any, flat: bool) -> list[tuple[str, list[Any]]]:
    return [(names.dtype.str, names.tolist()) for names in ([classes] if flat else classes)]
