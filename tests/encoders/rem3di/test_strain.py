"""The block strain: symmetries, differences between conformers, and what its fit leaves."""

import dataclasses

import numpy as np
import pytest
import torch
from encoder_examples import collate, embedded, moved, rem3di, reordered, rotation

from skmol3d.encoders.rem3di import REM3DI, REM3DIConfig
from skmol3d.encoders.rem3di.strain import LIMIT, STEP, Strain
from skmol3d.encoders.rem3di.words import WordsConfig

WORDS = WordsConfig((4, 3), (4, 3))


def strained(encoder, batch):
    place = list(encoder.output_blocks()).index("strain")
    with torch.no_grad():
        return encoder(batch).split(list(encoder.output_blocks().values()), 1)[place][:, 0]


@pytest.fixture
def encoder():
    made = rem3di(words=WORDS, strain=True)
    made.strain.head[2].weight.data.mul_(10)
    return made


def test_it_is_the_same_after_motion_reflection_and_reordering(encoder):
    mol = embedded("CC(O)c1ccncc1")
    rng = np.random.default_rng(0)
    order = rng.permutation(len(mol[0]))
    same = [mol, moved(mol, rotation(rng)), moved(mol, -rotation(rng)), reordered(mol, order)]
    found = strained(encoder, collate(*same))
    torch.testing.assert_close(found, found[:1].expand(4), rtol=0, atol=STEP + 1e-5)
    assert found[0].abs() > STEP


def test_conformers_differ_by_the_energy(encoder):
    one = embedded("CCCCO")
    numbers, positions = one[0], one[1]
    other = (numbers, positions * 1.03, *one[2:])
    batch = collate(one, other)
    # Perceived words could differ too: here they are told, and the same.
    batch = dataclasses.replace(batch, environments=torch.ones(len(batch.numbers), 6, dtype=torch.int64))
    encoder.words.name_classes([np.arange(n) + 1 for n in WORDS.classes])
    with torch.no_grad():
        energy = encoder.strain.energy(batch, encoder.energy_scalars(encoder.tokens(batch)))
    encoder.strain.bias.copy_(energy[:1])
    found = strained(encoder, batch)
    assert abs(energy[1] - energy[0]) > 3 * STEP
    torch.testing.assert_close(found[1] - found[0], energy[1] - energy[0], rtol=0, atol=STEP)


def test_the_fit_finds_additive_energies_despite_foreign_molecules():
    torch.manual_seed(0)
    counts = torch.randint(0, 5, (300, 10)).float()
    true = torch.randn(10)
    energies = counts @ true - 700 + 0.05 * torch.randn(300)
    energies[:15] += 60.0
    made = Strain(4, 0)
    made.weight = torch.zeros(10)
    made.fit(counts, energies)
    left = energies - counts @ made.weight - made.bias
    assert left[15:].std() < 0.06
    torch.testing.assert_close(made.weight, true, rtol=0, atol=0.02)


def test_what_is_foreign_is_bounded(encoder):
    encoder.strain.bias.fill_(1e4)
    assert strained(encoder, collate(embedded("CCO"))).tolist() == [-LIMIT]


def test_without_words_there_is_nothing_to_be_relative_to():
    with pytest.raises(ValueError, match="strain is relative to words"):
        REM3DIConfig(strain=True)


def test_a_backbone_without_scalars_for_a_head_is_refused():
    class Silent(torch.nn.Module):
        sizes = (12, 4)
        energy_scalars = range(0)

    with pytest.raises(ValueError, match="no scalars for an energy head; set strain: false"):
        REM3DI(REM3DIConfig(words=WORDS, strain=True, width=8, heads=2, readout=8), backbone=Silent())
