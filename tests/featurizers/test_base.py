"""drop_failures over every kind of container; what subclasses of the base must do."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse

from skmol3d import ECFPFeaturizer, drop_failures

ROWS = np.array([[1.0, 2.0], [np.nan, np.nan], [np.nan, 3.0], [0.0, 0.0]], dtype=np.float32)
KEPT = ROWS[[0, 2, 3]]


@pytest.mark.parametrize(
    ("rows", "dense"),
    [
        (ROWS, np.asarray),
        (scipy.sparse.csr_array(ROWS), lambda rows: rows.toarray()),
        (scipy.sparse.coo_array(ROWS), lambda rows: rows.toarray()),
        (pd.DataFrame(ROWS, index=[5, 5, 0, 1]), np.asarray),
        (pl.DataFrame(ROWS), np.asarray),
    ],
    ids=["ndarray", "csr", "coo", "pandas", "polars"],
)
def test_rows(rows, dense):
    (kept,) = drop_failures(rows)
    np.testing.assert_array_equal(dense(kept), KEPT)


@pytest.mark.parametrize(
    "target",
    [
        [3, 1, 4, 1],
        (3, 1, 4, 1),
        np.array([3, 1, 4, 1]),
        pd.Series([3, 1, 4, 1], index=[9, 2, 2, 0]),
        pl.Series([3, 1, 4, 1]),
    ],
    ids=["list", "tuple", "ndarray", "pandas", "polars"],
)
def test_targets_keep_their_type(target):
    _, kept, twice = drop_failures(ROWS, target, target)
    assert type(kept) is type(target)
    assert list(kept) == [3, 4, 1]
    assert list(twice) == [3, 4, 1]


def test_index_of_series_stays():
    _, kept = drop_failures(ROWS, pd.Series([3, 1, 4, 1], index=list("abcd")))
    assert kept.index.tolist() == ["a", "c", "d"]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="inconsistent"):
        drop_failures(ROWS, [1, 2, 3])


def test_reasons_that_a_subclass_forgets_are_asked_for():
    class Silent(ECFPFeaturizer):
        def _compute(self, inputs, rows, advance):
            rows[:] = 1.0

    with pytest.raises(TypeError, match=r"Silent._compute must return a dict of reasons; got None"):
        Silent().transform(["C"])
