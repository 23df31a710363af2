"""Molecules some of which fail, and a pipeline that gives NaN for these."""

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmol3d import ECFPFeaturizer

SMILES = ["CCO", "C(", "CCCO", "CCN", "CCCN", None, "c1ccccc1", "Cc1ccccc1", "CC=O", "CCC=O", "CC#N", "*C"]
FAILED = np.array([smiles in ("C(", None, "*C") for smiles in SMILES])
TARGET = np.arange(len(SMILES), dtype=float) ** 1.5
CLASSES = np.array(["acid", "base"])[np.arange(len(SMILES)) // 2 % 2]
GOOD = [smiles for smiles, failed in zip(SMILES, FAILED, strict=True) if not failed]
IN_SCORE = "ignore:.* rows failed and are not in the score"


def ecfp(head, **params):
    return make_pipeline(ECFPFeaturizer(n_bits=64, errors="nan", **params), StandardScaler(), head)
