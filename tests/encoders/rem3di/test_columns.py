"""What the columns of a row mean."""

import numpy as np
import torch
from encoder_examples import rem3di

from skmol3d.encoders.rem3di.columns import columns_of
from skmol3d.encoders.rem3di.surface import COLUMNS
from skmol3d.encoders.rem3di.words import WordsConfig

VOCABULARIES = [np.arange(n) + 10 * n for n in (4, 3, 5, 2)]


def made(**settings):
    encoder = rem3di(
        words=WordsConfig((4, 3, 5, 2), (2, 3, 0, 2), (0, 2), folded=3), surface=True, strain=True, **settings
    )
    encoder.words.signed_1.copy_(torch.tensor([2, 0]))
    return encoder


def test_every_column_has_its_block_and_words_their_environments():
    encoder = made(dense=8, pooling=("mean",))
    encoder.words.name_classes(VOCABULARIES)
    found = columns_of(encoder)
    blocks = [block for block, size in encoder.output_blocks().items() for _ in range(size)]
    assert [c.block for c in found] == blocks
    words = [c for c in found if c.block == "words"]
    assert [c.identifier for c in words] == [40, 41, 30, 31, 32, 20, 21]
    assert [(c.kind, c.radius) for c in words[::3]] == [("atom types", 0), ("atom types", 1), ("features", 0)]
    signed = [c for c in found if c.block == "signed"]
    assert [c.identifier for c in signed] == [None, *[32, 30] * 3]
    assert [c.meaning.split()[5] for c in signed[1:]] == [
        w for w in ("first", "second", "third") for _ in "ab"
    ]
    surface = [c.meaning for c in found if c.block == "surface"]
    assert [text.split(" (")[0] for text in surface] == list(COLUMNS)
    assert {"area_C (Å²)", "charge_area_O (e Å²)", "solvation (eV)", "axis_1 (Å)", "atoms"} <= set(surface)
    assert [c.meaning[-4:] for c in found if c.block == "strain"] == ["(eV)"]
    assert {"potential2_area (V² Å²)", "radius_of_gyration (Å)", "lowest_charge (e)"} <= set(surface)


def test_words_of_unknown_environments_have_no_identifier():
    found = columns_of(made())
    assert len(found) == sum(made().output_blocks().values())
    assert {c.identifier for c in found} == {None}
