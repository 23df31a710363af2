"""Plain statistics of an interatomic potential's atom features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skmol3d.featurizers.encoder_base import EncoderFeaturizer
from skmol3d.featurizers.parameters import check_names
from skmol3d.hub import loaded

if TYPE_CHECKING:
    import torch


class PotentialFeaturizer(EncoderFeaturizer):
    """Atom features of a pretrained interatomic potential, pooled by plain statistics over the atoms.

    Every molecule gets one or more conformers (ETKDGv3), and every atom of it, hydrogens included, S numbers
    in which the potential describes its surroundings (384 for "ec-xtb-small"); they are the same in every
    pose, and the same for mirror images. A row holds statistics of these over the atoms: the simplest way
    from a potential to a molecular descriptor, with nothing learned in between, and what learned pooling
    (`REM3DIFeaturizer`) has to beat. A `Mol`, file or `Atoms` that brings a 3D geometry keeps it.

    Columns are called ``potential_<statistic>_<i>``, i from 0 to S - 1. Rows are float32 and depend on their
    molecule alone. They are cached per molecule, in memory within the process, and on disk with `cache_dir`;
    a row in the cache has all five statistics, whatever `pooling` asks for.

    Parameters
    ----------
    model : str, default="ec-xtb-small"
        Potential: bundled checkpoint, folder (such as ``skmol3d pretrain`` leaves), or Hugging Face Hub
        repository ("owner/name"), with any backbone. Loaded on first use, shared within the process, never
        pickled.
    revision : str or None, default=None
        Branch, tag or commit of a Hub repository. `fit` pins the commit that it stands for.
    pooling : sequence of {"mean", "std", "max", "min", "sum"}
        Statistics to return, in this order; all five by default. "std" is that of the population (divided by
        the number of atoms); "sum" grows with the molecule, as extensive properties do.
    device : str, default="auto"
        "auto" (a CUDA device, or else the CPU) or a torch device such as "cpu", "cuda:1", "mps". A
        featurizer that was unpickled where its device is missing warns and uses the CPU.
    batch_size : int or None, default=None
        Atoms per batch, hydrogens included; in molecules of n >= 128 atoms each counts as n // 64. None means
        512 on the CPU and 16384 on a GPU. Halves itself when memory runs out. Rows do not depend on it
        (beyond rounding).
    n_conformers : int, default=1
        Conformers per molecule.
    conformer_pooling : {"mean", "boltzmann", "all"}, default="mean"
        What becomes of the conformers' rows: their mean; their mean weighted by MMFF94 energies at 298.15 K
        (several conformers then need ``relax="mmff"``); or all side by side, in the order of ascending energy
        where there are energies (a molecule that brings fewer conformers fails).
    relax : {"mmff", None}, default=None
        Relax conformers of our own making with MMFF94 (UFF where it lacks parameters), or leave them as
        ETKDG made them, which takes half the time.
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
        stays in the cache); "nan" keeps them as rows of NaN and describes them in `failures_`. Molecules of
        elements that the potential was not trained on fail.
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
    NequIP, whose kind of message "ec-xtb-small" sends, https://doi.org/10.48550/arXiv.2101.03164

    Examples
    --------
    >>> from skmol3d import PotentialFeaturizer
    >>> featurizer = PotentialFeaturizer(pooling=("mean", "sum"))
    >>> X = featurizer.fit_transform(["CCO", "c1ccccc1"])
    >>> X.shape, featurizer.get_feature_names_out()[0]
    ((2, 768), 'potential_mean_0')
    """

    encoder_name = "potential"

    def __init__(
        self,
        model: str = "ec-xtb-small",
        revision: str | None = None,
        pooling: tuple[str, ...] = ("mean", "std", "max", "min", "sum"),
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
        self.pooling = pooling
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

    @property
    def blocks(self) -> tuple[str, ...]:  # type: ignore[override]  # the base only reads it
        """The statistics are the blocks of a row."""
        return tuple(self.pooling)

    def _check_params(self) -> None:
        from skmol3d.encoders.pooled import PooledBackbone

        check_names("pooling", self.pooling, tuple(PooledBackbone.STATISTICS))
        super()._check_params()

    def _load(self) -> tuple[Any, loaded.Checkpoint, torch.device]:
        from skmol3d.encoders.pooled import PooledBackbone

        potential, checkpoint, device = super()._load()
        return PooledBackbone(potential.backbone, potential.elements), checkpoint, device
