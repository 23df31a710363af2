"""Encoders by the names that checkpoints have."""

import dataclasses

import pytest

from skmol3d.encoders.registry import ENCODERS


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_a_checkpoint_of_each_can_be_named_built_and_upgraded(name):
    encoder = ENCODERS[name]
    assert encoder.name == name
    assert encoder.version >= 1
    assert dataclasses.is_dataclass(encoder.Config)
    assert encoder.Config.__dataclass_params__.frozen
    assert callable(encoder.upgrade)
