"""What columns mean, and the choice of columns for forests."""

import numpy as np
import pytest

from skmol3d import REM3DIFeaturizer, hub
from skmol3d.featurizers.meanings import DESCRIPTORS, SURFACE, for_trees, meanings
from skmol3d.hub.loaded import find_checkpoint

SMILES = ["CCO", "C[C@H](N)C(=O)O", "c1ccncc1Cl"]


@pytest.fixture(scope="module")
def table():
    _, folder = find_checkpoint("rem3di-small", None)
    return meanings(hub.from_pretrained("rem3di-small"), folder)


def test_each_name_for_trees_is_a_column(table):
    kept = table[for_trees(table)]
    assert set(kept["descriptor"].dropna()) == set(DESCRIPTORS)
    surface = kept["meaning"][kept["block"] == "surface"].str.split(" (", regex=False).str[0]
    assert list(surface) == list(SURFACE)
    counts = table["block"].isin(("words", "rare", "signed"))
    assert len(kept) == counts.sum() + len(SURFACE) + len(DESCRIPTORS) + 1  # strain


def test_columns_for_trees_are_those_of_the_whole_row():
    whole, trees = REM3DIFeaturizer(device="cpu"), REM3DIFeaturizer(device="cpu", blocks="trees")
    rows, names = whole.fit_transform(SMILES), list(whole.get_feature_names_out())
    picked = [names.index(name) for name in trees.fit(SMILES).get_feature_names_out()]
    np.testing.assert_array_equal(trees.transform(SMILES), rows[:, picked])
    described = trees.describe_columns()
    assert list(described["column"]) == [names[i] for i in picked]
    assert {"MolLogP", "TPSA"} <= set(described["descriptor"])
    assert "dense" not in set(described["block"])
    whole_numbers = REM3DIFeaturizer(device="cpu", blocks="trees", scaled=False).integer_columns()
    assert list(whole_numbers) == list(described["block"].isin(("words", "rare", "signed")))


def test_side_by_side_conformers_have_them_each():
    trees = REM3DIFeaturizer(device="cpu", blocks="trees", n_conformers=2, conformer_pooling="all")
    rows = trees.fit_transform(["CCCO"])
    assert rows.shape == (1, len(trees.get_feature_names_out())) == (1, len(trees.describe_columns()))
    assert rows.shape[1] == 2 * len(REM3DIFeaturizer(blocks="trees").fit([]).get_feature_names_out())


def test_a_checkpoint_without_counts_has_none_for_trees(tiny_checkpoint):
    with pytest.raises(ValueError, match=r"'trees' cannot be had of .*no counts.*invariant, chiral"):
        REM3DIFeaturizer(tiny_checkpoint, device="cpu", blocks="trees").fit_transform(["CCO"])


def test_estimates_without_names_are_refused(table):
    with pytest.raises(ValueError, match=r"words\.csv, which names the descriptors"):
        for_trees(table.assign(descriptor=None))
