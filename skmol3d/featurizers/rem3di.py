"""REM3DI descriptors."""

from __future__ import annotations

from itertools import compress
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from skmol3d import inference
from skmol3d.featurizers.encoder_base import EncoderFeaturizer
from skmol3d.featurizers.scales import COUNTS, factors_of
from skmol3d.hub import loaded
from skmol3d.structures import Conformers, Molecule, atom_environments
from skmol3d.structures.environments import ENVIRONMENTS_VERSION
from skmol3d.structures.storage import content_key

if TYPE_CHECKING:
    import pandas as pd

TREES = "trees"
_FOR_TREES: WeakKeyDictionary[Any, NDArray[np.bool_]] = WeakKeyDictionary()
"""Columns for forests of the encoders in use: to find them takes as long as a molecule's row."""


class REM3DIFeaturizer(EncoderFeaturizer):
    """Pretrained REM3DI descriptors of 3D conformers.

    Every molecule gets one or more conformers (ETKDGv3), atom features of an interatomic potential, and from
    these one descriptor by attention. A `Mol`, file or `Atoms` that brings a 3D geometry keeps it. The
    columns come in blocks, of which linear models and kernels want all (and forests ``blocks="trees"``):

    - ``words`` count the substructures around the atoms. Where the input has a molecular graph, it says
      which; for a bare geometry the network perceives them.
    - ``rare`` counts the substructures that have no column of their own, several of them in each of its.
    - ``signed`` counts words by the handedness of the stereocentre next to them: of one without a mark, by
      that of the conformer, which is chance.
    - ``surface`` has columns with a physical meaning: areas by element, charge and potential, solvation,
      shape.
    - ``strain`` is one column: the potential's energy of the conformer above what its elements and words let
      expect, in eV.
    - ``properties`` are the network's estimates of RDKit's 2D descriptors, in standard deviations.
    - ``dense`` is what the network knows of the whole molecule, compressed.

    ``signed`` changes sign between mirror images, the others are the same. `describe_columns` says what each
    column means: the substructure of a word as SMARTS, what is measured of the surface.

    Columns come scaled for linear models: a count, and a standard deviation (over molecules of the corpus) of
    any other column, as 3/32. Molecules then lie about two units from their mean, and a model's
    default penalty is about right: ``Ridge()`` does about as well as one whose penalty is searched.
    `StandardScaler`, forests and `KernelRidgeCV` find the same with and without. ``scaled=False`` gives
    counts and physical units.

    Rows are float32 and depend on their molecule alone. Conformers and rows are cached per molecule, in
    memory within the process (`skmol3d.set_cache_bytes` bounds it), so that the folds of a grid search
    compute each molecule once, and on disk with `cache_dir`. Another checkpoint or other blocks need no new
    conformers. Enantiomers get conformers that are mirror images of each other.

    Parameters
    ----------
    model : str, default="rem3di-small"
        Bundled checkpoint, folder, or Hugging Face Hub repository ("owner/name"). Loaded on first use, shared
        within the process, never pickled.
    revision : str or None, default=None
        Branch, tag or commit of a Hub repository. `fit` pins the commit that it stands for.
    device : str, default="auto"
        "auto" (a CUDA device, or else the CPU) or a torch device such as "cpu", "cuda:1", "mps". A
        featurizer that was unpickled where its device is missing warns and uses the CPU.
    batch_size : int or None, default=None
        Atoms per batch, hydrogens included; in molecules of n >= 128 atoms each counts as n // 64. None means
        512 on the CPU, whose caches they fit, and 16384 on a GPU. Halves itself when memory runs
        out. Rows do not depend on it (beyond rounding).
    n_conformers : int, default=1
        Conformers per molecule.
    conformer_pooling : {"mean", "boltzmann", "all"}, default="mean"
        What becomes of the conformers' descriptors: their mean; their mean weighted by MMFF94 energies at
        298.15 K (several conformers then need ``relax="mmff"``); or all side by side, in the order of
        ascending energy where there are energies (a molecule that brings fewer conformers fails).
    blocks : sequence of str, "trees" or None, default=None
        Blocks to return, e.g. ``("words", "signed")``; None gives all. "trees" gives the columns that suit
        forests: all counts, ``strain``, and the 28 most familiar columns of ``surface`` and ``properties``.
    scaled : bool, default=True
        Scale columns for linear models, or leave counts whole and columns in their units.
    relax : {"mmff", None}, default=None
        Relax conformers with MMFF94 (UFF where it lacks parameters), or leave them as ETKDG made them, which
        takes half the time. MMFF94 flattens some conjugated allenes.
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
        "raise" lists all molecules that failed in one `FeaturizationError` after trying all (what worked
        stays in the cache); "nan" keeps them as rows of NaN and describes them in `failures_`.
    cache_dir : str or None, default=None
        Folder, on a local disk, for a cache that outlives the process and that several processes may share.
    verbose : int, default=0
        Show a progress bar if not 0.

    Attributes
    ----------
    checkpoint_ : Checkpoint
        Set by `fit`: which weights `model` and `revision` stand for.
    failures_ : DataFrame with columns index, input, reason
        Failures of the last `transform`.

    References
    ----------
    REM3DI, https://doi.org/10.48550/arXiv.2607.19977

    Examples
    --------
    >>> from skmol3d import REM3DIFeaturizer
    >>> X = REM3DIFeaturizer().fit_transform(["CCO", "OCC", "c1ccccc1"])
    >>> X.dtype, len(X), bool((X[0] == X[1]).all())
    (dtype('float32'), 3, True)
    """

    encoder_name = "rem3di"
    other_encoders = ("rem3di-published",)
    count_blocks = COUNTS
    selections = (TREES,)

    def __init__(
        self,
        model: str = "rem3di-small",
        revision: str | None = None,
        device: str = "auto",
        batch_size: int | None = None,
        n_conformers: int = 1,
        conformer_pooling: str = "mean",
        blocks: tuple[str, ...] | str | None = None,
        scaled: bool = True,
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
        self.device = device
        self.batch_size = batch_size
        self.n_conformers = n_conformers
        self.conformer_pooling = conformer_pooling
        self.blocks = blocks
        self.scaled = scaled
        self.relax = relax
        self.time_limit = time_limit
        self.random_state = random_state
        self.standardise = standardise
        self.n_jobs = n_jobs
        self.errors = errors
        self.cache_dir = cache_dir
        self.verbose = verbose

    def describe_columns(self) -> pd.DataFrame:
        """Say what each column means, so that a coefficient of a linear model can be read.

        Returns
        -------
        DataFrame
            A row for each column, in order: ``column`` (as in `get_feature_names_out`), ``block``,
            ``meaning``, ``factor`` (by which that has been multiplied: a coefficient times it is one per
            count or unit); and for words, signed or not, the Morgan environment: ``kind`` ("atom types", as
            in ECFP, or "features", as in FCFP), ``radius``, ``identifier`` (RDKit's), and what the
            checkpoint's table says of it, if it has one: ``smarts`` (of atom types), ``features`` of the
            central atom,
            ``example`` (a fragment, written from its centre), and ``descriptor`` (RDKit's name of what is
            estimated).
        """
        import pandas as pd

        encoder, _, _ = self._load()
        _, places = self._columns(encoder)
        every = self._meanings(encoder)
        table = every.iloc[places]
        copies = self.n_conformers if self.conformer_pooling == "all" else 1
        table = pd.concat([table] * copies, ignore_index=True)
        table.insert(0, "column", self._feature_names())
        table.insert(
            3, "factor", np.tile(np.broadcast_to(self._factors(encoder), len(every))[places], copies)
        )
        return table

    def integer_columns(self) -> NDArray[np.bool_]:
        whole = super().integer_columns()
        return whole & (not self.scaled)

    def _meanings(self, encoder: Any) -> pd.DataFrame:
        from skmol3d.featurizers.meanings import meanings  # with pandas, which rows do not need

        _, checkpoint, _ = self._load()
        _, folder = loaded.find_checkpoint(checkpoint.model, checkpoint.revision, checkpoint.commit)
        return meanings(encoder, folder)

    def _columns(self, encoder: Any) -> tuple[list[str], NDArray[np.intp]]:
        names, places = super()._columns(encoder)
        if not isinstance(self.blocks, str):
            return names, places
        if encoder not in _FOR_TREES:
            from skmol3d.featurizers.meanings import for_trees

            try:
                _FOR_TREES[encoder] = for_trees(self._meanings(encoder))
            except ValueError as error:
                raise ValueError(f"blocks={TREES!r} cannot be had of {self.model!r}: {error}") from None
        kept = _FOR_TREES[encoder]
        return list(compress(names, kept)), places[kept]

    def _factors(self, encoder: Any) -> NDArray[np.float32]:
        return factors_of(encoder) if self.scaled else super()._factors(encoder)

    def _check_params(self) -> None:
        super()._check_params()
        if not isinstance(self.scaled, bool | np.bool_):
            raise TypeError(f"scaled must be True or False; got {self.scaled!r}")

    def _key(self, molecule: str, checkpoint: loaded.Checkpoint) -> bytes:
        return content_key(super()._key(molecule, checkpoint).hex(), ENVIRONMENTS_VERSION)

    def _items(self, molecule: Molecule, made: Conformers) -> list[inference.Item]:
        environments = None if molecule.mol is None else atom_environments(molecule.mol)
        return [item._replace(environments=environments) for item in super()._items(molecule, made)]
