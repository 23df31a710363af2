"""What a row needs beyond the weights, measured on the training molecules."""

import dataclasses

import numpy as np
import pytest
import torch

from skmol3d import hub
from skmol3d.encoders import REM3DI
from skmol3d.encoders.rem3di.dense import STEP
from skmol3d.trainer.data.corpus import with_targets
from skmol3d.trainer.data.sources import read_set
from skmol3d.trainer.kinds.finish import LEVELS, check_size, measure_charges, measure_rows, measure_strain

TRAIN = np.arange(30)


@pytest.fixture
def encoder(trained):
    return hub.from_pretrained(str(trained / "tiny-rem3di"))


@pytest.fixture(scope="module")
def labels(data_root):
    return with_targets(read_set(data_root / "labels.npz"), data_root / "targets.npz", "labels")


def with_charges(labels, encoder, seed=0):
    """The set with charges that are linear in the backbone's scalars, element by element."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(119, len(encoder.scalar_mean)))
    batch, _ = labels.batch(np.arange(len(labels)))
    with torch.no_grad():
        scalars = (encoder.backbone(batch).scalars - encoder.scalar_mean) / encoder.scalar_std
    charges = (scalars.double().numpy() * weight[batch.numbers]).sum(1) + 0.1 * batch.numbers.numpy()
    return dataclasses.replace(labels, atom_targets={**labels.atom_targets, "charges": charges})


def test_charges_that_the_backbone_knows_are_found(encoder, labels):
    data = with_charges(labels, encoder)
    measure_charges(encoder, [data], [TRAIN])
    batch, targets = data.batch(TRAIN)
    surface = encoder.surface
    with torch.no_grad():
        scalars = (encoder.backbone(batch).scalars - encoder.scalar_mean) / encoder.scalar_std
    found = (scalars * surface.charge_weight[batch.numbers]).sum(1) + surface.charge_bias[batch.numbers]
    common = (batch.numbers == 1) | (batch.numbers == 6)
    assert np.corrcoef(found[common], targets["charges"][common])[0, 1] > 0.98
    unseen = torch.ones(119, dtype=torch.bool)
    unseen[batch.numbers] = False
    assert not surface.charge_weight[unseen].any()
    assert not surface.charge_bias[unseen].any()


def test_charges_come_from_the_first_set_that_has_some(encoder, labels):
    without = dataclasses.replace(labels, atom_targets={})
    data = with_charges(labels, encoder)
    measure_charges(encoder, [data], [TRAIN])
    expected = encoder.surface.charge_weight.clone()
    encoder.surface.charge_weight.zero_()
    measure_charges(encoder, [without, data, with_charges(labels, encoder, seed=1)], [TRAIN] * 3)
    torch.testing.assert_close(encoder.surface.charge_weight, expected)
    with pytest.raises(ValueError, match=r"model\.surface: no data with reference charges"):
        measure_charges(encoder, [without], [TRAIN])


def test_no_charges_are_asked_for_without_a_surface(encoder, labels):
    config = dataclasses.replace(encoder.config, surface=False)
    measure_charges(REM3DI(config), [dataclasses.replace(labels, atom_targets={})], [TRAIN])


def test_strain_has_the_energy_of_the_potential_and_knows_what_additivity_explains(trained, labels):
    encoder = hub.from_pretrained(str(trained / "tiny-rem3di"))
    potential = hub.from_pretrained(str(trained / "tiny-potential"))
    with torch.no_grad():
        encoder.strain.head[0].weight.zero_()
        encoder.strain.weight.zero_()
    measure_strain(encoder, potential, [labels], [TRAIN])
    batch, targets = labels.batch(TRAIN)
    with torch.no_grad():
        bare = potential.energy(batch)
        free = torch.zeros(len(batch)).index_add(0, batch.molecule, potential.element_energy[batch.numbers])
        own = encoder.strain.energy(batch, encoder.energy_scalars(encoder.tokens(batch)))
        torch.testing.assert_close(own, bare - free, rtol=1e-4, atol=1e-4)
        told = dataclasses.replace(batch, environments=targets["environments"].long())
        row = encoder(told).split(list(encoder.output_blocks().values()), 1)
    strain = row[list(encoder.output_blocks()).index("strain")][:, 0]
    assert strain.abs().mean() < 0.2 * own.std()


def test_rows_have_the_levels_of_the_training_molecules(encoder, labels):
    with torch.no_grad():
        encoder.surface.step.zero_()
        encoder.compress.matrix.zero_()
    measure_rows(encoder, [labels], [TRAIN])
    batch, _ = labels.batch(TRAIN)
    with torch.no_grad():
        tokens = encoder.tokens(batch)
        standard = encoder.compress.standardised(encoder.uncompressed(tokens))
        dense = standard @ encoder.compress.matrix
        surface = encoder.surface.unrounded(batch, encoder.surface.charges(batch, tokens.standardised))
        row = dict(
            zip(
                encoder.output_blocks(),
                encoder(batch).split(list(encoder.output_blocks().values()), 1),
                strict=True,
            )
        )
    torch.testing.assert_close(dense.square().mean(0), torch.ones(8), rtol=1e-2, atol=0)
    torch.testing.assert_close(encoder.surface.step, surface.std(0) / LEVELS, rtol=1e-3, atol=1e-6)
    assert torch.equal(row["dense"] / STEP, (row["dense"] / STEP).round())
    assert len(row["dense"].unique()) > 3
    assert len(row["properties"].unique()) > 3
    assert torch.equal(row["properties"], encoder.properties(standard))
    # Once more changes nothing.
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    measure_rows(encoder, [labels], [TRAIN])
    for name, value in encoder.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=1e-4, atol=1e-5)


def test_rows_that_are_not_compressed_stay_as_they_are(encoder, labels):
    plain = REM3DI(dataclasses.replace(encoder.config, dense=0, properties=0))
    before = {name: value.clone() for name, value in plain.state_dict().items()}
    measure_rows(plain, [labels], [TRAIN])
    assert all(torch.equal(value, before[name]) for name, value in plain.state_dict().items())


def test_too_few_molecules_are_refused_before_training(encoder):
    check_size(encoder, [np.arange(5), np.arange(4)])
    with pytest.raises(ValueError, match=r"model\.dense: 8 columns need more than 8 molecules, there are 8"):
        check_size(encoder, [np.arange(5), np.arange(3)])
