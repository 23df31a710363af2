"""Chirality labels."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from skmol3d.trainer.objectives.handedness import Handedness


def test_handedness_is_odd(encoder, batch):
    module = Handedness(4).double()
    labels = torch.zeros(len(batch.numbers), dtype=torch.int8)
    labels[:9] = torch.tensor([1, -1, 0, 0, -1, 0, 1, 1, -1])
    mirrored = dataclasses.replace(batch, positions=batch.positions * torch.tensor([1.0, 1.0, -1.0]))
    loss = module(encoder.tokens(batch), labels)
    torch.testing.assert_close(module(encoder.tokens(mirrored), -labels), loss)
    assert (module(encoder.tokens(mirrored), labels) - loss).abs() > 1e-6
    tokens = encoder.tokens(batch)
    logits = module.head(tokens.pseudoscalars[tokens.real])[:, 0]
    expected = [softplus(-logits[k] * labels[k]).item() for k in range(9) if labels[k] != 0]
    assert loss.item() == pytest.approx(np.mean(expected))
    assert module(tokens, torch.zeros_like(labels)).item() == 0
