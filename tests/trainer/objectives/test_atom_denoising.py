"""Features of atoms with noise, from the descriptor."""

import dataclasses

import numpy as np
import pytest
import torch

from skmol3d.trainer.objectives.atom_denoising import AtomDenoising


def test_denoising_starts_at_one(encoder, batch):
    denoising = AtomDenoising(encoder, 5).double()
    for parameter in denoising.out[1].parameters():
        parameter.data.zero_()
    tokens = encoder.tokens(batch)
    values = [denoising(tokens, torch.zeros(3, 5, dtype=torch.float64)).item() for _ in range(200)]
    assert np.mean(values) == pytest.approx(1, abs=0.03)
    assert np.std(values) > 0.01


def test_denoising_cannot_move_its_target(encoder, batch):
    denoising = AtomDenoising(encoder, 5).double()
    tokens = encoder.tokens(batch)
    scalars = tokens.scalars.detach().requires_grad_()
    tokens = dataclasses.replace(tokens, scalars=scalars, pairs=tokens.pairs.detach())
    loss = denoising(tokens, torch.zeros(3, 5, dtype=torch.float64))
    assert loss.requires_grad  # the decoder learns
    assert torch.autograd.grad(loss, [scalars, encoder.project.weight], allow_unused=True) == (None, None)


def test_denoising_reads_the_descriptor_and_ignores_padding(encoder, batch):
    denoising = AtomDenoising(encoder, 5).double()
    tokens = encoder.tokens(batch)
    descriptor = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)

    def loss(tokens):
        torch.manual_seed(1)
        return denoising(tokens, descriptor)

    (gradient,) = torch.autograd.grad(loss(tokens), descriptor)
    assert gradient.abs().amin() > 0
    spoilt = torch.where(tokens.real[..., None], tokens.scalars, 99.0)
    torch.testing.assert_close(loss(dataclasses.replace(tokens, scalars=spoilt)), loss(tokens))
