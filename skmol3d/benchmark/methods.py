"""Named methods for the comparison: the public featurizers, RDKit's descriptors and exact counts."""

import ast
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from joblib import Memory, Parallel, delayed
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from skmol3d.structures import StructureError, read_molecule
from skmol3d.structures.hydrogens import without_hydrogens

if TYPE_CHECKING:
    from skmol3d.featurizers import MoleculeFeaturizer

METHODS = {
    "rem3di": "REM3DIFeaturizer: rem3di-small, or rem3di:CHECKPOINT",
    "potential": "PotentialFeaturizer: ec-xtb-small, or potential:CHECKPOINT",
    "ecfp": "ECFPFeaturizer: ECFP4, 2048 bits",
    "ecfp-count": "ECFPFeaturizer: ECFP4, 2048 counts",
    "rdkit2d": "all RDKit 2D descriptors",
    "ecfp-count+rdkit2d": "both side by side",
    "words2d": "RDKit's counts of Morgan environments (1024 columns) and of pharmacophoric ones (1024), "
    "radius 0 to 2",
    "words2d+rdkit2d": "both side by side",
}
WORD_COLUMNS = 1024  # of either kind of environment
CHUNK = 512  # molecules whose descriptors and words are kept together
DESCRIPTOR_BOUND = 1e6  # a few descriptors (Ipc) grow exponentially with size and would rule every scaling


def make_method(
    name: str, n_jobs: int | None = None, cache_dir: str | Path | None = None, verbose: int = 0
) -> "MoleculeFeaturizer | Callable[[list[str]], NDArray[np.float32]]":
    """Return a method for `skmol3d.benchmark.evaluate`.

    Parameters
    ----------
    name : str
        One of `METHODS`; ``rem3di`` and ``potential`` take a checkpoint after a colon: a bundled name, a
        folder or a Hub id. Parameters of a featurizer follow as ``@name=value``: with
        ``rem3di@n_conformers=5@random_state=1`` conformers are more, and others.
    n_jobs : int, optional
        Worker processes of the featurizers.
    cache_dir : path, optional
        Folder in which featurizers keep conformers and rows, and RDKit its rows, for later runs.
    verbose : int
        Whether featurizers show a progress bar.

    Returns
    -------
    MoleculeFeaturizer or function
        From SMILES to features; a molecule without features is a row of NaN.

    Raises
    ------
    ValueError
        For an unknown name or parameter.
    skmol3d.hub.CheckpointError
        If there is no such checkpoint, or it is damaged.
    """
    from skmol3d.featurizers import ECFPFeaturizer, PotentialFeaturizer, REM3DIFeaturizer

    name, *settings = re.split(r"@(?=\w+=)", name)
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
        return _with_parameters(featurizer, settings)
    counts = ECFPFeaturizer(radius=2, n_bits=2048, count=kind != "ecfp", n_jobs=n_jobs, errors="nan")
    if kind in ("ecfp", "ecfp-count"):
        return _with_parameters(counts, settings)
    if settings:
        raise ValueError(f"{kind} has no parameters, got {', '.join(settings)}")
    keep = Memory(cache_dir, verbose=0, compress=True).cache  # keeps nothing where there is no folder
    functions = {"ecfp-count": counts.transform}
    for part, function in {"rdkit2d": rdkit_descriptors, "words2d": rdkit_words}.items():
        functions[part] = partial(_in_chunks, keep(function), n_jobs)
    parts = [functions[part] for part in kind.split("+")]
    return lambda smiles: np.hstack([part(smiles) for part in parts])


def _in_chunks(function: Callable, n_jobs: int | None, smiles: list[str]) -> NDArray[np.float32]:
    """Rows of a function that may be cached: descriptors of a panel take half an hour, and may be stopped."""
    starts = range(0, len(smiles), CHUNK)
    parts = (smiles[start : start + CHUNK] for start in starts)
    return np.vstack(Parallel(n_jobs=n_jobs if len(starts) > 1 else 1)(map(delayed(function), parts)))


def _with_parameters(featurizer: "MoleculeFeaturizer", settings: list[str]) -> "MoleculeFeaturizer":
    """The featurizer with these parameters, fitted: a misspelt one shows before other methods have run."""
    try:
        return featurizer.set_params(**dict(map(_parameter, settings))).fit([])
    except TypeError as error:  # a wrong type is a mistake of who wrote the name
        raise ValueError(f"{', '.join(settings)}: {error}") from error


def _parameter(text: str) -> tuple[str, Any]:
    """Name and value of a parameter written as name=value; what is no literal of Python is a string."""
    name, _, value = text.partition("=")
    value = {"true": "True", "false": "False", "none": "None"}.get(value, value)
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def rdkit_words(smiles: list[str]) -> NDArray[np.float32]:
    """Counts of Morgan environments of radius 0, 1 and 2 around every atom, folded; NaN for a bad SMILES.

    The first half of the columns is over atom types (as in ECFP), the second over pharmacophoric features
    (FCFP). Environments that repeat others are counted as well, so that each atom counts three times in
    either half.
    """
    from rdkit.Chem import rdFingerprintGenerator

    generators = [
        rdFingerprintGenerator.GetMorganGenerator(
            radius=2,
            fpSize=WORD_COLUMNS,
            includeRedundantEnvironments=True,
            atomInvariantsGenerator=invariants,
        )
        for invariants in (None, rdFingerprintGenerator.GetMorganFeatureAtomInvGen())
    ]

    def counts(molecule: Chem.Mol) -> NDArray:
        return np.concatenate([generator.GetCountFingerprintAsNumPy(molecule) for generator in generators])

    return _rows(smiles, 2 * WORD_COLUMNS, counts).astype(np.float32)


def rdkit_descriptors(smiles: list[str]) -> NDArray[np.float32]:
    """All RDKit 2D descriptors, clipped; NaN where one is undefined, rows of NaN where a SMILES is not valid.

    The heads replace single missing values by medians of the training part.
    """
    from rdkit.Chem import Descriptors

    names = [name for name, _ in Descriptors._descList]

    def values(molecule: Chem.Mol) -> list[float]:
        found = Descriptors.CalcMolDescriptors(molecule, missingVal=np.nan, silent=True)
        return [found[name] for name in names]

    rows = _rows(smiles, len(names), values)
    rows[np.isinf(rows)] = np.nan
    return rows.clip(-DESCRIPTOR_BOUND, DESCRIPTOR_BOUND).astype(np.float32)


def _rows(smiles: list[str], columns: int, function: Callable) -> NDArray[np.float64]:
    """What a function makes of molecules without explicit hydrogens; NaN for a bad SMILES."""
    rows = np.full((len(smiles), columns), np.nan)
    with rdBase.BlockLogs():
        for row, text in zip(rows, smiles, strict=True):
            try:
                molecule = read_molecule(text)
            except StructureError:
                continue
            assert molecule.mol is not None  # it came from text
            row[:] = function(without_hydrogens(molecule.mol))
    return rows
