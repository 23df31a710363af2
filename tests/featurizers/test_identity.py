"""What decides the rows of a featurizer, and what does not."""

import json
import shutil

from skmol3d import CrystalFeaturizer, ECFPFeaturizer, REM3DIFeaturizer
from skmol3d.featurizers.identity import HOW, identity


def test_how_rows_are_computed_does_not_matter_and_all_else_does(tiny_checkpoint):
    featurizer = REM3DIFeaturizer(tiny_checkpoint, device="cpu").fit([])
    expected = identity(featurizer)
    json.dumps(expected)
    featurizer.set_params(errors="nan", verbose=1, n_jobs=2, batch_size=64, cache_dir="somewhere")
    assert identity(featurizer) == expected
    assert expected.keys() & set(HOW) == set()
    for change in ({"random_state": 1}, {"n_conformers": 2}, {"standardise": None}, {"relax": "mmff"}):
        other = REM3DIFeaturizer(tiny_checkpoint, device="cpu", **change).fit([])
        assert identity(other) != expected


def test_weights_count_and_not_the_name_of_their_folder(tiny_checkpoint, tmp_path):
    copy = shutil.copytree(tiny_checkpoint, tmp_path / "copy")
    one, other = (
        identity(REM3DIFeaturizer(str(path), device="cpu").fit([])) for path in (tiny_checkpoint, copy)
    )
    assert one["weights"] == other["weights"]
    assert one["weights"]


def test_families_differ_and_inner_featurizers_count(tiny_checkpoint):
    assert identity(ECFPFeaturizer()) != identity(ECFPFeaturizer(radius=3))
    assert identity(ECFPFeaturizer())["featurizer"] == "ECFPFeaturizer"
    inner = REM3DIFeaturizer(tiny_checkpoint, device="cpu")
    outer = [CrystalFeaturizer(inner), CrystalFeaturizer(REM3DIFeaturizer(tiny_checkpoint, random_state=1))]
    assert identity(outer[0]) != identity(outer[1])
