"""Named methods: the public featurizers with public checkpoints, and rivals."""

import dataclasses

import numpy as np
import pytest

from skmol3d import ECFPFeaturizer, PotentialFeaturizer, REM3DIFeaturizer, hub
from skmol3d.benchmark.heads import block_choices
from skmol3d.benchmark.methods import METHODS, make_method, rdkit_descriptors
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


@pytest.fixture
def worded(tiny_checkpoint, tmp_path):
    """Folder of a random checkpoint with words: two vocabularies, one of them with neighbours too."""
    import torch

    from skmol3d.encoders import REM3DI
    from skmol3d.encoders.rem3di.words import WordsConfig

    words = WordsConfig((7, 5), (0, 1), (1,), (0,), columns=6, folded=9, confidence=0.0)
    config = hub.from_pretrained(tiny_checkpoint).config
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = REM3DI(dataclasses.replace(config, backbone_pooling=("mean", "sum"), words=words))
    return str(hub.save_pretrained(encoder, tmp_path / "worded", card="random"))


def test_heads_choose_among_blocks_of_columns(worded):
    featurizer = make_method(f"rem3di:{worded}")
    rows = featurizer.transform(["CCO", "c1ccccc1O"])
    names = featurizer.get_feature_names_out()
    choices = block_choices(names)
    assert {head: list(sets) for head, sets in choices.items()} == {
        "linear": ["all", "dense", "words", "words and pairs"],
        "forest": ["words", "words and pairs"],
    }
    assert choices["linear"]["all"].tolist() == list(range(rows.shape[1]))
    dense = {name.split("_")[1] for name in names[choices["linear"]["dense"]]}
    assert dense == {"invariant", "chiral", "potential"}
    assert not set(choices["linear"]["dense"]) & set(choices["forest"]["words and pairs"])
    heavy = np.array([3, 7])
    words = rows[:, choices["forest"]["words"]]
    both = rows[:, choices["forest"]["words and pairs"]]
    # Every pair once.
    np.testing.assert_array_equal(words.sum(1), 3 * heavy)
    np.testing.assert_array_equal(both.sum(1), 3 * heavy + heavy * (heavy - 1) // 2)
    assert words.shape[1] == 6 + 5 + 9


def test_there_is_nothing_to_choose_without_words_or_without_dense_columns(worded):
    blocks = [("invariant",), ("invariant", "pairs"), ("words", "pairs")]
    for part in blocks:
        names = REM3DIFeaturizer(worded, blocks=part).get_feature_names_out()
        assert block_choices(names) is None
    assert block_choices(ECFPFeaturizer().get_feature_names_out()) is None


@pytest.mark.slow
def test_evaluate_offers_the_blocks_to_the_heads(worded, panel):
    (task, _), _ = panel
    task.smiles = ["C" * (1 + i % 6) + "O" * (i // 30) + "N" * (i // 15 % 2) for i in range(60)]
    methods = {"m": REM3DIFeaturizer(worded), "dense": REM3DIFeaturizer(worded, blocks=("invariant",))}
    chosen = evaluate(methods, [task], heads=["forest"]).set_index("method")["chosen"]
    assert chosen["m"].startswith("columns=words")
    assert "columns" not in chosen["dense"]
