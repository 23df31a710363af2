"""Small molecules with targets, and settings that learn them in seconds."""

import numpy as np

SMILES = ["C" * n + end for n in range(1, 8) for end in ("O", "N", "C(=O)O", "F")]
TARGET = np.array([float(len(smiles)) for smiles in SMILES])
LABELS = np.where([smiles.endswith("O") for smiles in SMILES], "polar", "apolar")
QUICK = {
    "n_estimators": 2,
    "epochs": 3,
    "width": 8,
    "rank": 2,
    "batch_size": 8,
    "patience": 9,
    "device": "cpu",
}
