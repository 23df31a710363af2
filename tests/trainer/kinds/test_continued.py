"""Continued pretraining: what of a checkpoint is kept, and what is said of it."""

import dataclasses

import numpy as np
import pytest
import torch
from recipe_examples import ENCODER, run

from skmol3d import hub
from skmol3d.encoders import REM3DI
from skmol3d.encoders.rem3di.words import WordsConfig
from skmol3d.trainer.data.corpus import CorpusStatistics, with_targets
from skmol3d.trainer.data.sources import read_set
from skmol3d.trainer.kinds import continued

SMALLER = ENCODER["model"] | {"dense": 4}  # of seven molecules, without charges
STILL = {"steps": 1, "learning_rate": 1e-12, "warmup": 1, "ema": 0.5}


def started(trained, data_root, out, **changes):
    """The encoder after a step that changes nothing, from the weights of tiny-rem3di."""
    recipe = ENCODER | {
        "name": "again",
        "potential": str(trained / "tiny-potential"),
        "initial": str(trained / "tiny-rem3di"),
        "probe": None,
        "schedule": STILL,
    }
    run(recipe | changes, data_root, out)
    return hub.from_pretrained(str(out / "again"))


@pytest.mark.slow
def test_words_are_kept_on_the_same_corpus(trained, data_root, tmp_path, capsys):
    """REVIEW A4: they started afresh, and a forest on them lost what the checkpoint knew."""
    made = started(trained, data_root, tmp_path)
    before = hub.from_pretrained(str(trained / "tiny-rem3di")).state_dict()
    for name, value in made.state_dict().items():
        torch.testing.assert_close(value, before[name], atol=2e-3, rtol=2e-3)
    assert "tiny-rem3di: its words are kept" in capsys.readouterr().out


def test_another_corpus_takes_over_the_vocabularies(trained, data_root, tmp_path, capsys):
    """Its own would be other environments in another order, and columns would change their meaning."""
    made = started(trained, data_root, tmp_path, data=[{"path": "corpus"}], seed=1, model=SMALLER)
    before = hub.from_pretrained(str(trained / "tiny-rem3di"))
    for own, other in zip(made.words.vocabularies, before.words.vocabularies, strict=True):
        np.testing.assert_array_equal(own, other)
    torch.testing.assert_close(made.words.heads[1].weight, before.words.heads[1].weight, atol=2e-3, rtol=0)
    assert "its words are kept" in capsys.readouterr().out


@pytest.fixture
def encoder(trained):
    return hub.from_pretrained(str(trained / "tiny-rem3di"))


@pytest.fixture
def corpus(data_root):
    return with_targets(read_set(data_root / "labels.npz"), data_root / "targets.npz", "labels")


def fresh(encoder, classes, vocabularies):
    """Another encoder of the same sizes but for its words."""
    words = dataclasses.replace(encoder.config.words, classes=classes)
    made = REM3DI(dataclasses.replace(encoder.config, words=words))
    made.words.name_classes(vocabularies)
    return made


def test_words_of_other_environments_start_afresh(trained, encoder, corpus, capsys):
    others = [v[::-1].copy() for v in encoder.words.vocabularies]
    made = fresh(encoder, encoder.config.words.classes, others)
    untouched = made.words.heads[0].weight.clone()
    continued.start_from(made, str(trained / "tiny-rem3di"), corpus, np.arange(30))
    assert torch.equal(made.words.heads[0].weight, untouched)
    assert "its words start afresh: they name other environments" in capsys.readouterr().out
    for name, value in made.state_dict().items():
        assert name.startswith(("words.", "compress.", "properties.", "strain.")) or torch.equal(
            value, encoder.state_dict()[name]
        )


def test_words_of_another_number_start_afresh(trained, encoder, corpus, capsys):
    made = fresh(encoder, (3, 2), [np.arange(1, 4), np.arange(1, 3)])
    continued.start_from(made, str(trained / "tiny-rem3di"), corpus, np.arange(30))
    assert "start afresh: it has (8, 8) classes, this corpus (3, 2)" in capsys.readouterr().out


def test_a_checkpoint_that_does_not_say_what_its_words_are_is_asked(encoder, corpus, monkeypatch):
    """Checkpoints of version 1 are such: of these words half and more must be right."""
    statistics = CorpusStatistics.measure([corpus], [np.arange(30)], [8, 8], 16)
    own = fresh(encoder, statistics.classes, statistics.vocabularies)
    unknown = fresh(encoder, statistics.classes, [np.zeros(8), np.zeros(8)])
    assert unknown.words.vocabularies is None
    for share, expected in ((0.9, None), (0.3, "other environments (right for 30% of this corpus's atoms)")):
        shares = np.array([1.0, share])
        monkeypatch.setattr(continued, "named_rightly", lambda *_, shares=shares: shares)
        found = continued.why_afresh(own, unknown, corpus, np.arange(30))
        assert found is expected or expected in found


def test_words_named_rightly_are_counted(encoder, corpus):
    """Against heads that name every atom as the first class."""
    with torch.no_grad():
        for head in encoder.words.heads:
            head.weight.zero_()
            head.bias.zero_()[0] = 1.0
    environments = corpus.atom_targets["environments"]
    vocabularies = encoder.words.vocabularies
    found = continued.named_rightly(encoder, vocabularies, corpus, np.arange(30))
    for k, vocabulary in enumerate(vocabularies):
        known = np.isin(environments[:, k], vocabulary)
        first = (environments[:, k] == vocabulary[0]).sum()
        assert found[k] == pytest.approx(first / known.sum())


def test_start_from_something_else(trained, encoder, corpus):
    wider = REM3DI(dataclasses.replace(encoder.config, readout=24))
    with pytest.raises(ValueError, match=r"tiny-rem3di differs from the recipe's model in readout\.0\.bias"):
        continued.start_from(wider, str(trained / "tiny-rem3di"), corpus, np.arange(30))
    with pytest.raises(ValueError, match="is a Potential, not a REM3DI"):
        continued.start_from(encoder, str(trained / "tiny-potential"), corpus, np.arange(30))
    without = REM3DI(dataclasses.replace(encoder.config, words=WordsConfig(), strain=False))
    continued.start_from(without, str(trained / "tiny-rem3di"), corpus, np.arange(30))
    assert torch.equal(without.state_dict()["readout.0.bias"], encoder.state_dict()["readout.0.bias"])


def test_the_surface_comes_along_and_the_compression_does_not(trained, data_root, tmp_path):
    """A corpus without charges has no other; a checkpoint without either may be started from all the same."""
    made = started(trained, data_root, tmp_path, data=[{"path": "corpus"}], model=SMALLER)
    before = hub.from_pretrained(str(trained / "tiny-rem3di"))
    torch.testing.assert_close(made.surface.charge_weight, before.surface.charge_weight)
    assert made.output_blocks()["dense"] == 4
    plain = REM3DI(dataclasses.replace(before.config, dense=0, properties=0, surface=False))
    folder = hub.save_pretrained(plain, tmp_path / "plain", "Without.")
    again = REM3DI(before.config)
    again.words.name_classes(before.words.vocabularies)
    corpus = with_targets(read_set(data_root / "labels.npz"), data_root / "targets.npz", "labels")
    continued.start_from(again, str(folder), corpus, np.arange(30))
    assert torch.equal(again.readout[0].bias, plain.readout[0].bias)
    assert not again.surface.charge_weight.any()
