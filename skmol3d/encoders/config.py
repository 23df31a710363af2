"""Strict conversion between frozen dataclass configs and plain JSON values."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated, Any

from skmol3d.encoders.atoms import MAX_NUMBER

_tables: ContextVar[bool] = ContextVar("tables", default=False)


@contextmanager
def making_tables() -> Iterator[None]:
    """Context in which tensors are scratch for tables whose size is bounded: not what settings ask for."""
    token = _tables.set(True)
    try:
        yield
    finally:
        _tables.reset(token)


def tables_are_made() -> bool:
    """Whether the caller is inside of `making_tables`."""
    return _tables.get()


class ConfigError(ValueError):
    """A configuration with an unknown, missing or wrongly typed field."""


@dataclasses.dataclass(frozen=True, eq=False)
class Registered:
    """Note in a field's type, ``Annotated[..., Registered(classes)]``: its ``kind`` names one of ``classes``.

    Attributes
    ----------
    classes : mapping of str to class
        Each with the class of its config as ``Config``. Read when a config is, so that it may grow.
    """

    classes: Mapping[str, Any]


def check_positive(config: Any, *names: str) -> None:
    """Raise ValueError naming the first field of ``config`` that is not a positive, finite number."""
    for name in names:
        value = getattr(config, name)
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive, got {value}")


def check_elements(elements: tuple[int, ...]) -> None:
    """Raise ValueError unless ``elements`` are atomic numbers."""
    wrong = [z for z in elements if not 0 < z < MAX_NUMBER]
    if wrong:
        raise ValueError(f"elements must be atomic numbers from 1 to {MAX_NUMBER - 1}, got {wrong}")


def config_to_dict(config: Any) -> dict[str, Any]:
    """Turn a (nested) frozen dataclass into JSON-ready values."""
    out: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        out[field.name] = _plain(value)
    return out


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return config_to_dict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def config_from_dict(cls: Any, data: Any, where: str = "config") -> Any:
    """Build ``cls`` from plain values; every field must be known and of the declared type.

    Parameters
    ----------
    cls : type
        A frozen dataclass whose annotations are ``int``, ``float``, ``str``, ``bool``, ``tuple[T, ...]``,
        ``dict[str, T]``, ``Any``, nested dataclasses, unions of these, or noted as `Registered`. A dataclass
        may name itself in a field ``kind``, whose default is then its only value; it tells the members of a
        union apart.
    data : dict
        Plain values, as read from JSON.
    where : str
        How error messages call this object.

    Returns
    -------
    object
        An instance of ``cls``. Values a dataclass itself rejects raise `ConfigError` too.

    Raises
    ------
    ConfigError
        Names the field and what is wrong with it.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{where}: expected an object, got {type(data).__name__}")
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise ConfigError(f"{where}: unknown field(s) {', '.join(map(repr, unknown))}")
    missing = [
        name
        for name, f in fields.items()
        if name not in data and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: missing field(s) {', '.join(map(repr, missing))}")
    if "kind" in fields and data.get("kind", cls.kind) != cls.kind:
        raise ConfigError(f"{where}.kind: expected {cls.kind!r}, got {data['kind']!r}")
    values = {name: _convert(hints[name], value, f"{where}.{name}") for name, value in data.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(typing.get_args(hint), value, where)
    if origin is Annotated:
        (registered,) = hint.__metadata__
        return _of_kind({kind: c.Config for kind, c in registered.classes.items()}, value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: expected a list, got {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(_convert(item, v, f"{where}[{k}]") for k, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise ConfigError(f"{where}: expected an object, got {value!r}")
        item = typing.get_args(hint)[1]
        return {str(k): _convert(item, v, f"{where}.{k}") for k, v in value.items()}
    if dataclasses.is_dataclass(hint):
        return config_from_dict(hint, value, where)
    if hint is Any:
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is an int to Python, but a flag is not a size.
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise ConfigError(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _convert_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    if isinstance(value, dict):
        plain = [o for o in options if dataclasses.is_dataclass(o) and not hasattr(o, "kind")]
        if plain:
            return config_from_dict(plain[0], value, where)
        return _of_kind({o.kind: o for o in options if hasattr(o, "kind")}, value, where)
    for option in options:
        if option is not type(None) and not dataclasses.is_dataclass(option):
            return _convert(option, value, where)
    raise ConfigError(f"{where}: expected an object, got {value!r}")


def _of_kind(kinds: Mapping[str, Any], value: Any, where: str) -> Any:
    """The config whose class ``value`` names by its ``kind``."""
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expected an object, got {value!r}")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError(f"{where}.kind: expected one of {sorted(kinds)}, got {kind!r}")
    return config_from_dict(kinds[kind], value, where)
