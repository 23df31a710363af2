"""Fixtures for all tests: a tiny random encoder, so that none needs a download or a GPU."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random REM3DI checkpoint of a few thousand weights."""
    import torch

    from skmol3d import hub
    from skmol3d.encoders.equivariant_transformer import EquivariantTransformerConfig
    from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig

    backbone = EquivariantTransformerConfig(width=16, layers=1, heads=2, radial=8)
    config = REM3DIConfig(
        backbone=backbone,
        width=16,
        layers=1,
        heads=2,
        pair_width=8,
        chiral=4,
        readout=16,
        pooling=("mean", "std"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = REM3DI(config)
        for parameter in encoder.parameters():
            # Gates start at zero: without this the pair branch would do nothing in the tests.
            if not parameter.any():
                torch.nn.init.normal_(parameter, std=0.3)
    folder: Path = tmp_path_factory.mktemp("checkpoints") / "tiny"
    return str(hub.save_pretrained(encoder, folder, card="A random encoder for tests."))
