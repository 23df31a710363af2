"""Synthesised crystals in files."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from skmol3d.crystals.groups import GROUPS
from skmol3d.crystals.packing import Packs
from skmol3d.trainer.data import stored_crystals
from skmol3d.trainer.data.stored_crystals import Writer, read_parts, restored, rounded


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_stored_is_the_crystal_to_a_thousandth(group):
    rng = np.random.default_rng(group)
    b_x, c_x, c_y = GROUPS[group].skew
    cells = np.array([[7.0, 0, 0], [-1.5 * b_x, 9.0, 0], [-3.0 * c_x, 2.0 * c_y, 12.0]]) * rng.uniform(
        0.9, 1.1, (5, 1, 1)
    )
    turns = Rotation.random(5, random_state=group).as_matrix()
    places = rng.uniform(-1, 2, (5, 3))
    packs = Packs(group, torch.arange(5), *(torch.tensor(x) for x in (cells, turns, places)))
    kept, stored = rounded(packs)
    np.testing.assert_allclose(kept.cells, cells, atol=3e-3)
    np.testing.assert_allclose(kept.rotations, turns, atol=2e-4)
    np.testing.assert_allclose((kept.places.numpy() - places + 0.5) % 1.0, 0.5, atol=2e-5)
    again = restored(group, packs.molecule, stored, packs.cells)
    for name in ("cells", "rotations", "places"):
        torch.testing.assert_close(getattr(again, name), getattr(kept, name))


def part(count):
    return {"molecule": np.arange(count), "buckingham": np.ones(count)}


def test_files_are_begun_anew_when_they_are_full(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_crystals, "PER_FILE", 10)
    writer = Writer(tmp_path, "digest")
    writer.write()
    assert not list(tmp_path.iterdir())
    for count in (4, 5, 3):
        writer.add(part(count))
    writer.write()
    found = list(read_parts(tmp_path, "digest"))
    assert [(path.name, len(each["molecule"])) for path, each in found] == [
        ("part_0000.npz", 9),
        ("part_0001.npz", 3),
    ]
    assert writer.count == 12


def test_crystals_of_other_molecules_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no part_"):
        next(read_parts(tmp_path, ""))
    writer = Writer(tmp_path, "digest")
    writer.add(part(2))
    writer.write()
    with pytest.raises(ValueError, match="of other molecules"):
        next(read_parts(tmp_path, "another digest"))
