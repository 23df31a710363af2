"""Named featurization methods for the comparison: ours, its ablations, and the rivals."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem, rdBase

from skmol3d.benchmark.store import ConformerStore
from skmol3d.structures import Conformers, StructureError, read_molecule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from skmol3d.encoders.atoms import AtomBatch

METHODS = {
    "rem3di": "REM3DI embedding of a pretrained checkpoint; the heads choose among its blocks",
    "rem3di-random": "the same architecture with random weights",
    "pooled-backbone": "mean, std, max, min and sum over atoms of the checkpoint's backbone invariants",
    "ecfp": "ECFP4, 2048 bits",
    "ecfp-count": "ECFP4, 2048 counts",
    "rdkit2d": "all RDKit 2D descriptors",
    "ecfp-count+rdkit2d": "both side by side",
}
# Small on purpose: for larger tensors glibc asks the system for fresh pages each time, which makes 2048
# atoms three times slower on a CPU.
ATOMS_PER_BATCH = 128
DESCRIPTOR_BOUND = 1e6  # a few descriptors (Ipc) grow exponentially with size and would rule every scaling


def make_method(
    name: str,
    model: str | Path = "rem3di-small",
    store: ConformerStore | None = None,
    n_jobs: int | None = None,
    seed: int = 0,
) -> Any:
    """Return a method for `skmol3d.benchmark.evaluate`.

    Parameters
    ----------
    name : str
        One of `METHODS`.
    model : str or path
        Checkpoint of the encoder-based methods (bundled name, folder or Hub id).
    store : ConformerStore, optional
        Source of the conformers, shared by the encoder-based methods.
    n_jobs : int, optional
        Worker processes for fingerprints.
    seed : int
        Seed of the random weights.

    Returns
    -------
    transformer or callable
        From SMILES to features.

    Raises
    ------
    ValueError
        For an unknown name.
    skmol3d.hub.CheckpointError
        If the checkpoint cannot be loaded.
    """
    if name in ("ecfp", "ecfp-count"):
        from skmol3d.featurizers import ECFPFeaturizer

        return ECFPFeaturizer(radius=2, n_bits=2048, count=name == "ecfp-count", n_jobs=n_jobs)
    if name == "rdkit2d":
        return rdkit_descriptors
    if name == "ecfp-count+rdkit2d":
        counts = make_method("ecfp-count", n_jobs=n_jobs).set_params(errors="nan")
        return lambda smiles: np.hstack([counts.transform(smiles), rdkit_descriptors(smiles)])
    if name not in METHODS:
        raise ValueError(f"unknown method {name!r}; known methods: {', '.join(METHODS)}")
    from skmol3d.hub import from_pretrained

    encoder = from_pretrained(model)
    if name == "rem3di-random":
        encoder = reinitialised(encoder, seed)
    function = PooledBackbone(encoder) if name == "pooled-backbone" else encoder
    return EncodedConformers(function, store or ConformerStore())


class EncodedConformers:
    """Rows of an encoder on the first conformer of each molecule.

    Equal to `REM3DIFeaturizer` with the same settings, but on conformers that several methods share.

    Parameters
    ----------
    encoder : Module or PooledBackbone
        With ``elements`` and ``output_blocks()``, from `AtomBatch` to a Tensor [B, D].
    store : ConformerStore
        Source of the conformers.
    """

    def __init__(self, encoder: Any, store: ConformerStore) -> None:
        self.encoder = encoder
        self.store = store

    @property
    def choices(self) -> dict[str, dict[str, NDArray[np.intp]]] | None:
        """Sets of columns for each head: dense ones suit linear models, whole-number counts suit trees."""
        blocks = self.encoder.output_blocks()
        if "words" not in blocks:
            return None
        names = np.repeat(list(blocks), list(blocks.values()))
        wholes = {"words": ["words"], "words and pairs": ["words", "pairs"]}
        counts = {name: np.flatnonzero(np.isin(names, parts)) for name, parts in wholes.items()}
        dense = np.flatnonzero(~np.isin(names, ["words", "pairs"]))
        return {"linear": {"all": np.arange(len(names)), "dense": dense} | counts, "forest": counts}

    def __call__(self, smiles: list[str]) -> NDArray[np.float32]:
        """Rows [n, D]; NaN where there is no conformer, or an element the encoder does not know."""
        import torch

        from skmol3d.inference import Item, encode

        places, items = [], []
        for i, made in enumerate(self.store.get(smiles)):
            if isinstance(made, Conformers) and set(made.numbers.tolist()) <= set(self.encoder.elements):
                places.append(i)
                items.append(Item(made.numbers, made.positions[0], made.charge, made.bonds))
        encoded, _, _ = encode(self.encoder, items, torch.device("cpu"), ATOMS_PER_BATCH)
        rows = np.full((len(smiles), encoded.shape[1]), np.nan, dtype=np.float32)
        rows[places] = encoded
        return rows


def reinitialised(encoder: "nn.Module", seed: int) -> "nn.Module":
    """An encoder of the same configuration with random weights."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config: Any = encoder.config
        return type(encoder)(config).eval()


class PooledBackbone:
    """Plain pooling of the invariants of an encoder's backbone over all atoms: mean, std, max, min, sum."""

    def __init__(self, encoder: Any) -> None:
        self.backbone = encoder.backbone
        self.elements = encoder.elements

    def output_blocks(self) -> dict[str, int]:
        """Names and sizes of the blocks of columns."""
        return dict.fromkeys(("mean", "std", "max", "min", "sum"), self.backbone.sizes[0])

    def __call__(self, batch: "AtomBatch") -> "Tensor":
        """Rows [B, 5 S]."""
        import torch

        molecules = self.backbone(batch).scalars.split(batch.counts.tolist())
        return torch.stack(
            [
                torch.cat([s.mean(0), s.std(0, correction=0), s.amax(0), s.amin(0), s.sum(0)])
                for s in molecules
            ]
        )


def rdkit_descriptors(smiles: list[str]) -> NDArray[np.float32]:
    """All RDKit 2D descriptors, clipped; NaN where one is undefined, rows of NaN where a SMILES is not valid.

    The heads replace single missing values by medians of the training part.
    """
    return _rdkit_descriptors(tuple(smiles)).copy()


@lru_cache(maxsize=1)  # two methods want them, and they take minutes
def _rdkit_descriptors(smiles: tuple[str, ...]) -> NDArray[np.float32]:
    from rdkit.Chem import Descriptors

    names = [name for name, _ in Descriptors._descList]
    rows = np.full((len(smiles), len(names)), np.nan)
    with rdBase.BlockLogs():
        for row, text in zip(rows, smiles, strict=True):
            try:
                molecule = read_molecule(text)
            except StructureError:
                continue

            values = Descriptors.CalcMolDescriptors(
                Chem.RemoveHs(molecule.mol), missingVal=np.nan, silent=True
            )
            row[:] = [values[name] for name in names]
    rows[np.isinf(rows)] = np.nan
    return rows.clip(-DESCRIPTOR_BOUND, DESCRIPTOR_BOUND).astype(np.float32)
