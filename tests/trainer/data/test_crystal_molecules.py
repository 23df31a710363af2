"""Molecules to make crystals of."""

import numpy as np
import pytest

from skmol3d.trainer.data.conformer_kinds import ConformerKind
from skmol3d.trainer.data.crystal_molecules import main
from skmol3d.trainer.data.stored_crystals import CrystalMolecules


@pytest.fixture
def labelled(tmp_path):
    """Three molecules of three atoms and one of one: noisy, relaxed, MMFF; MMFF; charged; a single atom."""
    kinds = [ConformerKind.NOISY, ConformerKind.RELAXED, ConformerKind.MMFF] + 3 * [ConformerKind.MMFF]
    sizes = [3] * 5 + [1]
    rng = np.random.default_rng(0)
    count = sum(sizes)
    arrays = {
        "offsets": np.cumsum([0, *sizes]),
        "numbers": np.array([6, 8, 1] * 5 + [18], np.uint8),
        "positions": rng.integers(-2000, 2000, (count, 3)).astype(np.int16),
        "forces": np.zeros((count, 3), np.float16),
        "charges": rng.normal(0, 1, count).astype(np.float16),
        "energy": np.zeros(6),
        "dipole": np.zeros((6, 3)),
        "homo": np.zeros(6),
        "lumo": np.zeros(6),
        "total_charge": np.array([0, 0, 0, 0, 1, 0], np.int8),
        "kind": np.array(kinds, np.uint8),
        "row": np.array([0, 0, 0, 1, 2, 3], np.int32),
    }
    np.savez(tmp_path / "set.npz", **arrays)
    return tmp_path / "set.npz", arrays


def test_neutral_molecules_are_taken_in_their_best_geometry(labelled, tmp_path, capsys):
    path, arrays = labelled
    main([str(path), "2", "--out", str(tmp_path / "molecules.npz")])
    assert "2 molecules in" in capsys.readouterr().out
    found = CrystalMolecules.read(tmp_path / "molecules.npz")
    for k, start in enumerate((3, 9)):  # the relaxed conformer, and the only one
        span = slice(start, start + 3)
        assert found.numbers[k].tolist() == [6, 8, 1]
        wanted = arrays["positions"][span] * 0.001
        np.testing.assert_allclose(found.positions[k], wanted - wanted.mean(0), atol=0.005)
        np.testing.assert_allclose(found.charges[k], arrays["charges"][span].clip(-1.27, 1.27), atol=0.006)


def test_too_few_molecules(labelled, tmp_path):
    path, _ = labelled
    with pytest.raises(ValueError, match="only 2 neutral molecules"):
        main([str(path), "3", "--out", str(tmp_path / "molecules.npz")])
