"""What decides the rows of a featurizer: by it a run that was stopped knows whether it is the same run."""

from __future__ import annotations

from typing import Any

import rdkit

import skmol3d

HOW = ("errors", "verbose", "n_jobs", "device", "batch_size", "cache_dir")
"""Parameters of featurizers that rows do not depend on (beyond rounding): a stopped run may change them."""


def identity(featurizer: Any) -> dict[str, Any]:
    """All that rows depend on, but for the inputs.

    Parameters
    ----------
    featurizer : StructureFeaturizer
        Fitted, so that its checkpoint is known.

    Returns
    -------
    dict of str to object
        Its class, its parameters without those of `HOW`, the hash of its checkpoint, versions; JSON can hold
        it.
    """
    return {**_described(featurizer), "skmol3d": skmol3d.__version__, "rdkit": rdkit.__version__}


def _described(featurizer: Any) -> dict[str, Any]:
    checkpoint = getattr(featurizer, "checkpoint_", None)
    values = {name: value for name, value in featurizer.get_params(deep=False).items() if name not in HOW}
    return {
        "featurizer": type(featurizer).__name__,
        "weights": checkpoint and checkpoint.fingerprint,
        **{name: _described(v) if hasattr(v, "get_params") else v for name, v in values.items()},
    }
