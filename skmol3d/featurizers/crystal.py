"""Molecular crystals as rows: an embedding of the molecules, and numbers of cell and poses."""

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
from skmol3d.featurizers.crystal_rows import (
    BASELINES,
    GROUP,
    SEVERAL,
    Described,
    as_atoms,
    baselines,
    formula,
    read_crystals,
)
from skmol3d.structures import iter_inputs

if TYPE_CHECKING:
    from skmol3d.crystals import RigidMolecule  # with its module comes spglib, which is an extra

EMBEDDINGS = {"mo3enet": "mo3enet-druglike", "rem3di": "rem3di-small"}
"""Embeddings of molecules by name, and their default checkpoints."""

BLOCK = 16
"""Crystals sent to a worker process at a time."""

TOGETHER = 1024
"""Molecules that are described together."""


class CrystalFeaturizer(StructureFeaturizer):
    """Molecular crystals as rows: an embedding of the molecules beside numbers of cell and poses.

    A crystal of one independent molecule is its molecule, its space group and twelve numbers: the lengths
    and angles of the cell, and the molecule's place and orientation in it (arXiv:2405.13791, section 4.4 and
    appendix F). A row holds the molecule as it is described in its standard orientation, then the twelve
    numbers, standardised, p:

    - lengths over the radius of the molecule (its centroid's distance to the farthest atom), minus 1.2037,
      over 0.6088;
    - angles (rad) minus 1.5656, 1.5728, 1.5579, over 0.2339, 0.2075, 0.2598;
    - fractional coordinates of the centroid minus 0.5, over 0.289;
    - the rotation vector (rad) from the standard orientation minus 0, 0, π/2, over 2.08, 2.08, 1.38.

    These constants are those of the authors' code, so that there is nothing to fit. The columns of the
    molecule come as they are: put a `StandardScaler` before a regressor that needs one scale.

    **Several independent molecules** (Z' > 1, co-crystals, hydrates, salts) are pooled. With n_i of the Z
    molecules in the cell copies of molecule i, w_i = n_i / Z, e_i its embedding, and the largest of the radii
    r for all of them, a row begins with the means ē = Σ w_i e_i and p̄ = Σ w_i p_i, which are e and p if there
    is one molecule. Then come thirteen columns:

    - ``spread_u`` to ``spread_theta_z``: (Σ w_i (p_i - p̄)²)^(1/2) of places and rotation vectors;
    - ``molecules``: the number of independent molecules; ``z_prime``: Z over the operations of the group,
      below one for molecules on symmetry elements, which are described as a whole;
    - ``spacing``: s / r with s = (V/Z)^(1/3) and the cell's volume V; ``neighbours``, ``distance``,
      ``alignment``, ``others``: how the molecules lie to each other, see `surroundings`.

    A mean does not say which molecule is where: two crystals that differ in nothing but that two molecules
    have changed places differ in ``neighbours``, ``distance``, ``alignment`` and ``others`` alone.

    **The space group** ends a row with eight columns: ``group_operations``, the binary logarithm of the
    number of its operations in the conventional cell, and the shares of these that are centring translations
    (``group_centring``), inversions, twofold rotations and screws, mirrors, glides, and operations of order
    three, four or six (``group_inversion``, ``_rotation``, ``_screw``, ``_mirror``, ``_glide``, ``_higher``).
    So a group that was not trained on is like those that share its elements. Groups that differ in the
    directions of these alone have the same columns.

    `transform` takes any collection whose items are `ase.Atoms`, pymatgen Structures, `MolecularCrystal`
    objects (taken as they describe themselves), or paths to .cif, .extxyz or .xyz files of one crystal each;
    or a single path to such a file, for all of its crystals.

    Rows do not depend on the cell in which a crystal is given, its origin and orientation, the order of atoms
    and molecules, or which of the symmetry copies were listed; see `MolecularCrystal`, which also says how
    symmetric molecules are oriented.

    Disordered crystals, those without all of their hydrogen atoms, as far as formula, bonds and electrons
    tell, and CIF files that contradict themselves fail, and so do crystals of nothing but single atoms, which
    have no radius. Needs the extra `crystals`.

    Parameters
    ----------
    molecule : {"mo3enet", "rem3di", "none", "volume", "inertia"} or featurizer, default="mo3enet"
        Columns that describe the molecules:

        - "mo3enet": the vector rows of `Mo3ENetFeaturizer` with `model`. A crystal fails if one of its
          molecules has other elements or more atoms than the checkpoint can hold ("mo3enet-druglike": 13
          elements, 40 heavy atoms). Of "mo3enet-small", those unlike its training (up to nine heavy atoms)
          get rows, too, which stand for other structures: ``Mo3ENetFeaturizer("mo3enet-small",
          output="vector", max_reconstruction_error=0.1)`` refuses them.
        - "rem3di": the rows of `REM3DIFeaturizer` with `model`: the same elements, molecules of any size.
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
    model : str or None, default=None
        Checkpoint of the embedding; None stands for "mo3enet-druglike" or "rem3di-small".
    revision, device, batch_size, cache_dir
        Parameters of `Mo3ENetFeaturizer` or `REM3DIFeaturizer`. Like `model` for these two alone: a
        featurizer brings its own. The crystals themselves are read anew each time.
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
    (1, 36)
    """

    item = "crystal"

    def __init__(
        self,
        molecule: str | MoleculeFeaturizer = "mo3enet",
        model: str | None = None,
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
        elif self.molecule not in (*EMBEDDINGS, *BASELINES):
            names = ", ".join(map(repr, (*EMBEDDINGS, *BASELINES)))
            raise ValueError(
                f"molecule must be one of {names}, or a featurizer of molecules; got {self.molecule!r}"
            )
        if not isinstance(self.symprec, Real) or not float(self.symprec) > 0:
            raise ValueError(f"symprec must be a positive number (Å); got {self.symprec!r}")

    def _molecule_featurizer(self) -> MoleculeFeaturizer | None:
        """What describes the molecules, or None for a baseline."""
        made: MoleculeFeaturizer
        if isinstance(self.molecule, MoleculeFeaturizer):
            made = clone(self.molecule).set_params(errors="nan", verbose=0)
        elif self.molecule in EMBEDDINGS:
            from skmol3d.featurizers.mo3enet import Mo3ENetFeaturizer
            from skmol3d.featurizers.rem3di import REM3DIFeaturizer

            common: dict[str, Any] = {
                "model": self.model or EMBEDDINGS[self.molecule],
                "revision": self.revision,
                "device": self.device,
                "batch_size": self.batch_size,
                "errors": "nan",
                "cache_dir": self.cache_dir,
            }
            if self.molecule == "mo3enet":
                made = Mo3ENetFeaturizer(output="vector", **common)
            else:
                made = REM3DIFeaturizer(**common)
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
        return [f"crystal_{name}" for name in (*names, *PARAMETERS, *SEVERAL, *GROUP)]

    def _n_features(self) -> int:
        return len(self._feature_names())

    def _iter_inputs(self, X: Any) -> Iterator[object]:
        from skmol3d.crystals import iter_crystals

        if isinstance(X, str | os.PathLike):
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
            delayed(read_crystals)(inputs[start : start + BLOCK], float(self.symprec)) for start in starts
        )
        made = self._molecule_featurizer()
        reasons: dict[int, str] = {}
        found: dict[int, Described] = {}
        for start, block in zip(starts, blocks, strict=True):
            for i, one in enumerate(block, start):
                if isinstance(one, str):
                    reasons[i] = one
                else:
                    found[i] = one
                if made is None or i in reasons:
                    advance(1)
        if not found:
            return reasons
        molecules = [molecule for one in found.values() for molecule in one.molecules]
        counts = np.array([len(one.molecules) for one in found.values()])
        ends = np.cumsum(counts)
        if made is not None:
            described, refused = _described(made, molecules, ends, advance)
        else:
            described, refused = baselines(str(self.molecule), molecules)
        weights = np.concatenate([one.weights for one in found.values()])
        pooled = np.add.reduceat(weights[:, None] * described, ends - counts)
        places = np.array(list(found))
        rows[places] = np.hstack([pooled, [one.columns for one in found.values()]])
        for k, i in enumerate(places.repeat(counts).tolist()):
            if k in refused and i not in reasons:
                reasons[i] = f"its molecule {formula(molecules[k])}: {refused[k]}"
                if self.molecule == "mo3enet":
                    reasons[i] += "; molecule='rem3di' has wider limits"
                rows[i] = np.nan
        return reasons


def _described(
    featurizer: MoleculeFeaturizer,
    molecules: list[RigidMolecule],
    ends: NDArray[np.intp],
    advance: Callable[[int], Any],
) -> tuple[NDArray[np.float32], dict[int, str]]:
    """Rows [n, columns] of molecules, and the reasons of those that are NaN; `ends` counts by crystals."""
    featurizer = copy.copy(featurizer)  # its failures are those of this call, whatever other threads do
    parts, done = [], 0
    for rows in featurizer.iter_transform([as_atoms(m) for m in molecules], TOGETHER):
        parts.append(rows)
        before, done = done, done + len(rows)
        advance(int(((before < ends) & (ends <= done)).sum()))
    failed = featurizer.failures_
    return np.concatenate(parts), dict(zip(failed["index"], failed["reason"], strict=True))
