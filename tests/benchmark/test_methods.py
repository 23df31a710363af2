"""Named methods: the public featurizers with public checkpoints, and rivals."""

import numpy as np
import pytest

from skmol3d import ECFPFeaturizer, PotentialFeaturizer, REM3DIFeaturizer, hub
from skmol3d.benchmark.methods import METHODS, make_method, rdkit_descriptors, rdkit_words
from skmol3d.benchmark.protocol import evaluate


def test_methods_are_the_public_featurizers_with_their_default_columns():
    defaults = {"rem3di": REM3DIFeaturizer(), "potential": PotentialFeaturizer(), "ecfp": ECFPFeaturizer()}
    for name, featurizer in defaults.items():
        method = make_method(name)
        assert type(method) is type(featurizer)
        assert method.get_params() == featurizer.set_params(errors="nan").get_params()
    assert make_method("ecfp-count").get_params() == ECFPFeaturizer(count=True, errors="nan").get_params()


def test_a_checkpoint_is_named_after_a_colon(tiny_checkpoint, tiny_potential):
    method = make_method(f"rem3di:{tiny_checkpoint}", n_jobs=2, cache_dir="cache", verbose=1)
    expected = REM3DIFeaturizer(tiny_checkpoint, n_jobs=2, errors="nan", cache_dir="cache", verbose=1)
    assert method.get_params() == expected.get_params()
    assert make_method(f"potential:{tiny_potential}").model == tiny_potential


@pytest.mark.parametrize("name", ["maccs", "ecfp:rem3di-small", "rdkit2d:x"])
def test_unknown_method(name):
    with pytest.raises(ValueError, match=f"unknown method '{name}'; known methods: rem3di, potential"):
        make_method(name)


def test_a_missing_checkpoint_shows_at_once():
    with pytest.raises(hub.CheckpointError, match="no-such-thing"):
        make_method("rem3di:no-such-thing")


def test_parameters_of_a_featurizer_follow_the_name(tiny_checkpoint):
    method = make_method(f"rem3di:{tiny_checkpoint}@n_conformers=5@random_state=1@blocks=('invariant',)")
    expected = REM3DIFeaturizer(
        tiny_checkpoint, n_conformers=5, random_state=1, blocks=("invariant",), errors="nan"
    )
    assert method.get_params() == expected.get_params()
    pooled = make_method(f"rem3di:{tiny_checkpoint}@n_conformers=2@conformer_pooling=all")
    assert pooled.conformer_pooling == "all"
    assert make_method("ecfp-count@radius=3").radius == 3
    assert make_method("rem3di@scaled=false").scaled is False


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ecfp@seed=1", "Invalid parameter 'seed'"),
        ("ecfp@radius=-1", "radius must be"),
        ("ecfp@radius=x", "radius=x: radius must be"),
        ("rem3di@blocks=strain", r"blocks=strain: blocks must be a sequence .* or 'trees'"),
        ("rdkit2d@radius=1", "rdkit2d has no parameters, got radius=1"),
    ],
)
def test_unknown_parameters(name, message):
    with pytest.raises(ValueError, match=message):
        make_method(name)


def test_words_are_the_environments_of_every_atom_folded():
    """The encoder's own labels, counted."""
    from skmol3d.structures import read_molecule
    from skmol3d.trainer.data.examples import atom_environments

    smiles = ["CCO", "xyz", "c1ccccc1C(=O)N[C@H](C)CF"]
    rows = rdkit_words(smiles)
    assert rows.shape == (3, 2048)
    assert np.isnan(rows[1]).all()
    for row, text in ((rows[0], smiles[0]), (rows[2], smiles[2])):
        environments = atom_environments(read_molecule(text).mol)
        heavy = environments[environments.any(1)].astype(int)
        halves = [np.bincount(part.ravel() % 1024, minlength=1024) for part in (heavy[:, :3], heavy[:, 3:])]
        row[1025] += row[1024]  # to labels, 0 is no label, and an atom without features is 1
        row[1024] = 0
        np.testing.assert_array_equal(row, np.concatenate(halves))


def test_rdkit_rows_are_kept_in_the_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("skmol3d.benchmark.methods.CHUNK", 2)
    smiles = ["CCO", "CCN", "CCC"]
    whole = np.hstack([rdkit_words(smiles), rdkit_descriptors(smiles)])
    first = make_method("words2d+rdkit2d", cache_dir=tmp_path)(smiles)
    np.testing.assert_array_equal(first, whole)
    np.testing.assert_array_equal(make_method("words2d+rdkit2d")(smiles), whole)
    monkeypatch.setattr("skmol3d.benchmark.methods.read_molecule", None)
    np.testing.assert_array_equal(make_method("words2d+rdkit2d", cache_dir=tmp_path)(smiles), whole)
    np.testing.assert_array_equal(make_method("words2d", cache_dir=tmp_path)(smiles), whole[:, :2048])


def test_rdkit_descriptors():
    from rdkit import Chem
    from rdkit.Chem import Crippen, Descriptors

    rows = rdkit_descriptors(["CCO", "xyz", "c1ccccc1O", "C" * 200])
    names = [name for name, _ in Descriptors._descList]
    assert rows.shape == (4, len(names))
    assert rows[0, names.index("MolWt")] == pytest.approx(46.069)
    assert rows[2, names.index("MolLogP")] == pytest.approx(Crippen.MolLogP(Chem.MolFromSmiles("Oc1ccccc1")))
    assert np.isnan(rows[1]).all()
    assert rows[3, names.index("Ipc")] == 1e6
    assert not np.isinf(rows).any()


def test_all_methods_run_together(tiny_checkpoint, tiny_potential, panel):
    (task, _), _ = panel
    task.smiles = ["C" * (1 + i % 6) + "O" * (i // 30) + "N" * (i // 15 % 2) for i in range(60)]
    checkpoints = {"rem3di": f":{tiny_checkpoint}", "potential": f":{tiny_potential}"}
    names = [name + checkpoints.get(name, "") for name in METHODS]
    results = evaluate({name: make_method(name) for name in names}, [task], heads=["linear"])
    assert results["method"].tolist() == names
    assert np.isfinite(results["score"]).all()
