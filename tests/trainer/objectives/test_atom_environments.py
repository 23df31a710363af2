"""Classes of atoms' environments."""

import numpy as np
import pytest
import torch
from objective_examples import small_rem3di

from skmol3d.encoders.rem3di.words import Words, WordsConfig
from skmol3d.trainer.objectives.atom_environments import AtomEnvironments


def test_atom_environments_leave_out_atoms_without_a_class(encoder, batch):
    module = AtomEnvironments(Words(8, WordsConfig((5, 3)))).double().eval()
    n = len(batch.numbers)
    labels = torch.stack([torch.randint(-1, 5, (n,)), torch.randint(-1, 3, (n,))], 1)
    assert (labels == -1).any(0).all()
    tokens = encoder.tokens(batch)
    encoded = tokens.encoded[tokens.real]
    losses = []
    for head, column in zip(module.heads, labels.T, strict=True):
        log = head(encoded).log_softmax(1)
        losses.append(np.mean([-log[k, c].item() for k, c in enumerate(column.tolist()) if c >= 0]))
    assert module(tokens, labels).item() == pytest.approx(np.mean(losses))
    nothing = module(tokens, torch.full_like(labels, -1))
    assert nothing.item() == 0


def test_atom_environments_ask_some_atoms_in_training(encoder, batch):
    module = AtomEnvironments(Words(8, WordsConfig((5,)))).double()
    labels = torch.randint(0, 5, (len(batch.numbers), 1))
    tokens = encoder.tokens(batch)
    torch.manual_seed(0)
    drawn = torch.tensor([module(tokens, labels).item() for _ in range(400)])
    drawn = drawn[drawn > 0]  # no atom was asked
    assert drawn.std() > 0
    assert drawn.mean().item() == pytest.approx(module.eval()(tokens, labels).item(), rel=0.05)


def test_atom_environments_follow_the_tokens(batch):
    encoder = small_rem3di()
    module = AtomEnvironments(Words(8, WordsConfig((5,)))).double().eval()
    tokens = encoder.tokens(batch)
    labels = torch.randint(0, 5, (len(batch.numbers), 1))
    hydrogen = batch.numbers == 1
    assert hydrogen.any()
    changed = torch.where(hydrogen[:, None], 4 - labels, labels)
    assert module(tokens, changed).item() == module(tokens, labels).item()
    assert module(tokens, 4 - labels).item() != module(tokens, labels).item()
