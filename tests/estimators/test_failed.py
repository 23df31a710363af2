"""What failed, and predictions with NaN in its places."""

import numpy as np
import pandas as pd
import pytest
from failing_examples import CLASSES, FAILED, GOOD, SMILES, ecfp
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_union

from skmol3d import ECFPFeaturizer, SkipFailures
from skmol3d.estimators.failed import failures_of, reads_molecules, spread


def test_integer_predictions_become_floats():
    model = SkipFailures(ecfp(LogisticRegression())).fit(SMILES, CLASSES == "acid")
    assert model.predict(SMILES).dtype == object  # booleans have no NaN among numbers
    model.fit(SMILES, (CLASSES == "acid").astype(int))
    assert model.predict(GOOD).dtype == np.int64
    assert model.predict(SMILES).dtype == np.float64


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, bool, "<U3"])
def test_predictions_stand_in_the_places_of_their_molecules(kind):
    known = np.array([[1, 0], [0, 1]]).astype(kind)
    found = spread(known, np.array([0, 2]), 4)
    assert found.shape == (4, 2)
    assert found.dtype == {"f": known.dtype, "i": np.float64}.get(known.dtype.kind, object)
    np.testing.assert_array_equal(found[[0, 2]], known)
    assert pd.isna(found[[1, 3]]).all()


def test_failures_of_featurizers_inside_others_are_told_once():
    """Of a union in a column transformer, where both featurizers fail on the same molecules."""
    both = make_union(ECFPFeaturizer(errors="nan"), ECFPFeaturizer(n_bits=64, errors="nan"))
    columns = ColumnTransformer([("both", both, "smiles")]).fit(pd.DataFrame({"smiles": SMILES}))
    columns.transform(pd.DataFrame({"smiles": SMILES}))
    assert failures_of(columns)["index"].tolist() == np.flatnonzero(FAILED).tolist()
    assert failures_of(Ridge()) is None


def test_who_reads_molecules(fine_tuned):
    assert reads_molecules(fine_tuned)
    for other in (Ridge(), ECFPFeaturizer(), ecfp(Ridge()), SkipFailures(fine_tuned)):
        assert not reads_molecules(other)
