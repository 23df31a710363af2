"""The registry of objectives: a new one is a class with a decorator."""

import pytest
from torch import nn

from skmol3d.trainer.kinds import KINDS
from skmol3d.trainer.objectives import registry
from skmol3d.trainer.objectives.registry import Loss, objective


def test_an_objective_is_found_by_its_losses(monkeypatch):
    registry.losses("rem3di")  # ours are registered by now
    monkeypatch.setattr(registry, "_registered", {})
    with pytest.raises(ValueError, match=r"no kind of recipe 'test'; there are potential, rem3di, "):
        objective("test", Loss("near", "near things"))
    monkeypatch.setitem(KINDS, "test", "TestRecipe")

    @objective("test", Loss("near", "near things", "label"), Loss("far", "far things"))
    class Distances(nn.Module):
        def __init__(self, names, size):
            super().__init__()
            self.names = names
            self.head = nn.Linear(size, 1)

        @classmethod
        def build(cls, names, size):
            return cls(names, size)

    @objective("test", Loss("other", "another"))
    class Other(Distances):
        pass

    assert registry.losses("test")["near"].label == "label"
    made = registry.build("test", ["other", "far"], 3)
    assert list(made) == ["Other", "Distances"]  # as the recipe orders them: so are the random weights drawn
    assert made["Distances"].names == ["far"]
    registry.check_weights("test", {"far": 1.0})
    with pytest.raises(ValueError, match=r"no such losses \['fer'\]; there are near, far, other"):
        registry.check_weights("test", {"fer": 1.0})
    with pytest.raises(ValueError, match="expected weights of some of near, far, other"):
        registry.check_weights("test", {})
    with pytest.raises(ValueError, match=r"losses \['far'\] of 'test' are registered already"):
        objective("test", Loss("far", "again"))(Other)


@pytest.mark.parametrize("kind", ["potential", "rem3di", "mo3enet", "mo3enet_pooled"])
def test_every_loss_says_what_it_is_about(kind):
    found = registry.losses(kind)
    assert found
    for name, loss in found.items():
        assert name == loss.name
        assert len(loss.about) > 5


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_are_finite_and_not_negative(weight):
    registry.check_weights("potential", {"forces": 0.0, "energy": 1.0})
    with pytest.raises(ValueError, match="weights: forces must be finite and not negative"):
        registry.check_weights("potential", {"forces": weight})
