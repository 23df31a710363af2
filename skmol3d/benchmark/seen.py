"""Molecules that a checkpoint's training has met, under labels of another kind than a task's.

``seen.csv`` lists, for the checkpoints that ship, those of our panel's molecules that were in the training
set of their potential; `skmol3d.benchmark.experiments.seen_molecules` makes it.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rdkit import Chem, rdBase

TABLE = Path(__file__).with_name("seen.csv")


def seen(model: str, smiles: Sequence[str]) -> NDArray[np.bool_]:
    """Which molecules [n] a checkpoint's training has met, stereo ignored; none if it is not listed."""
    known = _known().get(model)
    if known is None:
        return np.zeros(len(smiles), np.bool_)
    return np.array([without_stereo(text) in known for text in smiles], np.bool_)


@lru_cache(maxsize=2**17)  # every method asks for the same molecules
def without_stereo(smiles: str) -> str | None:
    """Canonical SMILES without stereo; None if there is no such molecule."""
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    return None if mol is None else Chem.MolToSmiles(mol, isomericSmiles=False)


@cache
def _known() -> dict[str, frozenset[str]]:
    return {str(model): frozenset(part["smiles"]) for model, part in pd.read_csv(TABLE).groupby("model")}
