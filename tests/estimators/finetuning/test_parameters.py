"""Parameters that cannot be."""

import pytest
from finetuning_examples import SMILES, TARGET
from sklearn.base import clone


@pytest.mark.parametrize(
    "parameters",
    [
        {"train": "some"},
        {"n_estimators": 0},
        {"epochs": 1.5},
        {"dropout": 1.0},
        {"learning_rate": 0},
        {"validation_fraction": 0.6},
        {"errors": "ignore"},
        {"n_conformers": 0},
        {"standardise": "all"},
    ],
)
def test_bad_parameters_are_named(regressor, parameters):
    with pytest.raises((ValueError, TypeError), match=next(iter(parameters))):
        clone(regressor).set_params(**parameters).fit(SMILES, TARGET)
