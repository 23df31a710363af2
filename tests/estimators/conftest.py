"""A fine-tuned estimator that is fitted in a second."""

import pytest

from skmol3d import REM3DIRegressor


@pytest.fixture
def fine_tuned(tiny_checkpoint):
    return REM3DIRegressor(tiny_checkpoint, train="head", n_estimators=1, epochs=1, width=4, device="cpu")
