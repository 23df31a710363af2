"""The examples in the docstrings run."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize("module", ["base", "ecfp", "mo3enet", "potential", "rem3di"])
def test_examples(module):
    results = doctest.testmod(import_module(f"skmol3d.featurizers.{module}"))
    assert results.attempted
    assert not results.failed
