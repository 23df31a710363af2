"""`REM3DIClassifier`."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.utils.class_weight import compute_class_weight

from skmol3d.estimators.finetuning.base import FineTunedEstimator
from skmol3d.estimators.finetuning.labels import (
    as_targets,
    binary,
    classes_of,
    known_labels,
    mean_score,
    named,
    weights_of,
    weights_of_classes,
)


class REM3DIClassifier(ClassifierMixin, FineTunedEstimator):
    """Classification of molecules by fine-tuning a pretrained REM3DI encoder.

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
    class_weight : dict, "balanced", None or list of such, default=None
        Weights of classes, 1 for those a dict does not name; for several tasks a list has one entry for each.
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
    classes_ : ndarray, or list of ndarray for several tasks
        Class labels.
    shares_ : ndarray, shape [T]
        Share of the networks in the prediction of each task; the rest is the kernel's.
    history_ : DataFrame
        Columns ``network``, ``epoch`` (0 is before training), ``loss`` and ``validation``.
    failures_ : DataFrame with columns index, input, reason
        Molecules that failed in the last `fit` or `predict`.
    featurizer_ : REM3DIFeaturizer
        What makes the frozen rows; its ``checkpoint_`` pins the weights.

    Notes
    -----
    Several tasks have two classes each. A single task with more than two is one task for each class
    against the others, and the probabilities are divided by their sum.

    References
    ----------
    REM3DI, https://doi.org/10.48550/arXiv.2607.19977; adapters, https://doi.org/10.48550/arXiv.2106.09685;
    blending on held-out predictions: Breiman, Mach. Learn. 24, 49 (1996), https://doi.org/10.1007/BF00117832

    Examples
    --------
    >>> from skmol3d import REM3DIClassifier
    >>> smiles = ["C" * n + end for n in range(1, 9) for end in ("O", "N")]
    >>> model = REM3DIClassifier(train="head", n_estimators=2).fit(smiles, ["acid", "base"] * 8)
    >>> model.predict_proba(["CCCCO"]).shape
    (1, 2)
    """

    _classes = True

    def __init__(
        self,
        model: str = "rem3di-small",
        train: str = "adapters",
        n_estimators: int = 5,
        rank: int = 8,
        width: int = 256,
        dropout: float = 0.3,
        epochs: int | None = None,
        patience: int = 4,
        batch_size: int = 32,
        learning_rate: float = 1e-3,
        weight_decay: float = 1e-2,
        validation_fraction: float = 0.2,
        class_weight: Any = None,
        warm_start: bool = False,
        n_conformers: int = 1,
        revision: str | None = None,
        device: str = "auto",
        relax: str | None = None,
        time_limit: float = 30.0,
        standardise: str | None = "parent",
        n_jobs: int | None = None,
        errors: str = "raise",
        cache_dir: str | None = None,
        random_state: Any = 0,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            model=model,
            train=train,
            n_estimators=n_estimators,
            rank=rank,
            width=width,
            dropout=dropout,
            epochs=epochs,
            patience=patience,
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            validation_fraction=validation_fraction,
            warm_start=warm_start,
            n_conformers=n_conformers,
            revision=revision,
            device=device,
            relax=relax,
            time_limit=time_limit,
            standardise=standardise,
            n_jobs=n_jobs,
            errors=errors,
            cache_dir=cache_dir,
            random_state=random_state,
            verbose=verbose,
        )
        self.class_weight = class_weight

    def fit(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit kernels and networks.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Molecules, as of `skmol3d.REM3DIFeaturizer`.
        y : array-like, shape [n] or [n, T]
            Classes of one task, or of several with two classes each; NaN or None where one is unknown.
        sample_weight : array-like, shape [n], optional
            Weights of the molecules in all losses, beside those of the classes; what weighs 0 is left out.

        Returns
        -------
        self

        Raises
        ------
        skmol3d.featurizers.FeaturizationError
            With ``errors="raise"``, if molecules failed.
        ValueError
            If a parameter is invalid (so is a `class_weight` that does not fit the tasks), all molecules are
            one, or a task has too few known labels, one class only, or, of several tasks, more than two.
        """
        self._check_params()
        molecules, y = as_targets(X, y)
        classes, of_molecules = classes_of(y), weights_of(sample_weight, len(molecules))
        if self._goes_on():
            before = [self.classes_] if self._flat else self.classes_
            if [list(names) for names in before] != [list(names) for names in classes]:
                raise ValueError("warm_start: the classes are not those of the last fit")
        featurizer = self._make_featurizer().fit(molecules)
        molecules, rows = self._read(featurizer, molecules)
        molecules, rows, wanted, of_molecules = known_labels(
            binary(y, classes), molecules, rows, of_molecules
        )
        for column, labels in enumerate(wanted.T):
            if len(np.unique(labels[np.isfinite(labels)])) < 2:
                raise ValueError(
                    f"column {column} of y has one class among molecules with a row and a weight"
                )
        self._flat = y.ndim == 1
        self.classes_: Any = classes[0] if self._flat else classes
        of_classes = self._weights(wanted)
        weights = np.where(wanted == 1, of_classes[:, 1], of_classes[:, 0])
        if of_molecules is not None:
            weights *= of_molecules[:, None]
        self._fit(featurizer, molecules, rows, wanted, weights, of_molecules)
        return self

    def _weights(self, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Weights [columns, 2] of the classes 0 and 1 of each column, 1 on average over its labels."""
        tasks = [self.classes_] if self._flat else self.classes_
        given = weights_of_classes(self.class_weight, tasks, several=not self._flat)
        weights = np.ones((wanted.shape[1], 2))
        for column, labels in enumerate(wanted.T):
            known = labels[np.isfinite(labels)].astype(int)
            task = 0 if self._flat else column
            own, names = given[task], tasks[task]
            if own == "balanced":
                weights[column] = compute_class_weight("balanced", classes=np.arange(2), y=known)
            elif len(names) == 2:
                weights[column] = [own.get(name, 1.0) for name in names]
            else:
                weights[column, 1] = own.get(names[column], 1.0)
            weights[column] /= weights[column][known].mean()
        return weights

    def _calibrate(
        self, honest: NDArray[np.float64], wanted: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> None:
        """Logistic regressions on the kernels' predictions (Platt 1999), which obey weights of classes."""
        self._logits = np.empty((wanted.shape[1], 2))
        for column, labels in enumerate(wanted.T):
            known = np.isfinite(labels)
            model = LogisticRegression(C=100.0)
            model.fit(honest[known, column, None], labels[known], sample_weight=weights[known, column])
            self._logits[column] = max(model.coef_[0, 0], 0.0), model.intercept_[0]

    def _of_kernel(self, predicted: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(expit(self._logits[:, 0] * predicted + self._logits[:, 1]))

    def _of_network(self, found: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(expit(found))

    def predict_proba(self, X: Any) -> Any:
        """Probabilities of the classes.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Molecules, as in `fit`.

        Returns
        -------
        ndarray, shape [n, classes], or list of such for several tasks
            In the order of `classes_`; NaN for molecules that failed, with ``errors="nan"``.
        """
        found, _ = self._predicted(X)
        if self._flat and len(self.classes_) > 2:
            return found / found.sum(axis=1, keepdims=True)
        pairs = [np.stack([1 - p, p], axis=1) for p in found.T]
        return pairs[0] if self._flat else pairs

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable classes.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Molecules, as in `fit`.

        Returns
        -------
        ndarray, shape [n] or [n, T]
            NaN for molecules that failed, with ``errors="nan"``.
        """
        found = self.predict_proba(X)
        parts, names = ([found], [self.classes_]) if self._flat else (found, self.classes_)
        columns = [named(p, own) for p, own in zip(parts, names, strict=True)]
        if len({"number" if column.dtype.kind in "iuf" else column.dtype.kind for column in columns}) > 1:
            columns = [column.astype(object) for column in columns]  # words do not make words of the others
        return columns[0] if self._flat else np.stack(columns, axis=1)

    def predict_log_proba(self, X: Any) -> Any:
        """Logarithms of the probabilities.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Molecules, as in `fit`.

        Returns
        -------
        ndarray, shape [n, classes], or list of such for several tasks
            As of `predict_proba`.
        """
        found = self.predict_proba(X)
        with np.errstate(divide="ignore"):  # what rounds to a probability of zero is minus infinity
            return np.log(found) if self._flat else [np.log(p) for p in found]

    def score(self, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Accuracy, the mean over the tasks.

        Parameters
        ----------
        X : list, tuple, ndarray, Series, one-column DataFrame, generator, or path to a file
            Molecules, as in `fit`.
        y : array-like, shape [n] or [n, T]
            Classes; what is NaN or None is left out of its task, and a task without labels out of the mean.
        sample_weight : array-like, shape [n], optional
            Weights of the molecules.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            If no class is known, `y` has other tasks than in `fit`, or, with ``errors="nan"``, molecules
            failed.
        """
        molecules, y = as_targets(X, y)
        return mean_score(accuracy_score, y, self.predict(molecules), sample_weight)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
