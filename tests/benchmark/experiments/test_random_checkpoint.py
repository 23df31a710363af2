"""Random weights in the architecture of a checkpoint."""

import numpy as np
import pytest
import torch
from ase.build import molecule

from skmol3d import REM3DIFeaturizer, hub
from skmol3d.benchmark.experiments import random_checkpoint
from skmol3d.encoders.atoms import AtomBatch


@pytest.fixture
def write(tiny_checkpoint, tmp_path):
    def write(name, seed):
        random_checkpoint.main([tiny_checkpoint, str(tmp_path / name), "--seed", str(seed)])
        return str(tmp_path / name)

    return write


def test_random_weights_are_others_of_the_same_shape(write, tiny_checkpoint):
    trained, one, again, other = (
        REM3DIFeaturizer(model).transform(["CCO", "c1ccccc1O"])
        for model in (tiny_checkpoint, write("one", 1), write("again", 1), write("other", 2))
    )
    assert one.shape == trained.shape
    np.testing.assert_array_equal(one, again)
    assert not np.allclose(one, trained)
    assert not np.allclose(one, other)


def test_the_shipped_encoder_can_be_drawn_anew():
    trained = hub.from_pretrained("rem3di-small")
    drawn = random_checkpoint.reinitialised(trained, 0).state_dict()
    layers = {name: w for name, w in trained.named_parameters() if name.startswith("blocks.") and w.ndim > 1}
    assert layers
    assert not any(torch.equal(drawn[name], weights) for name, weights in layers.items())


def test_what_is_counted_in_the_graph_needs_no_training(tmp_path):
    random_checkpoint.main(["rem3di-small", str(tmp_path)])
    molecules, counts = ["CCO", "C[C@H](N)C(=O)OCc1ccco1"], ("words", "rare", "signed")
    trained, drawn = (
        REM3DIFeaturizer(model, blocks=counts).transform(molecules)
        for model in ("rem3di-small", str(tmp_path))
    )
    assert trained.any(axis=1).all()
    np.testing.assert_array_equal(drawn, trained)


def test_what_is_below_the_encoder_may_stay(tmp_path):
    random_checkpoint.main(["rem3di-small", str(tmp_path), "--keep-backbone"])
    trained, drawn = (hub.from_pretrained(model) for model in ("rem3di-small", str(tmp_path)))
    ethanol = molecule("CH3CH2OH")
    batch = AtomBatch.from_arrays([(ethanol.numbers, ethanol.positions, 0.0, None)])
    with torch.no_grad():
        kept, new = (encoder.tokens(batch) for encoder in (trained, drawn))
    assert torch.equal(kept.standardised, new.standardised)
    assert not torch.allclose(kept.encoded, new.encoded)


def test_a_potential_has_no_backbone_to_keep(tmp_path):
    with pytest.raises(ValueError, match="has no backbone"):
        random_checkpoint.main(["ec-xtb-small", str(tmp_path), "--keep-backbone"])


def test_the_card_says_that_nothing_was_trained(write):
    folder = write("random", 3)
    with open(f"{folder}/README.md") as card:
        text = card.read()
    assert "seed 3. Nothing was trained" in text


def test_the_callers_random_numbers_stay_where_they_are(tiny_checkpoint):
    state = torch.random.get_rng_state()
    random_checkpoint.reinitialised(hub.from_pretrained(tiny_checkpoint), 0)
    assert torch.equal(torch.random.get_rng_state(), state)
