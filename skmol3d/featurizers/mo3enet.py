"""Mo3ENet embeddings: invariant rows, and rows that turn with the molecule and decode to atoms."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skmol3d.featurizers.base import SHOWN
from skmol3d.featurizers.elements import unknown_elements
from skmol3d.featurizers.encoder_base import EncoderFeaturizer
from skmol3d.featurizers.parameters import check_choice
from skmol3d.featurizers.vector_rows import decode_rows, rotate_rows, with_bonds
from skmol3d.hub import loaded
from skmol3d.structures import Molecule
from skmol3d.structures.storage import content_key

if TYPE_CHECKING:
    import torch

BLOCKS = {"scalar": ("scalar", "pooled"), "vector": ("x", "y", "z", "scalar"), "norm": ("norm",)}
"""Of the encoder's rows, by `output`."""
DECODED = 256
"""Rows that are decoded together."""


class Mo3ENetFeaturizer(EncoderFeaturizer):
    """Pretrained Mo3ENet embeddings of 3D conformers: of shape alone, or of shape and pose.

    Mo3ENet is an autoencoder: its embedding of K scalars and K vectors is all that its decoder needs to put
    the atoms back into place. With ``output="vector"`` a row is this whole embedding. It turns with the
    input's coordinates (rotation, reflection and inversion; translation changes nothing), so that `rotate`
    of a row is the row of the rotated molecule, and `inverse_transform` gives the atoms back. The other rows
    are the same in every pose, and the same for mirror images.

    The pose is that of the coordinates that came along with a `Mol`, file or `Atoms`. A SMILES has none: its
    conformer stands in a frame of RDKit's making, the same in every run, but unrelated to that of other
    molecules. Of a symmetric molecule an equivariant sum is unchanged by the symmetry.

    Two kinds of checkpoint ship. "mo3enet-druglike" *represents* molecules of 13 elements and up to 40 heavy
    atoms: its 24 vectors are sums over all atoms, without jumps where atoms move, and the same rows have
    learned GFN2-xTB energies, orbitals, dipoles and RDKit's descriptors. It decodes heavy atoms, and poorly.
    "mo3enet-smooth" is like it, with 48 vectors: rows that move less with the atoms, and decode less poorly.
    "mo3enet-small" and "mo3enet-small-heavy" *reconstruct* molecules like QM9's (H, C, N, O, F; up to nine
    heavy atoms), to thousandths of an Å: each atom hands its own position to a vector, and rows jump where
    another assignment of atoms to vectors becomes the cheapest. Larger molecules get rows from these, too,
    which stand for other structures than theirs: see `max_reconstruction_error`.

    Rows are float32 and depend on their molecule alone. They are cached per molecule, in memory within the
    process, and on disk with `cache_dir`.

    Parameters
    ----------
    model : str, default="mo3enet-druglike"
        Bundled checkpoint (see above), folder, or Hugging Face Hub repository ("owner/name"). Loaded on first
        use, shared within the process, never pickled.
    revision : str or None, default=None
        Branch, tag or commit of a Hub repository. `fit` pins the commit that it stands for.
    output : {"scalar", "vector", "norm"}, default="scalar"
        Columns of a row:

        - "scalar": the K scalars, then the pooled atom scalars they were made from. For regression on
          properties without a direction.
        - "vector": 3K coordinates in Å, then the K scalars: ``rows[:, : 3 * K].reshape(-1, 3, K)`` holds the
          vectors as columns. For `EquivariantRidge`, `rotate` and `inverse_transform`. Vectors of several
          conformers, which stand in several frames, have no mean, so it takes ``n_conformers=1``.
        - "norm": lengths of the K vectors, Å.
    max_reconstruction_error : float or None, default=None
        Å; molecules whose `reconstruction_error` is larger count as failed. None refuses none, and saves the
        time of decoding. For "mo3enet-small", of which 0.3 refuses most drug-like molecules.
    device : str, default="auto"
        "auto" (a CUDA device, or else the CPU) or a torch device such as "cpu", "cuda:1", "mps". A
        featurizer that was unpickled where its device is missing warns and uses the CPU.
    batch_size : int or None, default=None
        Atoms per batch, hydrogens included. None means 512 on the CPU and 16384 on a GPU. Halves itself when
        memory runs out. Rows do not depend on it (beyond rounding).
    n_conformers : int, default=1
        Conformers per molecule.
    conformer_pooling : {"mean", "boltzmann", "all"}, default="mean"
        What becomes of the conformers' rows: their mean; their mean weighted by MMFF94 energies at 298.15 K
        (several conformers then need ``relax="mmff"``); or all side by side.
    relax : {"mmff", None}, default=None
        Relax conformers of our own making with MMFF94, or leave them as ETKDG made them.
    time_limit : float, default=30.0
        Seconds per molecule for its conformers, after which it counts as failed.
    random_state : int, default=0
        Seed of the conformers, together with the molecule itself.
    standardise : {"parent", "neutral", None}, default="parent"
        What of a salt or mixture is the molecule: its largest organic fragment, metals drawn as covalent
        salts disconnected; the same made neutral by adding or removing protons; or all of it as drawn. The
        rules: `skmol3d.structures.standardise`.
    n_jobs : int or None, default=None
        Worker processes that make conformers, as in joblib. Rows do not depend on it.
    errors : {"raise", "nan"}, default="raise"
        "raise" lists all molecules that failed in one `FeaturizationError` after trying all; "nan" keeps them
        as rows of NaN and describes them in `failures_`. Molecules of elements that the checkpoint was not
        trained on, or of more atoms than its decoder's swarm has points, fail.
    cache_dir : str or None, default=None
        Folder, on a local disk, for a cache that outlives the process and that several processes may share.
    verbose : int, default=0
        Show a progress bar if not 0.

    Attributes
    ----------
    checkpoint_ : Checkpoint
        Set by `fit`: which weights `model` and `revision` stand for.
    failures_ : DataFrame with columns index, input, reason
        Failures of the last `transform`, `inverse_transform` or `reconstruction_error`.

    References
    ----------
    https://doi.org/10.48550/arXiv.2405.13791

    Examples
    --------
    >>> from ase.build import molecule
    >>> import numpy as np
    >>> from skmol3d import Mo3ENetFeaturizer
    >>> featurizer = Mo3ENetFeaturizer("mo3enet-small", output="vector")
    >>> rows = featurizer.fit_transform([molecule("CH3CH2OH")])
    >>> quarter = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    >>> turned = featurizer.inverse_transform(featurizer.rotate(rows, quarter))
    >>> turned[0].get_chemical_formula()
    'C2H6O'
    """

    encoder_name = "mo3enet"
    other_encoders = ("mo3enet-pooled",)

    def __init__(
        self,
        model: str = "mo3enet-druglike",
        revision: str | None = None,
        output: str = "scalar",
        max_reconstruction_error: float | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        n_conformers: int = 1,
        conformer_pooling: str = "mean",
        relax: str | None = None,
        time_limit: float = 30.0,
        random_state: int = 0,
        standardise: str | None = "parent",
        n_jobs: int | None = None,
        errors: str = "raise",
        cache_dir: str | None = None,
        verbose: int = 0,
    ) -> None:
        self.model = model
        self.revision = revision
        self.output = output
        self.max_reconstruction_error = max_reconstruction_error
        self.device = device
        self.batch_size = batch_size
        self.n_conformers = n_conformers
        self.conformer_pooling = conformer_pooling
        self.relax = relax
        self.time_limit = time_limit
        self.random_state = random_state
        self.standardise = standardise
        self.n_jobs = n_jobs
        self.errors = errors
        self.cache_dir = cache_dir
        self.verbose = verbose

    def rotate(self, rows: Any, R: Any) -> NDArray[np.float32]:
        """Rows of the rotated molecules, from vector rows.

        Parameters
        ----------
        rows : array-like or DataFrame, shape [n, 4K]
            From ``output="vector"``. Rows of NaN stay so.
        R : array-like, shape [3, 3] or [n, 3, 3], or scipy.spatial.transform.Rotation
            Orthogonal matrices: rotations, or improper ones such as a reflection or the inversion -1. An atom
            at x goes to R x; of positions stored as rows that is ``positions @ R.T``.

        Returns
        -------
        ndarray of float32, shape [n, 4K]
            What `transform` gives for the molecules after ``positions @ R.T``.

        Raises
        ------
        ValueError
            If `rows` are none of this model's vector rows, or a matrix is not orthogonal (named by its
            place).
        """
        return rotate_rows(self._vector_rows(rows), R.as_matrix() if hasattr(R, "as_matrix") else R)

    def inverse_transform(self, rows: Any, bonds: bool = False) -> list[Any]:
        """Decode vector rows to structures, without any knowledge of what was encoded.

        The decoder's swarm of weighted points is clustered into atoms (arXiv:2405.13791, section 3.3).
        How well this works for molecules like yours, `reconstruction_error` tells.

        Parameters
        ----------
        rows : array-like or DataFrame, shape [n, 4K]
            From ``output="vector"``, `rotate`, or arithmetic on such rows.
        bonds : bool, default=False
            Return RDKit molecules whose bonds and bond orders are perceived from the distances
            (`rdDetermineBonds`), taking molecules for neutral, because the embedding holds no charge. Needs a
            checkpoint that encodes hydrogens.

        Returns
        -------
        list of ase.Atoms, or of rdkit.Chem.Mol with one conformer
            Positions in Å, in the pose of the row, with the centroid of the molecule as it was encoded at
            the origin. With ``errors="nan"`` what could not be decoded is None, and described in `failures_`.

        Raises
        ------
        ValueError
            If `rows` are none of this model's vector rows; with ``errors="raise"`` also if any could not be
            decoded: it is NaN or infinite, its swarm holds no atom, or no bonds can be perceived.
        """
        array = self._vector_rows(rows)
        rows_of, _, device = self._load()
        if bonds and not rows_of.encoder.config.hydrogens:
            raise ValueError(
                f"bonds=True: {self.model!r} encodes no hydrogens, without which bonds cannot be perceived"
            )
        structures: list[Any] = [None] * len(array)
        reasons = dict.fromkeys(np.flatnonzero(~np.isfinite(array).all(axis=1)).tolist(), "not finite")
        finite = [i for i in range(len(array)) if i not in reasons]
        for start in range(0, len(finite), DECODED):
            part = finite[start : start + DECODED]
            for i, atoms in zip(part, decode_rows(array[part], rows_of.encoder, device), strict=True):
                if not len(atoms):
                    reasons[i] = "the decoded swarm holds no atom"
                    continue
                try:
                    structures[i] = with_bonds(atoms) if bonds else atoms
                except ValueError as error:
                    reasons[i] = f"no bonds can be perceived: {error}"
        self.failures_ = pd.DataFrame(
            [(i, "<row>", reasons[i]) for i in sorted(reasons)], columns=["index", "input", "reason"]
        )
        if reasons and self.errors == "raise":
            lines = [f"{len(reasons)} of {len(array)} rows could not be decoded:"]
            lines += [f"  [{i}] {reasons[i]}" for i in sorted(reasons)[:SHOWN]]
            if len(reasons) > SHOWN:
                lines.append(f"  ... and {len(reasons) - SHOWN} more (see the attribute `failures_`)")
            raise ValueError("\n".join([*lines, "errors='nan' gives None for them."]))
        return structures

    def reconstruction_error(self, X: Any) -> NDArray[np.float32]:
        """How far from their places the atoms of molecules are decoded: a flag for foreign molecules.

        The paper's rule (arXiv:2405.13791, appendix B): for every atom, the decoded points within 0.5 Å are
        averaged by their weights; the distance from atom to average is its deviation. An atom is not found
        if these weights sum to less than 0.25, or the average is of another element; it then counts as
        0.5 Å. Points where there is no atom are not counted.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a .sdf or .xyz file
            Molecules, as in `transform`.

        Returns
        -------
        ndarray of float32, shape [n]
            Mean over the atoms in Å, from 0 (perfect) to 0.5 (nothing found); of several conformers the
            mean (weighted with ``conformer_pooling="boltzmann"``). NaN for molecules that failed under
            ``errors="nan"``.

        Raises
        ------
        FeaturizationError, TypeError, ValueError
            As `transform`.
        """
        pooling = "mean" if self.conformer_pooling == "all" else self.conformer_pooling
        changed = {"conformer_pooling": pooling, "max_reconstruction_error": None}
        deviations = _Deviations(**{**self.get_params(), **changed})
        # Its weights, and what to do without the device.
        kept = {name: value for name, value in vars(self).items() if name in ("checkpoint_", "_unpickled")}
        deviations.__dict__.update(kept)
        try:
            return np.concatenate(list(deviations.iter_transform(X)))[:, 0]
        finally:
            if hasattr(deviations, "failures_"):
                self.failures_ = deviations.failures_

    def _check_params(self) -> None:
        check_choice("output", self.output, tuple(BLOCKS))
        super()._check_params()
        limit = self.max_reconstruction_error
        if limit is not None and not (isinstance(limit, Real) and float(limit) > 0):
            raise ValueError(f"max_reconstruction_error must be a positive number (Å) or None; got {limit!r}")
        if self.output == "vector" and self.n_conformers != 1:
            raise ValueError(
                f"output='vector' needs n_conformers=1, got {self.n_conformers}: conformers stand in frames "
                "of their own; pass them as separate molecules"
            )

    def _load(self) -> tuple[Any, loaded.Checkpoint, torch.device]:
        from skmol3d.encoders.mo3enet.rows import Mo3ENetRows

        encoder, checkpoint, device = super()._load()
        return Mo3ENetRows(encoder, self._measures_quality()), checkpoint, device

    @property
    def blocks(self) -> tuple[str, ...]:  # type: ignore[override]  # the base only reads it
        """Blocks of a row."""
        return BLOCKS[self.output]

    def _measures_quality(self) -> bool:
        return self.max_reconstruction_error is not None

    def _doubt(self, blocks: NDArray[np.float32]) -> str | None:
        limit = self.max_reconstruction_error
        if limit is None or (error := blocks[:, -1].mean()) <= limit:
            return None
        return f"decoded {error:.2f} Å off, more than {limit:g}: the model knows no molecules like it"

    def _refusal(self, molecule: Molecule, encoder: Any) -> str | None:
        numbers, config = molecule.numbers, encoder.encoder.config
        heavy = not config.hydrogens and bool((numbers > 1).any())  # hydrogens alone are encoded all the same
        if heavy:
            numbers = numbers[numbers > 1]
        if reason := unknown_elements(numbers, config.elements):
            return reason
        if len(numbers) > config.swarm:
            kind = "heavy atoms" if heavy else "atoms"
            return f"{len(numbers)} {kind}, more than the {config.swarm} points of the decoder's swarm hold"
        return None

    def _key(self, molecule: str, checkpoint: loaded.Checkpoint) -> bytes:
        return content_key(super()._key(molecule, checkpoint).hex(), self._measures_quality())

    def _vector_rows(self, rows: Any) -> NDArray[np.float32]:
        self._check_params()
        if self.output != "vector":
            raise ValueError(f"only rows of output='vector' hold a pose; this featurizer has {self.output!r}")
        array, width = np.asarray(rows, np.float32), self._n_features()
        if array.ndim != 2 or array.shape[1] != width:
            raise ValueError(f"rows must have shape [n, {width}], as from transform; got {list(array.shape)}")
        return array


class _Deviations(Mo3ENetFeaturizer):
    """One column: the reconstruction error."""

    blocks = ("error",)

    def _measures_quality(self) -> bool:
        return True
