"""Shards of other formats."""

import numpy as np
import pytest

from skmol3d.trainer.data.shards import read_shards


def test_shards_of_an_older_format(data_root, tmp_path):
    with np.load(data_root / "corpus" / "shard_0000.npz") as shard:
        np.savez(tmp_path / "shard_0000.npz", **{k: v for k, v in shard.items() if k != "membership"})
    with pytest.raises(ValueError, match=r"shard_0000.npz: no membership; pack it again"):
        read_shards(tmp_path)
