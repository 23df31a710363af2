"""The network before it is trained."""

import pytest
import torch

from skmol3d.estimators.finetuning.network import FineTuned, RecordBatch
from skmol3d.estimators.finetuning.records import TokenFeaturizer


@pytest.mark.parametrize("train", ["adapters", "all"])
def test_before_training_the_tokens_are_those_of_the_frozen_encoder(tiny_checkpoint, train):
    smiles = ["CCO", "c1ccccc1C(=O)N", "[H][H]"]
    featurizer = TokenFeaturizer(tiny_checkpoint, device="cpu", scaled=False).fit(smiles)
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
