"""A tiny encoder and what the hub tests do to its checkpoint."""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from skmol3d.encoders import (
    REM3DI,
    AtomBatch,
    EquivariantTransformerConfig,
    REM3DIConfig,
)

CARD = "# A tiny encoder\n\nTrained on nothing.\n"
BACKBONE = EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=4)
TINY = REM3DIConfig(backbone=BACKBONE, width=8, layers=1, heads=2, pair_width=4, radial=4, chiral=2)
WATER = AtomBatch.from_arrays(
    [([8, 1, 1], np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]]), 0.0, None)]
)


def make_encoder(seed: int = 0) -> nn.Module:
    """A tiny REM3DI with random weights and random buffers."""
    torch.manual_seed(seed)
    encoder = REM3DI(TINY)
    encoder.scalar_mean.normal_()
    return encoder.eval()


def same(a: nn.Module, b: nn.Module) -> bool:
    one, two = a.state_dict(), b.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def replace_weights(folder: Path, content: bytes) -> None:
    """Other weights under a matching hash, as only their author could make them."""
    (folder / "model.safetensors").write_bytes(content)
    edit_config(folder, weights_sha256=hashlib.sha256(content).hexdigest())


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)
