"""Regression of crystal energies on the rows of `CrystalFeaturizer`."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from skmol3d.inference import find_device

if TYPE_CHECKING:
    import torch

    from skmol3d.encoders.crystal_energy import CrystalEnergy
    from skmol3d.featurizers import CrystalFeaturizer

AT_ONCE = 8192
"""Rows that are predicted together."""


class CrystalEnergyRegressor(RegressorMixin, BaseEstimator):
    """Neural network from rows of crystals to one or several energies.

    The crystal model of Mo3ENet (arXiv:2405.13791, section 4.4): a multilayer perceptron on an embedding of
    the molecule beside cell and pose, trained by AdamW with a cosine schedule on a smooth L1 loss. Columns
    and energies are standardised inside.

    The bundled "crystal-energy-small", for the rows that its `featurizer` makes, learned to emulate two
    energy functions on synthesised crystals of some 20,000 molecules, one in the asymmetric unit, in six
    space groups. It is no better than those functions, and on the X23 set orders compounds worse than the
    number of heavy atoms does (``python -m skmol3d.benchmark.experiments.x23 FILE`` prints it):
    `skmol3d.crystals.lattice_energy` computes the second energy itself.

    Parameters
    ----------
    width, layers : int, default=256, 4
        Of the hidden layers.
    dropout : float, default=0.0
        In the hidden layers.
    epochs : int, default=40
        Passes over the rows.
    batch_size : int, default=256
        Rows per step.
    learning_rate : float, default=2e-3
        Its peak.
    weight_decay : float, default=1e-2
        Of AdamW.
    clip : float, default=0.005
        Training energies are clipped at this quantile and at one minus it: overlapping molecules have
        energies of any size.
    device : str, default="auto"
        "auto" (a CUDA device, or else the CPU) or a torch device.
    random_state : int, RandomState or None, default=0
        Of the initial weights, the order of the rows and dropout.

    Attributes
    ----------
    network_ : CrystalEnergy
        The trained network, on the CPU.
    n_features_in_ : int
        Columns of a row.

    References
    ----------
    https://doi.org/10.48550/arXiv.2405.13791, section 4.4 and appendix D

    Examples
    --------
    >>> import numpy as np
    >>> from skmol3d import CrystalEnergyRegressor
    >>> rows = np.random.default_rng(0).normal(size=(300, 15))
    >>> energies = -50 + 10 * rows[:, 0] + 5 * rows[:, 1] * rows[:, 2]
    >>> model = CrystalEnergyRegressor(width=32, layers=2, batch_size=32).fit(rows[:250], energies[:250])
    >>> model.score(rows[250:], energies[250:]) > 0.8
    True
    """

    def __init__(
        self,
        width: int = 256,
        layers: int = 4,
        dropout: float = 0.0,
        epochs: int = 40,
        batch_size: int = 256,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        clip: float = 0.005,
        device: str = "auto",
        random_state: Any = 0,
    ) -> None:
        self.width = width
        self.layers = layers
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clip = clip
        self.device = device
        self.random_state = random_state

    def fit(
        self, X: Any, y: Any, targets: tuple[str, ...] | None = None, embedding: str = "", output: str = ""
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array of shape [n, columns]
            Rows, as of `CrystalFeaturizer`.
        y : array of shape [n] or [n, T]
            Energies, in any units.
        targets : tuple of str, length T, optional
            Their names, which a saved checkpoint remembers.
        embedding, output : str, optional
            Checkpoint and output of the `Mo3ENetFeaturizer` that describes the molecules in these rows, which
            a saved checkpoint remembers, too: `featurizer` makes such rows again.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If `X` holds crystals instead of their rows.
        ValueError
            If rows or energies are not finite, or lengths differ.
        """
        import torch
        from torch.nn.functional import smooth_l1_loss

        from skmol3d.encoders.crystal_energy import CrystalEnergy, CrystalEnergyConfig

        _refuse_crystals(X)
        X, y = validate_data(self, X, y, multi_output=True, y_numeric=True, dtype=np.float32)
        self._flat = y.ndim == 1
        y = np.asarray(y, np.float64).reshape(len(X), -1)
        targets = targets or tuple(f"energy_{k}" for k in range(y.shape[1]))
        sizes = int(self.width), int(self.layers), float(self.dropout)
        config = CrystalEnergyConfig(X.shape[1], tuple(targets), *sizes, embedding, output)
        if len(config.targets) != y.shape[1]:
            raise ValueError(f"{len(config.targets)} names for {y.shape[1]} energies")
        y = np.clip(y, *np.quantile(y, [self.clip, 1 - self.clip], axis=0))
        device = self._find_device()
        rng = check_random_state(self.random_state)
        with torch.random.fork_rng():
            torch.manual_seed(int(rng.randint(2**31 - 1)))
            network = CrystalEnergy(config)
            mean, scale = _standardise(network, X, y)
            network.to(device).train()
            rows = torch.tensor(X, device=device)
            wanted = torch.from_numpy(((y - mean) / scale).astype(np.float32)).to(device)
            steps = int(self.epochs) * -(-len(X) // int(self.batch_size))
            optimiser = torch.optim.AdamW(
                network.parameters(), float(self.learning_rate), weight_decay=float(self.weight_decay)
            )
            rising = min(0.1 * steps, 100) if steps > 10 else 0.5  # torch divides by what is above one step
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, float(self.learning_rate), total_steps=steps, pct_start=rising / steps
            )
            for index in self._batches(len(X), rng):
                part = torch.from_numpy(index).to(device)
                loss = smooth_l1_loss(network.standard(rows[part]), wanted[part])
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimiser.step()
                schedule.step()
        self.network_ = network.eval().cpu()
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _find_device(self) -> torch.device:
        device = find_device(self.device)
        if device is None:
            raise ValueError(
                f"device={self.device!r} is not available on this machine; use device='auto' or 'cpu'"
            )
        return device

    def _batches(self, count: int, rng: Any) -> Iterator[NDArray[np.intp]]:
        for _ in range(int(self.epochs)):
            order = rng.permutation(count)
            for start in range(0, count, int(self.batch_size)):
                yield order[start : start + int(self.batch_size)]

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Energies of crystals from their rows.

        Parameters
        ----------
        X : array of shape [n, columns]
            Rows, as of `CrystalFeaturizer`.

        Returns
        -------
        ndarray of float64, shape [n] or [n, T]
            In the units of `fit`; a column for each name in ``network_.config.targets`` if there are several.

        Raises
        ------
        TypeError
            If `X` holds crystals instead of their rows.
        ValueError
            If rows are not finite, or have another number of columns.
        """
        import torch

        check_is_fitted(self)
        _refuse_crystals(X)
        self._refuse_other_rows(X)
        X = validate_data(self, X, dtype=np.float32, reset=False)
        device = self._find_device()
        # In double precision, which MPS lacks: in single, the last digits depend on the rows beside one.
        precision = torch.float32 if device.type == "mps" else torch.float64
        # A copy: other threads, on other devices, may predict with this one at the same time.
        network = copy.deepcopy(self.network_).to(device, precision)
        with torch.no_grad():
            parts = [
                network(torch.tensor(X[start : start + AT_ONCE], device=device, dtype=precision))
                .cpu()
                .numpy()
                for start in range(0, len(X), AT_ONCE)
            ]
        found = np.concatenate(parts).astype(np.float64)
        return found[:, 0] if self._flat else found

    def featurizer(self, **parameters: Any) -> CrystalFeaturizer:
        """What makes the rows that the network was trained on.

        Parameters
        ----------
        **parameters
            Of `CrystalFeaturizer`, such as ``n_jobs`` and ``errors``; `device` is that of the regressor.

        Returns
        -------
        CrystalFeaturizer
            Not fitted: it can stand in a pipeline.

        Raises
        ------
        ValueError
            If the network does not say which rows it takes.
        """
        from skmol3d.featurizers import CrystalFeaturizer, Mo3ENetFeaturizer

        check_is_fitted(self)
        config = self.network_.config
        if not config.embedding:
            raise ValueError(
                f"this network does not say which rows it takes: {config.columns} columns, those of the"
                " featurizer that it was trained with"
            )
        molecule = Mo3ENetFeaturizer(config.embedding, output=config.output, device=self.device)
        return CrystalFeaturizer(molecule, **parameters)

    def _refuse_other_rows(self, X: Any) -> None:
        """Raise ValueError for rows of another width than those of a network that says which it takes."""
        config = self.network_.config
        shape: tuple[int, ...] = getattr(X, "shape", ())
        if config.embedding and len(shape) == 2 and shape[1] != config.columns:
            raise ValueError(
                f"rows of {shape[1]} columns; this network takes the {config.columns} of"
                f' CrystalFeaturizer(Mo3ENetFeaturizer("{config.embedding}", output="{config.output}")):'
                " make them with featurizer().fit_transform(crystals), a method of this regressor"
            )

    @classmethod
    def from_pretrained(cls, name: str, revision: str | None = None) -> Self:
        """Fitted regressor of a checkpoint, such as "crystal-energy-small".

        Its `featurizer` makes the rows that it takes.

        Parameters
        ----------
        name : str
            Bundled checkpoint, folder, or Hugging Face Hub repository; its energies are those in
            ``network_.config.targets``.
        revision : str, optional
            Branch, tag or commit of a Hub repository.

        Raises
        ------
        skmol3d.hub.CheckpointError
            If the checkpoint cannot be found or is damaged.
        ValueError
            If it holds something else.
        """
        from skmol3d.encoders.crystal_energy import CrystalEnergy
        from skmol3d.hub import from_pretrained

        network: Any = from_pretrained(name, revision=revision)
        if not isinstance(network, CrystalEnergy):
            raise ValueError(f"{name}: a checkpoint of {network.name}, not of {CrystalEnergy.name}")
        config = network.config
        made = cls(config.width, config.layers, config.dropout)
        made.network_, made.n_features_in_ = network, config.columns
        made._flat = len(config.targets) == 1
        return made

    def save(self, folder: str | Path, card: str) -> Path:
        """Write the fitted network as a checkpoint folder with a model card (Markdown)."""
        from skmol3d.hub import save_pretrained

        check_is_fitted(self)
        return save_pretrained(self.network_, folder, card)


def _refuse_crystals(X: Any) -> None:
    """Raise TypeError for crystals and paths, of which numpy would say that their shape is inhomogeneous."""
    values = X.iloc[:1] if hasattr(X, "iloc") else X if isinstance(X, list | tuple) else [X]
    for value in [X, *values[:1]]:
        path = isinstance(value, str | os.PathLike)
        if path or any(hasattr(value, name) for name in ("get_positions", "frac_coords", "space_group")):
            kind = "paths" if path else type(value).__name__
            raise TypeError(
                f"rows of numbers are expected, not {kind}: make them with"
                " CrystalFeaturizer(...).fit_transform(crystals), or put the two into one pipeline"
            )


def _standardise(
    network: CrystalEnergy, X: NDArray[np.float32], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Set the means and scales of a network, and return those of the energies; 1 for what never changes.

    But for rounding: columns, such as cosines, are of about one, and energies of any unit.
    """
    import torch

    for name, values in (("column", X), ("target", y)):
        mean, scale = values.mean(0, dtype=float), values.std(0, dtype=float)
        scale[scale < 1e-6 if name == "column" else scale <= 1e-7 * np.abs(mean)] = 1.0
        getattr(network, f"{name}_mean").copy_(torch.from_numpy(mean))
        getattr(network, f"{name}_scale").copy_(torch.from_numpy(scale))
    return mean, scale
