"""Named methods for the comparison: the public featurizers, and RDKit's descriptors."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from skmol3d.structures import StructureError, read_molecule

if TYPE_CHECKING:
    from skmol3d.featurizers import MoleculeFeaturizer

METHODS = {
    "rem3di": "REM3DIFeaturizer: rem3di-small, or rem3di:CHECKPOINT; heads choose among its blocks",
    "potential": "PotentialFeaturizer: et-xtb-small, or potential:CHECKPOINT",
    "ecfp": "ECFPFeaturizer: ECFP4, 2048 bits",
    "ecfp-count": "ECFPFeaturizer: ECFP4, 2048 counts",
    "rdkit2d": "all RDKit 2D descriptors",
    "ecfp-count+rdkit2d": "both side by side",
}
DESCRIPTOR_BOUND = 1e6  # a few descriptors (Ipc) grow exponentially with size and would rule every scaling


def make_method(
    name: str, n_jobs: int | None = None, cache_dir: str | Path | None = None, verbose: int = 0
) -> "MoleculeFeaturizer | Callable[[list[str]], NDArray[np.float32]]":
    """Return a method for `skmol3d.benchmark.evaluate`.

    Parameters
    ----------
    name : str
        One of `METHODS`; ``rem3di`` and ``potential`` take a checkpoint after a colon: a bundled name, a
        folder or a Hub id.
    n_jobs : int, optional
        Worker processes of the featurizers.
    cache_dir : path, optional
        Folder in which featurizers keep conformers and rows for later runs.
    verbose : int
        Whether featurizers show a progress bar.

    Returns
    -------
    MoleculeFeaturizer or function
        From SMILES to features; a molecule without features is a row of NaN.

    Raises
    ------
    ValueError
        For an unknown name.
    skmol3d.hub.CheckpointError
        If there is no such checkpoint, or it is damaged.
    """
    from skmol3d.featurizers import ECFPFeaturizer, PotentialFeaturizer, REM3DIFeaturizer

    kind, _, checkpoint = name.partition(":")
    encoders = {"rem3di": REM3DIFeaturizer, "potential": PotentialFeaturizer}
    if kind not in METHODS or (checkpoint and kind not in encoders):
        raise ValueError(f"unknown method {name!r}; known methods: {', '.join(METHODS)}")
    if kind in encoders:
        featurizer = encoders[kind](
            n_jobs=n_jobs,
            errors="nan",
            cache_dir=None if cache_dir is None else str(cache_dir),
            verbose=verbose,
        )
        if checkpoint:
            featurizer.set_params(model=checkpoint)
        return featurizer.fit([])  # a misspelt checkpoint shows now, not after the methods before it have run
    if kind == "rdkit2d":
        return rdkit_descriptors
    counts = ECFPFeaturizer(radius=2, n_bits=2048, count=kind != "ecfp", n_jobs=n_jobs, errors="nan")
    if kind == "ecfp-count+rdkit2d":
        return lambda smiles: np.hstack([counts.transform(smiles), rdkit_descriptors(smiles)])
    return counts


def rdkit_descriptors(smiles: list[str]) -> NDArray[np.float32]:
    """All RDKit 2D descriptors, clipped; NaN where one is undefined, rows of NaN where a SMILES is not valid.

    The heads replace single missing values by medians of the training part.
    """
    return _rdkit_descriptors(tuple(smiles)).copy()


@lru_cache(maxsize=1)  # two methods want them, and they take minutes
def _rdkit_descriptors(smiles: tuple[str, ...]) -> NDArray[np.float32]:
    from rdkit.Chem import Descriptors

    names = [name for name, _ in Descriptors._descList]
    rows = np.full((len(smiles), len(names)), np.nan)
    with rdBase.BlockLogs():
        for row, text in zip(rows, smiles, strict=True):
            try:
                molecule = read_molecule(text)
            except StructureError:
                continue

            values = Descriptors.CalcMolDescriptors(
                Chem.RemoveHs(molecule.mol), missingVal=np.nan, silent=True
            )
            row[:] = [values[name] for name in names]
    rows[np.isinf(rows)] = np.nan
    return rows.clip(-DESCRIPTOR_BOUND, DESCRIPTOR_BOUND).astype(np.float32)
