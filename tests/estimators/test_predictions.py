"""What a fitted model says of molecules, each failure by itself."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from skmol3d import ECFPFeaturizer, SkipFailures
from skmol3d.estimators.predictions import predict_or_say, prediction_columns, with_reasons

SMILES = ["CO", "CC", "CN", "CCO"]


@pytest.mark.parametrize(("errors", "skip"), [("raise", False), ("nan", False), ("nan", True)])
def test_each_failure_costs_its_own_prediction(errors, skip):
    model = make_pipeline(ECFPFeaturizer(n_bits=64, errors=errors), Ridge())
    model = SkipFailures(model) if skip else model
    model = with_reasons(model.fit(SMILES, np.arange(4.0)))
    [values], failures = predict_or_say(model, ["CC", "C(", "CO", None], 1)
    np.testing.assert_allclose(values[[0, 2]].astype(float), model.predict(["CC", "CO"]))
    assert values[1] is None
    assert values[3] is None
    assert [(f.index, f.reason.split(":")[0]) for f in failures] == [
        (1, "not a valid SMILES"),
        (3, "missing value"),
    ]
    [values], failures = predict_or_say(model, ["C("], 1)
    assert values.tolist() == [None]
    assert len(failures) == 1


def test_columns_of_targets_and_classes_are_named():
    several = make_pipeline(ECFPFeaturizer(n_bits=64), Ridge()).fit(SMILES, np.eye(4)[:, :2])
    assert prediction_columns(several, "m.joblib")[0] == ["prediction_0", "prediction_1"]
    classes = make_pipeline(ECFPFeaturizer(n_bits=64), LogisticRegression()).fit(SMILES, list("abab"))
    names, columns = prediction_columns(classes, "m.joblib")
    assert names == ["prediction", "probability_a", "probability_b"]
    assert columns[0][0] in "ab"
    assert columns[1][0] + columns[2][0] == pytest.approx(1)


def test_a_model_that_takes_columns_too_is_told_from_one_of_molecules():
    table = pd.DataFrame({"smiles": SMILES, "weight": np.arange(4.0)})
    both = make_column_transformer(
        (ECFPFeaturizer(n_bits=64, errors="nan"), ["smiles"]), remainder="passthrough"
    )
    model = SkipFailures(make_pipeline(both, Ridge())).fit(table, np.arange(4.0))
    with pytest.raises(ValueError, match=r"m\.joblib: the model does not take a list of SMILES: "):
        prediction_columns(model, "m.joblib")
