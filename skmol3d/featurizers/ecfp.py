"""Extended-connectivity fingerprints, the baseline."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from skmol3d.featurizers.base import MoleculeFeaturizer
from skmol3d.featurizers.parameters import check_choice, check_integer
from skmol3d.structures import StructureError, read_molecule

BLOCK = 128
"""Molecules sent to a worker process at a time."""


class ECFPFeaturizer(MoleculeFeaturizer):
    """Extended-connectivity (Morgan) fingerprints from RDKit's generator.

    Every atom's surroundings up to `radius` bonds are hashed into `n_bits` columns. The fingerprint is
    that of the canonical SMILES, with implicit hydrogens, of what `standardise` keeps. It needs a molecular
    graph: bare geometries (XYZ, ASE) are reported as failures.

    Parameters
    ----------
    radius : int, default=2
        In bonds; 2 gives ECFP4.
    n_bits : int, default=2048
        Number of columns.
    count : bool, default=False
        Count the environments instead of marking their presence.
    chirality : bool, default=False
        Include stereocentres in the hashed environments.
    sparse_output : bool, default=False
        Return a `scipy.sparse.csr_array`. With ``errors="nan"`` a failed molecule is a row of `n_bits`
        stored NaN.
    standardise : {"parent", "neutral", None}, default="parent"
        What of a salt or mixture is the molecule: its largest organic fragment, metals drawn as covalent
        salts disconnected; the same made neutral by adding or removing protons; or all of it as drawn. The
        rules: `skmol3d.structures.standardise`.
    n_jobs : int or None, default=None
        Worker processes, as in joblib. Rows do not depend on it.
    errors : {"raise", "nan"}, default="raise"
        "raise" lists all molecules that failed in one `FeaturizationError`; "nan" keeps them as rows of
        NaN and describes them in `failures_`.
    verbose : int, default=0
        Show a progress bar if not 0.

    Attributes
    ----------
    failures_ : DataFrame with columns index, input, reason
        Failures of the last `transform`.

    References
    ----------
    Rogers and Hahn, J. Chem. Inf. Model. 50, 742 (2010), https://doi.org/10.1021/ci100050t

    Examples
    --------
    >>> from skmol3d import ECFPFeaturizer
    >>> X = ECFPFeaturizer().fit_transform(["CCO", "OCC", "c1ccccc1"])
    >>> X.shape, X.sum(axis=1).tolist()
    ((3, 2048), [6.0, 6.0, 3.0])
    """

    def __init__(
        self,
        radius: int = 2,
        n_bits: int = 2048,
        count: bool = False,
        chirality: bool = False,
        sparse_output: bool = False,
        standardise: str | None = "parent",
        n_jobs: int | None = None,
        errors: str = "raise",
        verbose: int = 0,
    ) -> None:
        self.radius = radius
        self.n_bits = n_bits
        self.count = count
        self.chirality = chirality
        self.sparse_output = sparse_output
        self.standardise = standardise
        self.n_jobs = n_jobs
        self.errors = errors
        self.verbose = verbose

    def _check_params(self) -> None:
        super()._check_params()
        check_integer("radius", self.radius, 0)
        check_integer("n_bits", self.n_bits, 1)
        for name in ("count", "chirality", "sparse_output"):
            check_choice(name, getattr(self, name), (True, False))

    def _n_features(self) -> int:
        return self.n_bits

    def integer_columns(self) -> NDArray[np.bool_]:
        return ~super().integer_columns()

    def _feature_names(self) -> list[str]:
        return [f"ecfp_{i}" for i in range(self.n_bits)]

    def _compute(
        self, inputs: list[object], rows: NDArray[np.float32], advance: Callable[[int], Any]
    ) -> dict[int, str]:
        from joblib import Parallel, delayed

        reasons: dict[int, str] = {}
        starts = range(0, len(inputs), BLOCK)
        radius, n_bits = int(self.radius), int(self.n_bits)  # RDKit takes no integers of NumPy
        settings = (radius, n_bits, self.count, self.chirality, self.standardise)
        blocks = Parallel(n_jobs=self.n_jobs if len(starts) > 1 else 1, return_as="generator")(
            delayed(_fingerprints)(inputs[start : start + BLOCK], *settings) for start in starts
        )
        for start, block in zip(starts, blocks, strict=True):
            for i, fingerprint in enumerate(block, start):
                if isinstance(fingerprint, str):
                    reasons[i] = fingerprint
                else:
                    rows[i] = fingerprint
            advance(len(block))
        return reasons

    def _pack(self, rows: NDArray[np.float32]) -> Any:
        return scipy.sparse.csr_array(rows) if self.sparse_output else rows

    def _assemble(self, chunks: Iterable[Any], total: int | None) -> Any:
        if self.sparse_output:
            return scipy.sparse.vstack(list(chunks), format="csr")
        return super()._assemble(chunks, total)


def _fingerprints(
    inputs: list[object], radius: int, n_bits: int, count: bool, chirality: bool, standardise: str | None
) -> list[NDArray[Any] | str]:
    """Fingerprints, or the reasons why there are none."""
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator

    from skmol3d.structures.errors import rdkit_silence
    from skmol3d.structures.hydrogens import without_hydrogens

    generator = rdFingerprintGenerator.GetMorganGenerator(
        radius=radius, fpSize=n_bits, includeChirality=bool(chirality)
    )
    compute = generator.GetCountFingerprintAsNumPy if count else generator.GetFingerprintAsNumPy
    results: list[NDArray[Any] | str] = []
    for value in inputs:
        try:
            smiles = read_molecule(value, standardise).smiles
        except StructureError as error:
            results.append(str(error))
            continue
        if smiles is None:
            results.append("fingerprints need a molecular graph; this is a bare geometry")
        else:
            with rdkit_silence():  # warnings about hydrogens that stay, such as those of H2
                results.append(compute(without_hydrogens(Chem.MolFromSmiles(smiles))))
    return results
