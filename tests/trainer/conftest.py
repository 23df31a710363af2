"""Checkpoints trained on synthetic labels of small molecules."""

import pytest
from recipe_examples import ENCODER, POTENTIAL, run


@pytest.fixture(scope="session")
def trained(data_root, tmp_path_factory):
    """Folder with the checkpoints tiny-potential and tiny-rem3di and their logs."""
    out = tmp_path_factory.mktemp("runs")
    for recipe in (POTENTIAL, ENCODER):
        run(recipe, data_root, out)
    return out
