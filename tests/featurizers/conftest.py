"""What the tests of all featurizers share; those of one featurizer have a `make` of their own."""

import inspect

import pytest

from skmol3d.featurizers import all_featurizers, cache


@pytest.fixture(params=all_featurizers(), ids=lambda cls: cls.__name__)
def make(request, tiny_checkpoint, tiny_mo3enet, tiny_potential):
    """Build each public featurizer with the given parameters, on a tiny random model where it needs one."""
    cls = request.param
    takes = inspect.signature(cls).parameters
    models = {
        "Mo3ENetFeaturizer": tiny_mo3enet,
        "PotentialFeaturizer": tiny_potential,
        "REM3DIFeaturizer": tiny_checkpoint,
    }
    defaults = {"model": models[cls.__name__], "device": "cpu"} if "model" in takes else {}

    def build(**params):
        cache.clear()
        return cls(**{**defaults, **params})

    build.takes = takes
    return build
