"""Configs survive a round trip through JSON, and nothing wrong passes."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from skmol3d.encoders import (
    ConfigError,
    EquivariantTransformerConfig,
    PotentialConfig,
    REM3DIConfig,
    config_from_dict,
    config_to_dict,
)


@dataclass(frozen=True)
class Round:
    kind: str = "round"
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    kind: str = "square"
    side: int = 2


@dataclass(frozen=True)
class Drawing:
    name: str
    shape: Round | Square = field(default_factory=Round)
    scale: float | None = None
    filled: bool = False
    sizes: tuple[int, ...] = ()


CONFIGS = [
    REM3DIConfig(),
    REM3DIConfig(
        backbone=EquivariantTransformerConfig(width=24, layers=1, heads=4, cutoff=4.5, elements=(1, 6)),
        structure="2d",
        pooling=("mean", "pma"),
        hydrogens=True,
    ),
    PotentialConfig(EquivariantTransformerConfig(radial=7)),
    Drawing("a", Square(side=3), 2.5, True, (1, 2)),
    Drawing("b"),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: type(c).__name__)
def test_round_trip(config):
    data = json.loads(json.dumps(config_to_dict(config)))
    assert config_from_dict(type(config), data) == config


def test_defaults_and_whole_numbers_for_floats():
    drawing = config_from_dict(Drawing, {"name": "c", "scale": 3})
    assert drawing == Drawing("c", scale=3.0)
    assert isinstance(drawing.scale, float)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "config: expected an object, got list"),
        ({}, "config: missing field.s. 'name'"),
        ({"name": "a", "color": 1, "bold": 2}, "config: unknown field.s. 'bold', 'color'"),
        ({"name": 3}, "config.name: expected str, got 3"),
        ({"name": None}, "config.name: expected str, got None"),
        ({"name": "a", "filled": 1}, "config.filled: expected bool, got 1"),
        ({"name": "a", "scale": True}, "config.scale: expected float, got True"),
        ({"name": "a", "scale": "1e-4"}, "config.scale: expected float, got '1e-4'"),
        ({"name": "a", "sizes": 3}, "config.sizes: expected a list, got 3"),
        ({"name": "a", "sizes": [1, True]}, r"config.sizes\[1\]: expected int, got True"),
        ({"name": "a", "sizes": [1.5]}, r"config.sizes\[0\]: expected int, got 1.5"),
        ({"name": "a", "shape": "round"}, "config.shape: expected an object, got 'round'"),
        (
            {"name": "a", "shape": {"kind": "oval"}},
            "config.shape.kind: expected one of .*'square'.*, got 'oval'",
        ),
        ({"name": "a", "shape": {"kind": ["round"]}}, r"config.shape.kind: .* got \['round'\]"),
        ({"name": "a", "shape": {"side": 3}}, "config.shape.kind: .* got None"),
        ({"name": "a", "shape": {"kind": "square", "side": "x"}}, "config.shape.side: expected int"),
        (
            {"name": "a", "shape": {"kind": "square", "radius": 1.0}},
            "config.shape: unknown field.s. 'radius'",
        ),
    ],
)
def test_refusals(data, message):
    with pytest.raises(ConfigError, match=message):
        config_from_dict(Drawing, data)


def test_kind_of_a_backbone_is_checked():
    data = config_to_dict(REM3DIConfig())
    data["backbone"]["kind"] = "foo"
    with pytest.raises(
        ConfigError,
        match=r"config\.backbone\.kind: expected one of \['aimnet2', .*'mace'\], got 'foo'",
    ):
        config_from_dict(REM3DIConfig, data)


def test_values_a_dataclass_rejects_name_their_place():
    data = config_to_dict(REM3DIConfig())
    data["backbone"]["heads"] = 0
    with pytest.raises(ConfigError, match=r"model\.backbone: heads must be positive, got 0"):
        config_from_dict(REM3DIConfig, data, "model")


@pytest.mark.parametrize("name", ["width", "layers", "heads", "radial", "cutoff"])
@pytest.mark.parametrize("value", [0, -8])
def test_backbone_sizes(name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive, got {value}"):
        EquivariantTransformerConfig(**{name: value})


@pytest.mark.parametrize("cutoff", [float("nan"), float("inf")])
def test_cutoff_is_finite(cutoff):
    with pytest.raises(ValueError, match="cutoff must be positive"):
        EquivariantTransformerConfig(cutoff=cutoff)


@pytest.mark.parametrize("elements", [(0,), (1, 119)])
def test_elements_exist(elements):
    with pytest.raises(ValueError, match="elements must be atomic numbers"):
        EquivariantTransformerConfig(elements=elements)


@pytest.mark.parametrize(
    "name",
    ["width", "layers", "heads", "pair_width", "radial", "radial_length", "readout", "seeds", "chiral"],
)
@pytest.mark.parametrize("value", [0, -8])
def test_rem3di_sizes(name, value):
    with pytest.raises(ValueError, match=f"{name} must be positive, got {value}"):
        REM3DIConfig(**{name: value})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"structure": "4d"}, "structure must be '3d', '2d' or 'none', got '4d'"),
        ({"pooling": ()}, "pooling must be distinct names"),
        ({"pooling": ("mean", "median")}, "pooling must be distinct names"),
        ({"pooling": ("mean", "mean")}, "pooling must be distinct names"),
        ({"width": 100, "heads": 8}, r"width \(100\).* multiple.* of heads \(8\)"),
        ({"readout": 100, "heads": 8}, r"readout \(100\).* multiple.* of heads \(8\)"),
    ],
)
def test_rem3di_choices(settings, message):
    with pytest.raises(ValueError, match=message):
        REM3DIConfig(**settings)


def test_backbone_heads_divide_the_width():
    with pytest.raises(ValueError, match=r"width \(20\) must be a multiple of heads \(8\)"):
        EquivariantTransformerConfig(width=20)


@dataclass(frozen=True)
class Part:
    size: int
    name: str = "a"


@dataclass(frozen=True)
class Whole:
    parts: tuple[Part, ...]
    weights: dict[str, float]
    free: dict[str, Any]
    other: Part | None = None


def test_dataclasses_in_tuples_unions_and_dicts_come_back():
    plain = {
        "parts": [{"size": 1}, {"size": 2, "name": "b"}],
        "weights": {"a": 1},
        "free": {"x": [1, {"y": None}]},
    }
    made = config_from_dict(Whole, plain)
    assert made == Whole((Part(1), Part(2, "b")), {"a": 1.0}, {"x": [1, {"y": None}]})
    assert config_from_dict(Whole, config_to_dict(made)) == made
    assert config_from_dict(Whole, plain | {"other": {"size": 3}}).other == Part(3)
    for change, message in (
        ({"parts": [{"size": 1}, {"size": "2"}]}, r"config\.parts\[1\]\.size: expected int, got '2'"),
        ({"weights": {"a": "much"}}, r"config\.weights\.a: expected float, got 'much'"),
        ({"weights": [1]}, r"config\.weights: expected an object, got \[1\]"),
        ({"other": {"sizes": 1}}, r"config\.other: unknown field\(s\) 'sizes'"),
    ):
        with pytest.raises(ConfigError, match=message):
            config_from_dict(Whole, plain | change)
