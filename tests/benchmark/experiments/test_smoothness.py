"""How smooth vector rows are, and what they copy."""

from ase.build import molecule

from skmol3d import Mo3ENetFeaturizer
from skmol3d.benchmark.experiments import smoothness


def test_changes_and_copies(tiny_mo3enet):
    featurizer = Mo3ENetFeaturizer(tiny_mo3enet, output="vector", device="cpu").fit([])
    molecules = [molecule(name) for name in ("CH3CH2OH", "CH3CONH2", "C5H5N", "HCOOH")]
    moved = smoothness.changes(featurizer, molecules)
    assert moved.shape == (4,)
    assert (moved > 0).all()
    nearest, relative = smoothness.copied(featurizer, molecules)  # each atom has a vector of its own
    assert 0 <= nearest < 0.5
    assert relative < 0.5
