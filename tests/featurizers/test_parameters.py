"""What parameters may be, and what is said where they are not."""

from pathlib import Path

import numpy as np
import pytest

from skmol3d.featurizers.parameters import check_choice, check_integer, check_names, check_path

KNOWN = ("mean", "std", "max")


@pytest.mark.parametrize("names", [["std", "mean"], ("std", "mean"), np.array(["std", "mean"])])
def test_names_keep_their_order(names):
    assert check_names("pooling", names, KNOWN) == ("std", "mean")


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ({"mean", "std"}, TypeError, "pooling must be a list or tuple of names, e.g. \\('mean',\\); got {"),
        ({"mean": 1}, TypeError, "list or tuple of names"),
        (iter(["mean"]), TypeError, "list or tuple of names"),
        ("mean", TypeError, "list or tuple of names"),
        (1, TypeError, "list or tuple of names"),
        ([1], TypeError, "list or tuple of names"),
        (["mode"], ValueError, "every item of pooling must be one of 'mean', 'std', 'max'; got 'mode'"),
        ([], ValueError, "at least one item and none twice; got \\[\\]"),
        (["mean", "mean"], ValueError, "none twice"),
    ],
)
def test_names_that_are_none(names, error, message):
    with pytest.raises(error, match=message):
        check_names("pooling", names, KNOWN)


def test_integers_and_choices():
    check_integer("n", np.int64(3), 3)
    for value, error in ((2, ValueError), (3.0, TypeError), (True, TypeError), ("3", TypeError)):
        with pytest.raises(error, match="n must be"):
            check_integer("n", value, 3)
    check_choice("relax", None, ("mmff", None))
    with pytest.raises(ValueError, match="relax must be one of 'mmff', None; got 'uff'"):
        check_choice("relax", "uff", ("mmff", None))


def test_paths():
    for value in (None, "cache", Path("cache")):
        check_path("cache_dir", value)
    with pytest.raises(TypeError, match="cache_dir must be a path or None; got 5"):
        check_path("cache_dir", 5)
    with pytest.raises(ValueError, match="cache_dir is empty"):
        check_path("cache_dir", "")
