"""AIMNet2 as a backbone: invariants, and energies of its own that forces come from."""

import sys
from dataclasses import replace

import pytest
import torch
from aimnet2_examples import ARCHITECTURE, SHIFTS
from encoder_examples import collate, example, moved, rotation, seeded

from skmol3d.encoders import AIMNet2Config, Potential, PotentialConfig
from skmol3d.encoders.backbones import build_backbone
from skmol3d.encoders.periodic import PeriodicBatch

D3 = {"s6": 1.0, "s8": 0.39, "a1": 0.566, "a2": 3.128}
CONFIG = AIMNet2Config(architecture=ARCHITECTURE, elements=tuple(SHIFTS), features=8, dispersion=D3)
ITEMS = [example("CH3CH2OH"), example("H2O"), example("CO", charge=1.0)]


@pytest.fixture(scope="module")
def backbone():
    return seeded(lambda: build_backbone(CONFIG)).float()


def test_features_are_invariant_and_depend_on_their_molecule_alone(backbone):
    features = backbone(collate(*ITEMS))
    assert backbone.sizes == (9, 1)
    assert not features.vectors.any()
    turned = backbone(collate(*(moved(item, -rotation(), (1.0, 2.0, 3.0)) for item in ITEMS)))
    alone = backbone(collate(ITEMS[1]))
    for other, own in ((turned, features), (alone, type(features)(*(v[9:12] for v in features)))):
        torch.testing.assert_close(other.scalars, own.scalars, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(other.energies, own.energies, atol=1e-5, rtol=1e-4)


def test_forces_are_the_gradient_of_its_own_energy():
    potential = seeded(lambda: Potential(PotentialConfig(CONFIG))).float()
    batch = collate(ITEMS[0])
    _, forces = potential.energy_and_forces(batch)
    step = torch.zeros_like(batch.positions)
    step[1, 2] = 1e-2
    up, down = (potential.energy(replace(batch, positions=batch.positions + s)) for s in (step, -step))
    torch.testing.assert_close(forces[1, 2], ((down - up) / 2e-2)[0], rtol=3e-2, atol=1e-3)


def test_what_it_was_not_made_for_is_refused(backbone):
    with pytest.raises(ValueError, match=r"atomic numbers \[16\] are not among those"):
        backbone(collate(example("CH3SH")))
    batch = collate(ITEMS[1])
    cells = 9.0 * torch.eye(3, dtype=torch.float64)[None]
    crystal = PeriodicBatch(batch.numbers, batch.positions, batch.counts, batch.charge, cells=cells)
    with pytest.raises(ValueError, match="not for crystals"):
        backbone(crystal)
    neutral = seeded(lambda: build_backbone(replace(CONFIG, charged=False))).float()
    with pytest.raises(ValueError, match="not trained on ions"):
        neutral(collate(ITEMS[2]))
    with pytest.raises(ValueError, match="dispersion has s6, s8, a1 and a2"):
        replace(CONFIG, dispersion={"s9": 1.0})


def test_without_aimnet_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "aimnet.config", None)
    with pytest.raises(ImportError, match=r'AIMNet2 needs aimnet \(pip install "skmol3d\[aimnet2\]"\)'):
        build_backbone(CONFIG)
