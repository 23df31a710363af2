"""A small regressor, also fitted, and a small classifier."""

import pytest
from finetuning_examples import QUICK, SMILES, TARGET
from sklearn.base import clone

from skmol3d import REM3DIClassifier, REM3DIRegressor


@pytest.fixture(scope="session")
def regressor(tiny_checkpoint):
    return REM3DIRegressor(tiny_checkpoint, **QUICK)


@pytest.fixture(scope="session")
def fitted(regressor):
    return clone(regressor).fit(SMILES, TARGET)


@pytest.fixture(scope="session")
def classifier(tiny_checkpoint):
    return REM3DIClassifier(tiny_checkpoint, **QUICK)
