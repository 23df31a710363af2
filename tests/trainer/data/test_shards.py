"""Shards of other formats, and of molecules that are there twice."""

import numpy as np
import pytest

from skmol3d.trainer.data.pack import pack_corpus
from skmol3d.trainer.data.shards import read_shards


def test_shards_of_an_older_format(data_root, tmp_path):
    with np.load(data_root / "corpus" / "shard_0000.npz") as shard:
        np.savez(tmp_path / "shard_0000.npz", **{k: v for k, v in shard.items() if k != "membership"})
    with pytest.raises(ValueError, match=r"shard_0000.npz: no membership; pack it again"):
        read_shards(tmp_path)


def test_repeated_molecules_are_on_one_side_of_a_split(tmp_path):
    # The second is the first in another spelling, the fourth the mirror image of the third.
    smiles = ["CCCCO", "OCCCC", "C[C@H](N)CCO", "C[C@@H](N)CCO", "CCCCN", "CCCCO"]
    (tmp_path / "a.smi").write_text("\n".join(smiles) + "\n")
    pack_corpus(tmp_path / "a.smi", tmp_path / "out")
    assert read_shards(tmp_path / "out").group.tolist() == [0, 0, 2, 3, 4, 0]
