"""Synthetic labels and a packed corpus of small molecules."""

import pandas as pd
import pytest
from trainer_examples import SMILES, write_labels


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """Folder with labels.npz, smiles.csv, targets.npz and corpus/shard_0000.npz."""
    from skmol3d.trainer.pack import pack_corpus, pack_xtb

    root = tmp_path_factory.mktemp("data")
    write_labels(root / "labels.npz", SMILES)
    pd.DataFrame({"row": range(len(SMILES)), "smiles": SMILES}).to_csv(root / "smiles.csv", index=False)
    pack_xtb(root / "labels.npz", root / "smiles.csv", root / "targets.npz")
    pack_corpus(root / "smiles.csv", root / "corpus", count=len(SMILES), largest=20, n_jobs=1, seed=0)
    return root
