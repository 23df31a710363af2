"""Losses and records of fine-tuning."""

import numpy as np
import pytest
import torch

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.estimators.finetuning.network import FineTuned, RecordBatch
from skmol3d.estimators.finetuning.records import TokenFeaturizer
from skmol3d.estimators.finetuning.training import losses


@pytest.mark.parametrize("classes", [False, True])
def test_an_unknown_label_does_not_change_what_other_tasks_teach(classes):
    generator = torch.Generator().manual_seed(0)
    wanted = (torch.rand(6, 3, generator=generator) > 0.5).float()
    weights = torch.ones(6, 3)

    def gradient(labels):
        found = torch.linspace(-1, 1, 18).reshape(6, 3).requires_grad_()
        losses(found, labels, weights, classes).mean().backward()
        return found.grad

    missing = wanted.clone()
    missing[:4, 1] = torch.nan
    full, part = gradient(wanted), gradient(missing)
    assert torch.equal(full[:, [0, 2]], part[:, [0, 2]])
    assert not part[:4, 1].any()
    assert torch.equal(full[4:, 1], part[4:, 1])


@pytest.mark.parametrize("train", ["adapters", "all"])
def test_before_training_the_tokens_are_those_of_the_frozen_encoder(tiny_checkpoint, train):
    smiles = ["CCO", "c1ccccc1C(=O)N", "[H][H]"]
    featurizer = TokenFeaturizer(tiny_checkpoint, device="cpu").fit(smiles)
    encoder, _ = featurizer.encoder()
    records = [conformers[0] for conformers in featurizer.records(smiles)]
    network = FineTuned(encoder, train, 4, 5, 1, 8, 0.0)
    batch = RecordBatch.from_records(records, torch.device("cpu"))
    with torch.no_grad():
        found = network.pooled(batch)
    rows = torch.from_numpy(featurizer.transform(smiles))
    size = encoder.output_blocks()["invariant"]
    torch.testing.assert_close(found, rows[:, :size], rtol=1e-3, atol=1e-4)
    assert (
        not any(p.requires_grad for p in encoder.parameters())
        or encoder.backbone is not network.encoder.backbone
    )


def test_records_hold_heavy_atoms_and_their_bonds(tiny_checkpoint):
    featurizer = TokenFeaturizer(tiny_checkpoint, device="cpu").fit([])
    [[record]] = featurizer.records(["CCO"])
    assert sorted(record.numbers.tolist()) == [6, 6, 8]
    assert record.positions.shape == (3, 3)
    assert len(record.bonds) == 2
    batch = RecordBatch.from_records([record, record], torch.device("cpu"))
    assert isinstance(batch, AtomBatch)
    assert np.array_equal(batch.scalars[:3], record.scalars)
