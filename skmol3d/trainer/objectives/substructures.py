"""Context-aware self-supervision: which substructures an atom belongs to, with masked elements."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from skmol3d.encoders.rem3di import REM3DI, Tokens
from skmol3d.trainer.data.substructures import read_substructures
from skmol3d.trainer.data.transforms import MASK, mask_elements
from skmol3d.trainer.objectives.assays import EACH
from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective


@objective(KIND, Loss("substructures", "substructures of atoms, some elements hidden", "membership"))
class SubstructureMembership(EncoderPart):
    """Binary cross-entropy of each atom's membership in each substructure, through a linear read-out.

    The context task of context- and geometry-aware self-supervision of 3D conformers (the poster that also
    gives `global_frame` its task; 304 SMARTS there, their list unpublished). Mean over heavy atoms and
    substructures.

    Parameters
    ----------
    width : int
        Channels of an encoded token.
    """

    masked = 0.15  # share of heavy atoms whose elements are hidden

    def __init__(self, width: int) -> None:
        super().__init__()
        self.substructures = len(read_substructures())
        self.head = nn.Linear(width, self.substructures)

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> SubstructureMembership:
        """For the tokens of an encoder, to which a masked element is made known."""
        made = cls(setting.encoder.config.width)
        give_mask_an_embedding(setting.encoder)
        made.masked = setting.masked
        return made

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch with the target ``membership``, in a pass of its own."""
        hidden, _ = mask_elements(view.batch, self.masked)
        return {"substructures": self(view.encoder.tokens(hidden), view.targets["membership"])}

    def observe(self, view: View) -> dict[str, Tensor]:
        """Log-odds and memberships of the heavy atoms, all elements shown."""
        packed = view.targets["membership"][view.tokens.index]
        return {"logits": self.logits(view.tokens), "labels": unpack_bits(packed, self.substructures)}

    def marks(self, observed: dict[str, Tensor]) -> dict[str, float]:
        """The lowest and the mean ``auroc`` over the substructures that have atoms enough."""
        inside = observed["labels"].sum(0)
        enough = torch.minimum(inside, len(observed["labels"]) - inside) >= EACH
        if not enough.any():
            return {}
        areas = auroc(observed["logits"][:, enough], observed["labels"][:, enough])
        return {"auroc_lowest": float(areas.min()), "auroc_mean": float(areas.mean())}

    def forward(self, tokens: Tokens, membership: Tensor) -> Tensor:
        """Loss of labels ``membership``, uint8 [N, ⌈K/8⌉] for all atoms as `numpy.packbits` wrote them."""
        heavy = tokens.atoms.numbers != 1
        if not heavy.any():
            return self.head.weight.sum() * 0.0
        labels = unpack_bits(membership[tokens.index[heavy]], self.substructures)
        logits = self.logits(tokens)[heavy]
        return binary_cross_entropy_with_logits(logits, labels.to(logits))

    def logits(self, tokens: Tokens) -> Tensor:
        """Log-odds of membership [T, K] of the tokens ``tokens.index``."""
        return self.head(tokens.encoded[tokens.real])


def give_mask_an_embedding(encoder: REM3DI) -> None:
    """Make the masked element an average one: the frozen backbone never saw it, and cannot learn it now."""
    elements = list(encoder.elements)
    for module in encoder.backbone.modules():
        if isinstance(module, nn.Embedding):
            with torch.no_grad():
                module.weight[MASK] = module.weight[elements].mean(0)


def unpack_bits(packed: Tensor, count: int) -> Tensor:
    """The first ``count`` bits of rows that `numpy.packbits` packed: uint8 [N, ⌈count/8⌉] -> [N, count]."""
    if packed.shape[1] != -(-count // 8):
        raise ValueError(
            f"labels of {count} substructures take {-(-count // 8)} bytes per atom, got {packed.shape[1]}: "
            "pack the set again with the shipped list"
        )
    shifts = torch.arange(7, -1, -1, dtype=torch.uint8, device=packed.device)
    return (packed[:, :, None] >> shifts & 1).flatten(1)[:, :count]


def auroc(scores: ArrayLike, labels: ArrayLike) -> NDArray[np.float64]:
    """Area under the ROC curve of each column of ``scores`` [N, K] against 0/1 ``labels`` [N, K].

    From the ranks of the positives (Mann-Whitney), ties sharing theirs; NaN for columns of one class.
    """
    labels = np.asarray(labels, bool)
    ranks = np.stack([_ranks(column) for column in np.asarray(scores).T], 1)
    positives = labels.sum(0)
    pairs = positives * (len(labels) - positives)
    wins = (ranks * labels).sum(0) - positives * (positives + 1) / 2
    return np.divide(wins, pairs, out=np.full(labels.shape[1], np.nan), where=pairs > 0)


def _ranks(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    ordered = np.sort(values)
    below, up_to = np.searchsorted(ordered, values, "left"), np.searchsorted(ordered, values, "right")
    return (below + up_to + 1) / 2
