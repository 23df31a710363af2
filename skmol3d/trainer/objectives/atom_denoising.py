"""REM3DI's pretext objective: recover noisy atom features from the molecular descriptor."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from skmol3d.encoders.layers import PairBiasedBlock
from skmol3d.encoders.rem3di import REM3DI, Tokens
from skmol3d.trainer.objectives.encoder import KIND, EncoderPart, Setting, View
from skmol3d.trainer.objectives.registry import Loss, objective

NOISE = 0.3


@objective(KIND, Loss("denoising", "noisy features of atoms, restored from the descriptor"))
class AtomDenoising(EncoderPart):
    """Mean squared error of the denoised invariants over σ² (arXiv:2607.19977).

    The encoder reads the clean invariants S and gives the descriptor M; a decoder reads S + σε, the clean
    pairs and M, and returns S. S is standardised by fixed statistics and passes through no trainable layer,
    so the network cannot shrink its target.
    """

    def __init__(self, encoder: REM3DI, descriptor: int, layers: int = 2, width: int = 128) -> None:
        super().__init__()
        scalars = encoder.backbone.sizes[0]
        self.project = nn.Linear(scalars, width)
        self.blocks = nn.ModuleList(
            PairBiasedBlock(width, encoder.config.heads, encoder.config.pair_width, memory=descriptor)
            for _ in range(layers)
        )
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, scalars))

    @classmethod
    def build(cls, names: Collection[str], setting: Setting) -> AtomDenoising:
        """For the columns of an encoder."""
        return cls(setting.encoder, setting.encoder.pool.size)

    def compute(self, view: View) -> dict[str, Tensor]:
        """Loss of a batch."""
        return {"denoising": self(view.tokens, view.descriptor)}

    def forward(self, tokens: Tokens, descriptor: Tensor) -> Tensor:
        clean = tokens.scalars.detach()
        noisy = clean + NOISE * torch.randn_like(clean)
        x = self.project(noisy)
        for block in self.blocks:
            x = block(x, tokens.pairs, tokens.places, descriptor)
        # The network predicts the correction: at the start its output is the noisy input itself.
        error = (noisy + NOISE * self.out(x) - clean)[tokens.real]
        return error.square().mean() / NOISE**2
