"""`REM3DIRegressor`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from skmol3d.estimators.finetuning.base import FineTunedEstimator
from skmol3d.estimators.finetuning.labels import as_targets, known_labels, mean_score, numbers, weights_of


class REM3DIRegressor(RegressorMixin, FineTunedEstimator):
    """Regression of properties from molecules by fine-tuning a pretrained REM3DI encoder.

    A network reads the frozen row of a molecule (`skmol3d.REM3DIFeaturizer`) and, unless `train` is "head",
    the pooled tokens of an encoder some weights of which learn; the interatomic potential below it stays as
    it is. Beside it stands a kernel ridge regression on the frozen row alone. The two are blended in shares
    that are measured, for each task, on molecules that a network has not learned from (`shares_`): so
    fine-tuning starts from what the frozen row knows, and little data cannot lead far away from it.

    The networks are an ensemble. Each holds out another part of the training molecules, on which the best
    epoch is chosen and the shares are measured; repeated measurements of a molecule are held out together.
    With several conformers, a network sees one of a molecule's at a time, drawn anew in each epoch, and
    predicts the mean over all.

    Parameters
    ----------
    model : str, default="rem3di-small"
        Bundled checkpoint, folder, or Hugging Face Hub repository ("owner/name").
    train : {"adapters", "head", "all"}, default="adapters"
        What learns besides the head: low-rank adapters of the transformer's linear layers; nothing, which is
        fastest; or all weights of the encoder but the potential's.
    n_estimators : int, default=5
        Networks in the ensemble.
    rank : int, default=8
        Of the adapters.
    width : int, default=256
        Of the head's two hidden layers.
    dropout : float, default=0.3
        In the head.
    epochs : int or None, default=None
        Most passes over the molecules; None means as many as make 400 steps, so that time hardly depends on
        the number of molecules. The learning rate rises during the first tenth, then falls to zero.
    patience : int, default=4
        Epochs without a better loss on the held-out part, after which a network stops.
    batch_size : int, default=32
        Molecules per step.
    learning_rate : float, default=1e-3
        Its peak; pretrained weights (``train="all"``) get a tenth.
    weight_decay : float, default=1e-2
        Of AdamW.
    validation_fraction : float, default=0.2
        Part of the molecules that a network holds out; at most 0.5.
    warm_start : bool, default=False
        Whether another `fit` goes on with the networks of the last one, perhaps with other molecules.
    n_conformers : int, default=1
        Conformers per molecule.
    revision, device, relax, time_limit, standardise, n_jobs, cache_dir
        As of `skmol3d.REM3DIFeaturizer`. Conformers and rows are looked up in the same caches, so that the
        fits of a grid search make them once.
    errors : {"raise", "nan"}, default="raise"
        "raise" lists all molecules that failed in one `FeaturizationError`; "nan" fits without them and
        predicts NaN for them. `failures_` describes them.
    random_state : int, RandomState or None, default=0
        Of the held-out parts, the initial weights, the order of molecules and dropout. Conformers do not
        depend on it.
    verbose : int, default=0
        Show progress if not 0.

    Attributes
    ----------
    shares_ : ndarray, shape [T]
        Share of the networks in the prediction of each task; the rest is the kernel's.
    history_ : DataFrame
        Columns ``network``, ``epoch`` (0 is before training), ``loss`` and ``validation``.
    failures_ : DataFrame with columns index, input, reason
        Molecules that failed in the last `fit` or `predict`.
    featurizer_ : REM3DIFeaturizer
        What makes the frozen rows; its ``checkpoint_`` pins the weights.

    References
    ----------
    REM3DI, https://doi.org/10.48550/arXiv.2607.19977; adapters, https://doi.org/10.48550/arXiv.2106.09685;
    blending on held-out predictions: Breiman, Mach. Learn. 24, 49 (1996), https://doi.org/10.1007/BF00117832

    Examples
    --------
    >>> from skmol3d import REM3DIRegressor
    >>> smiles = ["C" * n + end for n in range(1, 9) for end in ("O", "N")]
    >>> model = REM3DIRegressor(train="head", n_estimators=2).fit(smiles, [len(s) for s in smiles])
    >>> mean, std = model.predict(["CCCCO", "CCCCCN"], return_std=True)
    >>> mean.shape, bool((std > 0).all())
    ((2,), True)
    """

    _classes = False

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit kernels and networks.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Molecules, as of `skmol3d.REM3DIFeaturizer`.
        y : array-like, shape [n] or [n, T]
            Targets of one task or several; NaN where one is unknown.
        sample_weight : array-like, shape [n], optional
            Weights of the molecules in all losses; what weighs 0 is left out.

        Returns
        -------
        self

        Raises
        ------
        skmol3d.featurizers.FeaturizationError
            With ``errors="raise"``, if molecules failed.
        ValueError
            If a parameter or target is invalid, a task has too few known targets, or all molecules are one.
        """
        self._check_params()
        molecules, y = as_targets(X, y)
        wanted, of_molecules = numbers(y), weights_of(sample_weight, len(molecules))
        featurizer = self._make_featurizer().fit(molecules)
        molecules, rows = self._read(featurizer, molecules)
        molecules, rows, wanted, of_molecules = known_labels(wanted, molecules, rows, of_molecules)
        self._flat = y.ndim == 1
        if not self._goes_on():
            self._mean, self._scale = np.nanmean(wanted, axis=0), np.nanstd(wanted, axis=0)
            self._scale[self._scale < 1e-12 * (1 + np.abs(self._mean))] = 1.0
        elif len(self._mean) != wanted.shape[1]:
            raise ValueError(f"warm_start: {wanted.shape[1]} tasks, but the last fit had {len(self._mean)}")
        standard = (wanted - self._mean) / self._scale
        weights = np.ones(standard.shape)
        if of_molecules is not None:
            weights *= of_molecules[:, None]
        self._fit(featurizer, molecules, rows, standard, weights, of_molecules)
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """Predict.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Molecules, as in `fit`.
        return_std : bool, default=False
            Whether to return standard deviations of the errors, too.

        Returns
        -------
        mean : ndarray, shape [n] or [n, T]
            NaN for molecules that failed, with ``errors="nan"``.
        std : ndarray of the same shape
            With `return_std`. It grows with the disagreement of networks and kernel, as the errors on
            held-out training molecules did: for molecules unlike these it is too small.
        """
        mean, variance = self._predicted(X)
        parts = [mean * self._scale + self._mean, np.sqrt(variance) * self._scale]
        parts = [part[:, 0] if self._flat else part for part in parts]
        return tuple(parts) if return_std else parts[0]

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination, the mean over the tasks.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Molecules, as in `fit`.
        y : array-like, shape [n] or [n, T]
            Targets; what is NaN is left out of its task, and a task with less than two of them, which has no
            coefficient of determination, out of the mean.
        sample_weight : array-like, shape [n], optional
            Weights of the molecules.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If no task has two known targets, `y` has other tasks than in `fit`, or, with ``errors="nan"``,
            molecules failed.
        """
        molecules, y = as_targets(X, y)
        return mean_score(r2_score, numbers(y), self.predict(molecules), sample_weight, least=2)
