"""The same random numbers for each test of an objective, and what most of them look at."""

import pytest
import torch
from objective_examples import random_batch

from skmol3d.encoders import REM3DI, EquivariantTransformerConfig, REM3DIConfig


@pytest.fixture(autouse=True)
def seed():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def batch():
    return random_batch()


@pytest.fixture
def encoder():
    """Random weights, in double precision; hydrogens are atoms of their own."""
    backbone = EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=6)
    sizes = {"width": 8, "layers": 1, "heads": 2, "pair_width": 4, "radial": 6, "readout": 12, "chiral": 4}
    made = REM3DI(REM3DIConfig(backbone, hydrogens=True, **sizes)).double()
    made.vector_rms.fill_(0.05)
    return made
