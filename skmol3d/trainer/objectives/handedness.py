"""Handedness: the CIP labels of stereocentres."""

from __future__ import annotations

from collections.abc import Collection

from torch import Tensor, nn
from torch.nn.functional import softplus

from skmol3d.encoders.rem3di import Tokens
from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective


@objective(KIND, Loss("handedness", "CIP labels of stereocentres, through odd maps", "handedness"))
class Handedness(EncoderPart):
    """CIP label of stereocentres (+1 R, -1 S) from the pseudoscalars alone, through an odd map.

    The logit changes sign under reflection as the label does; labels [N] are 0 where there is no
    stereocentre.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head = nn.Linear(channels, 1, bias=False)

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> Handedness:
        """For the pseudoscalars of an encoder."""
        return cls(setting.encoder.config.chiral)

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch with the target ``handedness``."""
        return {"handedness": self(view.tokens, view.targets["handedness"])}

    def forward(self, tokens: Tokens, labels: Tensor) -> Tensor:
        labels = labels[tokens.index].float()
        logits = self.head(tokens.atoms.unpad(tokens.pseudoscalars))[:, 0]
        return (softplus(-labels * logits) * labels.abs()).sum() / labels.abs().sum().clamp(min=1)
