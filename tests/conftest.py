"""Fixtures for all tests: tiny random encoders, so that none needs a download or a GPU."""

import signal
from pathlib import Path

import pytest

# A shell lets what it runs in the background ignore Ctrl-C, and so would all processes that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random REM3DI checkpoint of a few thousand weights."""
    import torch

    from skmol3d import hub
    from skmol3d.encoders.backbones import EquivariantTransformerConfig
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


@pytest.fixture(scope="session")
def tiny_mo3enet(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random Mo3ENet checkpoint of a few thousand weights: 12 vectors, 80 points, ORGANIC."""
    import torch

    from skmol3d import hub
    from skmol3d.encoders.atoms import ORGANIC
    from skmol3d.encoders.mo3enet import Mo3ENet, Mo3ENetConfig
    from skmol3d.encoders.mo3enet.decoder import EMLPDecoderConfig

    config = Mo3ENetConfig(
        width=16,
        vectors=6,
        messages=8,
        pooled=10,
        context=24,
        embedding=80,
        swarm=80,
        decoder=EMLPDecoderConfig(width=20, layers=1),
        elements=ORGANIC,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = Mo3ENet(config)
    folder: Path = tmp_path_factory.mktemp("checkpoints") / "tiny-mo3enet"
    return str(hub.save_pretrained(encoder, folder, card="A random encoder for tests."))


@pytest.fixture(scope="session")
def tiny_potential(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of a random Potential checkpoint of a few thousand weights."""
    import torch

    from skmol3d import hub
    from skmol3d.encoders.backbones import EquivariantTransformerConfig
    from skmol3d.encoders.potential import Potential, PotentialConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        potential = Potential(
            PotentialConfig(EquivariantTransformerConfig(width=16, layers=1, heads=2, radial=8))
        )
    folder: Path = tmp_path_factory.mktemp("checkpoints") / "tiny-potential"
    return str(hub.save_pretrained(potential, folder, card="A random potential for tests."))


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with labels.npz, smiles.csv, targets.npz, corpus/shard_0000.npz and probe/length.npz."""
    import pandas as pd
    from trainer_examples import SMILES, write_labels

    from skmol3d.trainer.data.pack import pack_corpus, pack_probes, pack_xtb

    root = tmp_path_factory.mktemp("data")
    write_labels(root / "labels.npz", SMILES)
    pd.DataFrame({"row": range(len(SMILES)), "smiles": SMILES}).to_csv(root / "smiles.csv", index=False)
    pack_xtb(root / "labels.npz", root / "smiles.csv", root / "targets.npz")
    pack_corpus(root / "smiles.csv", root / "corpus", count=len(SMILES), largest=20, n_jobs=1, seed=0)
    (root / "tasks").mkdir()
    split = ["train"] * 8 + ["test"] * 2
    table = pd.DataFrame({"smiles": SMILES, "y": [len(s) / 10 for s in SMILES], "split": split})
    table.to_csv(root / "tasks" / "length.csv", index=False)
    pack_probes(root / "tasks", root / "probe", None, count=6, n_jobs=1, seed=0)
    return root
