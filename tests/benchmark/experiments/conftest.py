"""Small models and molecules for comparisons with other libraries."""

import numpy as np
import pytest
import torch

from skmol3d.benchmark.experiments import training_throughput
from skmol3d.encoders import EGNNConfig, EquivariantTransformerConfig
from skmol3d.trainer.data.sets import PackedSet


@pytest.fixture
def small(monkeypatch):
    sizes = {
        "et": EquivariantTransformerConfig(width=12, layers=2, heads=3, radial=8),
        "egnn": EGNNConfig(width=12, layers=3, channels=4, radial=8),
    }
    monkeypatch.setattr(training_throughput, "MODELS", sizes)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def molecules():
    """Two made-up molecules, the first an ion with atoms beyond each other's cutoff."""
    rng = np.random.default_rng(0)
    positions = rng.normal(scale=1.2, size=(8, 3)).astype(np.float32)
    positions[4] += 3.0
    return PackedSet(
        numbers=np.array([7, 1, 1, 6, 8, 1, 6, 17], np.uint8),
        positions=positions,
        offsets=np.array([0, 5, 8]),
        charge=np.array([1, 0], np.float32),
        group=np.array([0, 1]),
        atom_targets={"forces": rng.normal(size=(8, 3)).astype(np.float32)},
        molecule_targets={"energy": np.array([-3.0, 2.0])},
    )


@pytest.fixture
def egnn_pair(small):
    """Our EGNN and the plain one, with moves large enough to matter."""
    ours, rival = training_throughput.pair("egnn", 8)
    with torch.no_grad():
        for layer in [*ours.backbone.layers, *rival.layers]:
            layer.move[2].weight.mul_(1000.0)
    return ours, rival
