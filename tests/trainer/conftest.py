"""Synthetic labels and a packed corpus of small molecules."""

import pandas as pd
import pytest
from recipe_examples import ENCODER, POTENTIAL, run
from trainer_examples import SMILES, write_labels


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    """Folder with labels.npz, smiles.csv, targets.npz, corpus/shard_0000.npz and probe/length.npz."""
    from skmol3d.trainer.data.pack import pack_corpus, pack_probes, pack_xtb

    root = tmp_path_factory.mktemp("data")
    write_labels(root / "labels.npz", SMILES)
    pd.DataFrame({"row": range(len(SMILES)), "smiles": SMILES}).to_csv(root / "smiles.csv", index=False)
    pack_xtb(root / "labels.npz", root / "smiles.csv", root / "targets.npz")
    pack_corpus(root / "smiles.csv", root / "corpus", count=len(SMILES), largest=20, n_jobs=1, seed=0)
    (root / "tasks").mkdir()
    split = ["train"] * 8 + ["test"] * 2
    table = pd.DataFrame({"smiles": SMILES, "y": [len(s) / 10 for s in SMILES], "split": split})
    table.to_csv(root / "tasks" / "length.csv", index=False)
    pack_probes(root / "tasks", root / "probe", None, count=6, n_jobs=1, seed=0)
    return root


@pytest.fixture(scope="session")
def trained(data_root, tmp_path_factory):
    """Folder with the checkpoints tiny-potential and tiny-rem3di and their logs."""
    out = tmp_path_factory.mktemp("runs")
    for recipe in (POTENTIAL, ENCODER):
        run(recipe, data_root, out)
    return out
