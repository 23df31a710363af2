"""Molecular crystals as rows: an embedding of the molecule, and twelve numbers of cell and pose."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from numbers import Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from skmol3d.featurizers.base import MoleculeFeaturizer, StructureFeaturizer
from skmol3d.structures import iter_inputs

if TYPE_CHECKING:
    from skmol3d.crystals import RigidMolecule  # with its module comes spglib, which is an extra

Floats = NDArray[np.float64]

BASELINES = {"none": (), "volume": ("volume",), "inertia": ("inertia_x", "inertia_y", "inertia_z")}
"""Descriptions of the molecule that the paper compares with, and their columns."""

MEANS = np.array([1.2037] * 3 + [1.5656, 1.5728, 1.5579] + [0.5] * 3 + [0.0, 0.0, np.pi / 2])
SCALES = np.array([0.6088] * 3 + [0.2339, 0.2075, 0.2598] + [0.289] * 3 + [2.08, 2.08, 1.38])
"""Of the parameters, lengths in molecular radii: the constants in the code of the paper's authors."""

BLOCK = 16
"""Crystals sent to a worker process at a time."""

TOGETHER = 1024
"""Molecules that are described together."""

SAME = 1e-3
"""Å; coordinates that differ by less are equal when atoms are put in order."""


class CrystalFeaturizer(StructureFeaturizer):
    """Molecular crystals as rows: an embedding of the molecule beside twelve cell and pose parameters.

    A crystal of one independent molecule is its molecule, its space group and twelve numbers: the lengths
    and angles of the cell, and the molecule's place and orientation in it (arXiv:2405.13791, section 4.4 and
    appendix F). A row holds the molecule as it is described in its standard orientation, then the twelve
    numbers, standardised:

    - lengths over the radius of the molecule (its centroid's distance to the farthest atom), minus 1.2037,
      over 0.6088;
    - angles (rad) minus 1.5656, 1.5728, 1.5579, over 0.2339, 0.2075, 0.2598;
    - fractional coordinates of the centroid minus 0.5, over 0.289;
    - the rotation vector (rad) from the standard orientation minus 0, 0, π/2, over 2.08, 2.08, 1.38.

    These constants are those of the authors' code, so that there is nothing to fit. The columns of the
    molecule come as they are: put a `StandardScaler` before a regressor that needs one scale.

    `transform` takes any collection whose items are `ase.Atoms`, pymatgen Structures, `MolecularCrystal`
    objects (taken as they describe themselves), or paths to .cif, .extxyz or .xyz files of one crystal each;
    or a single path to such a file, for all of its crystals.

    Rows do not depend on the cell in which a crystal is given, its origin and orientation, the order of the
    atoms, or which of the symmetry copies were listed; see `MolecularCrystal`, which also says how symmetric
    molecules are oriented. The space group is not part of a row: compare crystals of one group (as the paper
    does with P1), or add it as a column.

    Molecules on symmetry elements (Z' < 1) are described as a whole. Crystals of several independent
    molecules (Z' > 1, co-crystals, hydrates, salts) count as failed, since a row holds one, and so do those
    of single atoms, which have no radius. Needs the extra `crystals`.

    Parameters
    ----------
    molecule : {"mo3enet", "none", "volume", "inertia"} or featurizer, default="mo3enet"
        Columns that describe the molecule:

        - "mo3enet": the vector rows of `Mo3ENetFeaturizer` with `model`.
        - "none": no column.
        - "volume": that of its van der Waals spheres (Å³), exact to about 2 %.
        - "inertia": its principal inertia vectors (Å²). In the standard orientation they lie along x, y and
          z, so three numbers hold them: the moments of inertia of the heavy atoms with unit masses (of all
          atoms if the heavy ones are fewer than three, or in a line), ascending, the first one negative if
          the frame is left-handed (`RigidMolecule.handedness`).
        - A featurizer of molecules, such as ``REM3DIFeaturizer()`` or
          ``Mo3ENetFeaturizer(output="scalar", device="cuda")``: its rows for the molecule in its standard
          orientation, given as `ase.Atoms`. Those that need bonds (ECFP) do not work. Its own `errors` and
          `verbose` do not count.
    model, revision, device, batch_size, cache_dir
        Parameters of `Mo3ENetFeaturizer`, for ``molecule="mo3enet"`` alone: a featurizer brings its own. The
        crystals themselves are read anew each time.
    symprec : float, default=0.01
        Å by which atoms may miss their symmetric places. Loosely relaxed crystals need 0.1 to be recognised
        as symmetric.
    n_jobs : int or None, default=None
        Worker processes that read crystals, as in joblib. Rows do not depend on it.
    errors : {"raise", "nan"}, default="raise"
        "raise" lists all crystals that failed in one `FeaturizationError` after trying all; "nan" keeps them
        as rows of NaN and describes them in `failures_`.
    verbose : int, default=0
        Show a progress bar if not 0.

    Attributes
    ----------
    molecule_ : featurizer
        Set by `fit`, unless `molecule` is one of the baselines: the featurizer of the molecules, with its
        checkpoint pinned.
    failures_ : DataFrame with columns index, input, reason
        Failures of the last `transform`.

    References
    ----------
    M. Kilgour et al., https://doi.org/10.48550/arXiv.2405.13791

    Examples
    --------
    >>> from ase.spacegroup import crystal
    >>> from skmol3d import CrystalFeaturizer
    >>> atoms = crystal("CO", [(0, 0, 0), (0.118,) * 3], spacegroup=205, cellpar=[5.64] * 3 + [90] * 3)
    >>> CrystalFeaturizer(molecule="inertia").fit_transform([atoms]).shape
    (1, 15)
    """

    item = "crystal"

    def __init__(
        self,
        molecule: str | MoleculeFeaturizer = "mo3enet",
        model: str = "mo3enet-small",
        revision: str | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        symprec: float = 0.01,
        n_jobs: int | None = None,
        errors: str = "raise",
        cache_dir: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.molecule = molecule
        self.model = model
        self.revision = revision
        self.device = device
        self.batch_size = batch_size
        self.symprec = symprec
        self.n_jobs = n_jobs
        self.errors = errors
        self.cache_dir = cache_dir
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and pin the molecules' checkpoint; nothing is learned from the data.

        Parameters
        ----------
        X : iterable of crystals
            Not looked at (a generator is left untouched).
        y : object
            Not looked at.

        Returns
        -------
        self

        Raises
        ------
        skmol3d.hub.CheckpointError
            If the checkpoint cannot be found or is damaged.
        """
        self._check_params()
        self.__dict__.pop("molecule_", None)
        made = self._molecule_featurizer()
        if made is not None:
            self.molecule_ = made.fit(X)
        return self

    def _check_params(self) -> None:
        super()._check_params()
        if isinstance(self.molecule, StructureFeaturizer):
            if not isinstance(self.molecule, MoleculeFeaturizer):
                raise ValueError(f"molecule must take molecules; {type(self.molecule).__name__} does not")
        elif self.molecule not in ("mo3enet", *BASELINES):
            raise ValueError(
                "molecule must be one of 'mo3enet', 'none', 'volume', 'inertia', or a featurizer of"
                f" molecules; got {self.molecule!r}"
            )
        if not isinstance(self.symprec, Real) or not float(self.symprec) > 0:
            raise ValueError(f"symprec must be a positive number (Å); got {self.symprec!r}")

    def _molecule_featurizer(self) -> MoleculeFeaturizer | None:
        """What describes the molecules, or None for a baseline."""
        made: MoleculeFeaturizer
        if isinstance(self.molecule, MoleculeFeaturizer):
            made = clone(self.molecule).set_params(errors="nan", verbose=0)
        elif self.molecule == "mo3enet":
            from skmol3d.featurizers.mo3enet import Mo3ENetFeaturizer

            made = Mo3ENetFeaturizer(
                model=self.model,
                revision=self.revision,
                output="vector",
                device=self.device,
                batch_size=self.batch_size,
                errors="nan",
                cache_dir=self.cache_dir,
            )
        else:
            return None
        fitted = getattr(self, "molecule_", None)
        # Otherwise set_params came after fit: the new parameters count.
        same = type(fitted) is type(made) and fitted.get_params() == made.get_params()
        return fitted if same else made

    def _feature_names(self) -> list[str]:
        from skmol3d.crystals import PARAMETERS

        made = self._molecule_featurizer()
        names = BASELINES[str(self.molecule)] if made is None else made.get_feature_names_out()
        return [f"crystal_{name}" for name in (*names, *PARAMETERS)]

    def _n_features(self) -> int:
        return len(self._feature_names())

    def _iter_inputs(self, X: Any) -> Iterator[object]:
        from skmol3d.crystals import iter_crystals
        from skmol3d.crystals.reading import FORMATS
        from skmol3d.structures.reading import file_suffix

        if isinstance(X, os.PathLike) or (isinstance(X, str) and file_suffix(X) in FORMATS):
            return iter_crystals(X)
        if hasattr(X, "frac_coords"):  # a pymatgen Structure is a sequence of sites
            raise TypeError(f"got a single {type(X).__name__}; pass a list of them")
        return iter_inputs(X)

    def _compute(
        self, inputs: list[object], rows: NDArray[np.float32], advance: Callable[[int], Any]
    ) -> dict[int, str]:
        from joblib import Parallel, delayed

        starts = range(0, len(inputs), BLOCK)
        blocks = Parallel(n_jobs=self.n_jobs if len(starts) > 1 else 1, return_as="generator")(
            delayed(_read)(inputs[start : start + BLOCK], float(self.symprec)) for start in starts
        )
        made = self._molecule_featurizer()
        reasons: dict[int, str] = {}
        molecules: dict[int, RigidMolecule] = {}
        for start, block in zip(starts, blocks, strict=True):
            for i, found in enumerate(block, start):
                if isinstance(found, str):
                    reasons[i] = found
                else:
                    molecules[i], rows[i, -len(MEANS) :] = found
                if made is None or i in reasons:
                    advance(1)
        places = np.array(list(molecules), dtype=int)
        if made is not None:
            described, refused = _described(made, list(molecules.values()), advance)
        else:
            described, refused = _baselines(str(self.molecule), list(molecules.values()))
        rows[places, : -len(MEANS)] = described
        for k, reason in refused.items():
            reasons[int(places[k])] = f"its molecule: {reason}"
            rows[places[k]] = np.nan
        return reasons


def _read(values: list[object], symprec: float) -> list[tuple[RigidMolecule, Floats] | str]:
    """Molecules and standardised parameters [12] of crystals, or the reasons why there are none."""
    from skmol3d.crystals import CrystalError, MolecularCrystal

    results: list[tuple[RigidMolecule, Floats] | str] = []
    for value in values:
        try:
            crystal = value if isinstance(value, MolecularCrystal) else MolecularCrystal.read(value, symprec)
            results.append(_describe(crystal))
        except CrystalError as error:
            results.append(str(error))
    return results


def _describe(crystal: Any) -> tuple[RigidMolecule, Floats]:
    from ase import Atoms

    from skmol3d.crystals import CrystalError

    if len(crystal.molecules) > 1:
        formulas = [Atoms(m.numbers).get_chemical_formula() for m in crystal.molecules]
        raise CrystalError(f"{len(formulas)} independent molecules ({', '.join(formulas)}); a row holds one")
    molecule = crystal.molecules[0]
    if len(molecule.numbers) == 1:
        raise CrystalError("its molecules are single atoms, which have no radius")
    parameters = crystal.parameters[0].copy()
    parameters[:3] /= np.linalg.norm(molecule.positions, axis=1).max()
    return molecule, (parameters - MEANS) / SCALES


def _as_atoms(molecule: RigidMolecule) -> Any:
    """The molecule in its standard orientation, with the atoms ordered by element, then by place."""
    from ase import Atoms

    # Featurizers may break a molecule's symmetry by the order of its atoms.
    keys = []
    for column in molecule.positions.T:
        order = np.argsort(column)
        ranks = np.empty(len(column), int)
        ranks[order] = np.cumsum(np.diff(column[order], prepend=column[order[0]]) > SAME)
        keys.append(ranks)
    order = np.lexsort([*keys[::-1], molecule.numbers])
    return Atoms(molecule.numbers[order], molecule.positions[order])


def _described(
    featurizer: MoleculeFeaturizer, molecules: list[RigidMolecule], advance: Callable[[int], Any]
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Rows [n, columns] of molecules, and the reasons of those that are NaN."""
    if not molecules:
        return np.empty((0, len(featurizer.get_feature_names_out())), np.float32), {}
    featurizer = copy.copy(featurizer)  # its failures are those of this call, whatever other threads do
    parts = []
    for rows in featurizer.iter_transform([_as_atoms(m) for m in molecules], TOGETHER):
        parts.append(rows)
        advance(len(rows))
    failed = featurizer.failures_
    return np.concatenate(parts), dict(zip(failed["index"], failed["reason"], strict=True))


def _baselines(name: str, molecules: list[RigidMolecule]) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Rows [n, columns] of one of the `BASELINES`, and the reasons of those that are NaN."""
    from skmol3d.crystals import CrystalError
    from skmol3d.crystals.pose import orienting_points

    rows = np.full((len(molecules), len(BASELINES[name])), np.nan, np.float32)
    reasons: dict[int, str] = {}
    for i, molecule in enumerate(molecules):
        if name == "inertia":
            squares = (orienting_points(molecule.numbers, molecule.positions) ** 2).sum(0)
            rows[i] = (squares.sum() - squares) * [molecule.handedness, 1, 1]
        elif name == "volume":
            from skmol3d.crystals.energies import pad_molecules
            from skmol3d.crystals.synthesis import molecular_volumes

            try:
                rows[i] = molecular_volumes(*pad_molecules([(molecule.numbers, molecule.positions)])).item()
            except CrystalError as error:
                reasons[i] = str(error)
    return rows, reasons
