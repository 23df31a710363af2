"""Kinds of conformers stand as numbers in files of labels."""

from skmol3d.trainer.data.conformer_kinds import ConformerKind


def test_numbers_that_stand_in_files_keep_their_meaning():
    assert {kind.name: kind.value for kind in ConformerKind} == {
        "MMFF": 0, "NOISY": 1, "RELAXED": 2, "QM9": 3, "BROUGHT": 4, "ETKDG": 5,
    }  # fmt: skip
