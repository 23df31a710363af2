"""What networks read of molecules."""

import numpy as np
import torch

from skmol3d.encoders.atoms import AtomBatch
from skmol3d.estimators.finetuning.network import RecordBatch
from skmol3d.estimators.finetuning.records import TokenFeaturizer


def test_records_hold_heavy_atoms_and_their_bonds(tiny_checkpoint):
    featurizer = TokenFeaturizer(tiny_checkpoint, device="cpu").fit([])
    [[record]] = featurizer.records(["CCO"])
    assert sorted(record.numbers.tolist()) == [6, 6, 8]
    assert record.positions.shape == (3, 3)
    assert len(record.bonds) == 2
    batch = RecordBatch.from_records([record, record], torch.device("cpu"))
    assert isinstance(batch, AtomBatch)
    assert np.array_equal(batch.scalars[:3], record.scalars)
