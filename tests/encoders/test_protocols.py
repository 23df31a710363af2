"""A user's own backbone is one class and one registration: nothing else knows the names of backbones."""

import dataclasses
import json
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from aimnet2_examples import ARCHITECTURE
from encoder_examples import collate, example, seeded
from torch import nn

from skmol3d import hub
from skmol3d.encoders import (
    ENCODERS,
    EGNNConfig,
    Potential,
    PotentialConfig,
    REM3DIConfig,
    config_from_dict,
    config_to_dict,
)
from skmol3d.encoders.atoms import AtomFeatures, radius_edges
from skmol3d.encoders.backbones import BACKBONES, build_backbone, register_backbone
from skmol3d.encoders.protocols import Backbone, Encoder


@dataclass(frozen=True)
class CrowdingConfig:
    """No ``width`` and no ``cutoff``: these are other backbones' words."""

    kind: str = "crowding"
    reach: float = 4.0
    elements: tuple[int, ...] = (1, 6, 7, 8)


class Crowding(nn.Module):
    """Scalars are learned functions of how crowded an atom is; the last two are not for energies."""

    Config: ClassVar[type] = CrowdingConfig

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.scale = nn.Parameter(torch.ones(6))

    @property
    def sizes(self):
        return 6, 1

    @property
    def energy_scalars(self):
        return range(4)

    def forward(self, batch):
        edges = radius_edges(batch, self.config.reach)
        zero = batch.positions.new_zeros(len(batch.numbers))
        crowd = zero.index_add(0, edges.target, (self.config.reach - edges.distance).square())
        push = torch.zeros_like(batch.positions).index_add(0, edges.target, edges.direction)
        return AtomFeatures(torch.tanh(crowd[:, None] * self.scale), push[..., None])


@pytest.fixture
def crowding():
    yield register_backbone(Crowding)
    del BACKBONES["crowding"]


@pytest.mark.parametrize("kind", sorted(BACKBONES))
def test_every_backbone_keeps_the_contract(kind):
    config = BACKBONES[kind].Config()
    if kind == "aimnet2":  # has no architecture of its own
        config = dataclasses.replace(config, architecture=ARCHITECTURE, features=8)
    made = seeded(lambda: build_backbone(config))
    assert isinstance(made, Backbone)
    assert made.config.kind == kind
    scalars, vectors = made.sizes
    assert set(made.energy_scalars) <= set(range(scalars))
    features = made(collate(example("CH3CONH2")))
    assert features.scalars.shape[1] == scalars
    assert features.vectors.shape[1:] == (3, vectors)
    assert (features.energies is None) == bool(made.energy_scalars)


@pytest.mark.parametrize("name", sorted(set(ENCODERS) - {"crystal-energy"}))
def test_every_encoder_of_atoms_keeps_the_contract(name):
    cls = ENCODERS[name]
    assert isinstance(cls(cls.Config()), Encoder)


@pytest.mark.usefixtures("crowding")
def test_configs_recipes_and_checkpoints_know_a_registered_backbone(tmp_path):
    config = PotentialConfig(CrowdingConfig(reach=3.0))
    assert config_from_dict(PotentialConfig, json.loads(json.dumps(config_to_dict(config)))) == config
    settings = {"backbone": {"kind": "crowding"}, "width": 8, "heads": 2}
    assert config_from_dict(REM3DIConfig, settings).backbone == CrowdingConfig()
    potential = seeded(lambda: Potential(config))
    hub.save_pretrained(potential, tmp_path, card="Mine.")
    again = hub.from_pretrained(tmp_path).double()
    batch = collate(example("CH3CH2OH"))
    torch.testing.assert_close(again(batch), potential.float().double()(batch))


@pytest.mark.usefixtures("crowding")
def test_the_energy_reads_what_the_backbone_says_and_no_more():
    potential = seeded(lambda: Potential(PotentialConfig(CrowdingConfig())))
    batch = collate(example("CH3CH2OH"))
    features = potential.backbone(batch)
    energy = potential.energy(batch, features)
    other = AtomFeatures(features.scalars + torch.tensor([0.0, 0, 0, 0, 7, 7]), features.vectors)
    assert torch.equal(potential.energy(batch, other), energy)
    other = AtomFeatures(features.scalars + torch.tensor([7.0, 0, 0, 0, 0, 0]), features.vectors)
    assert not torch.equal(potential.energy(batch, other), energy)


def test_a_name_is_taken_once(crowding):
    assert register_backbone(crowding) is crowding
    impostor = type("Impostor", (Crowding,), {"Config": EGNNConfig})
    with pytest.raises(ValueError, match="'egnn' is already the name of the backbone EGNN"):
        register_backbone(impostor)


@dataclass(frozen=True)
class Nameless:
    elements: tuple[int, ...] = (1, 6)


@dataclass(frozen=True)
class Elementless:
    kind: str = "elementless"


@pytest.mark.parametrize("config", [None, object, Nameless, Elementless])
def test_a_backbone_without_what_checkpoints_need_is_refused(config):
    crippled = type("Crippled", (Crowding,), {"Config": config})
    with pytest.raises(TypeError, match=r"Crippled.Config must be a frozen dataclass with the fields kind"):
        register_backbone(crippled)
