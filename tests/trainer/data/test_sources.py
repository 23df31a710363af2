"""Entries of a recipe's data: what they select, what is known of them, what is wrong with them."""

import hashlib
import shutil

import numpy as np
import pytest

from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.packed import write_packed
from skmol3d.trainer.data.sources import Source, describe, digest, read_set


@pytest.fixture
def labels(data_root):
    return read_set(data_root / "labels.npz")


def test_entries_select_kinds_of_conformers(labels):
    index = np.arange(6, 30)
    kinds = labels.molecule_targets["kind"]
    relaxed = Source("labels.npz", kinds=("relaxed",)).select(labels, index)
    assert (kinds[relaxed] == ConformerKind.RELAXED).all()
    assert len(relaxed) == 8
    both = Source("labels.npz", kinds=("relaxed", "mmff")).select(labels, index)
    assert both.tolist() == Source("labels.npz").select(labels, index).tolist() == index.tolist()


def test_what_cannot_be_selected(labels, data_root):
    with pytest.raises(ValueError, match=r"labels.npz: no such kinds \['minima'\]; there are mmff, noisy"):
        Source("labels.npz", kinds=("minima",))
    with pytest.raises(ValueError, match=r"labels.npz: no conformer of qm9 to train on"):
        Source("labels.npz", kinds=("qm9",)).select(labels, np.arange(30))
    corpus = read_set(data_root / "corpus")
    with pytest.raises(ValueError, match="corpus: kinds are selected, but its conformers have none"):
        Source("corpus", kinds=("relaxed",)).select(corpus, np.arange(3))
    with pytest.raises(ValueError, match="share must be positive"):
        Source("labels.npz", share=0.0)


def test_digests_are_of_what_the_data_come_from(data_root):
    for path, source in (("labels.npz", "labels.npz"), ("corpus", "smiles.csv")):
        expected = hashlib.sha256((data_root / source).read_bytes()).hexdigest()
        assert digest(data_root / path) == expected


def test_digests_of_packed_folders_are_of_their_files(labels, tmp_path):
    write_packed(tmp_path / "a", labels)
    before = digest(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert digest(tmp_path / "b") == before is not None
    np.save(tmp_path / "b" / "charge.npy", np.load(tmp_path / "b" / "charge.npy") + 1)
    assert digest(tmp_path / "b") != before


def test_only_the_data_that_a_recipe_describes_have_its_provenance(labels):
    """REVIEW A5: users' data were said to be ours."""
    said = {"provenance": "Made here.", "licence": "MIT"}
    ours = describe(Source("labels.npz", sha256="a", **said), labels, "a")
    assert (ours["provenance"], ours["licence"], ours["others"]) == ("Made here.", "MIT", False)
    others = describe(Source("labels.npz", sha256="b", **said), labels, "a")
    assert (others["provenance"], others["licence"], others["others"]) == (None, None, True)
    own = describe(Source("labels.npz", **said), labels, None)  # a recipe of one's own need not prove it
    assert own["provenance"] == "Made here."
    assert (ours["count"], ours["molecules"], ours["heavy_atoms"]) == (30, 10, [3, 7])
    assert ours["kinds"] == {"mmff": 20, "relaxed": 10}
