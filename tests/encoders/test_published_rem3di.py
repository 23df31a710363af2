"""The authors' network: what its rows depend on. Their numbers: tests/hub/conversion/test_rem3di.py."""

from dataclasses import replace

import pytest
import torch
from encoder_examples import BACKBONE, collate, example, moved, rotation, seeded

from skmol3d.encoders import PublishedREM3DI, PublishedREM3DIConfig

SMALL = PublishedREM3DIConfig(
    BACKBONE, projection=8, chiral=4, pseudoscalars=3, layers=2, heads=2, feed=7, pair_width=6, radial=5
)
ITEMS = [example("CH3CONH2"), example("CH3CH2OH"), example("CO")]


def made(**changes):
    return seeded(lambda: PublishedREM3DI(replace(SMALL, **changes)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"pooling": "attention", "pool_heads": 2, "pool_width": 4},
        {"pooling": "pma", "pool_heads": 2, "pool_width": 4, "seeds": 3, "pool_feed": True},
        {"pooling": "pma-mean", "pool_heads": 2, "pool_width": 4, "seeds": 3},
        {"conditioned": False, "gated": False, "basis": "gaussian", "projection": 0},
    ],
)
def test_rows_depend_on_their_molecule_alone_and_not_on_its_pose(changes):
    encoder = made(**changes)
    rows = encoder(collate(*ITEMS))
    assert rows.shape == (3, encoder.output_blocks()["descriptor"])
    torch.testing.assert_close(encoder(collate(ITEMS[2])), rows[2:])
    turned = encoder(collate(*(moved(item, rotation(), (1.0, 2.0, 3.0)) for item in ITEMS)))
    torch.testing.assert_close(turned, rows)


def test_mirror_images_differ_through_pseudoscalars_alone():
    mirrored = [moved(item, -torch.eye(3).numpy()) for item in ITEMS]
    for chiral in (0, 4):
        encoder = made(chiral=chiral)
        same = torch.isclose(encoder(collate(*mirrored)), encoder(collate(*ITEMS))).all(1)
        assert same.tolist() == [not chiral, True, True]  # ethanol and CO are their own mirror images


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "max"}, "pooling must be one of"),
        ({"basis": "sine"}, "basis must be 'bessel' or 'gaussian'"),
        ({"pseudoscalars": 0}, "chiral needs some"),
        ({"layers": 0}, "layers must be positive"),
    ],
)
def test_settings_that_make_no_sense_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **changes)
