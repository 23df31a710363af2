"""Rivals compute what ours do."""

import numpy as np
import pytest
import torch

# PyTorch Geometric 2.8 scripts classes when it is imported, which torch 2.13 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def test_plain_egnn_with_the_same_weights_has_the_same_energies_forces_and_gradients(egnn_pair, molecules):
    ours, rival = (model.double().train() for model in egnn_pair)
    sizes = [sum(p.numel() for p in model.parameters()) for model in (ours, rival)]
    assert sizes[0] == sizes[1] > 1000
    atoms, _ = molecules.batch(np.array([0, 1]))
    atoms = type(atoms)(atoms.numbers, atoms.positions.double(), atoms.counts, atoms.charge.double())
    energy, forces = ours.energy_and_forces(atoms)
    plain_energy, plain_forces = rival(*rival.prepare(atoms))
    torch.testing.assert_close(plain_energy, energy, rtol=0, atol=1e-10)
    torch.testing.assert_close(plain_forces, forces, rtol=0, atol=1e-10)
    assert forces.abs().max() > 1e-3
    # A training step needs the derivative of the forces by the weights.
    forces.square().sum().backward()
    plain_forces.square().sum().backward()
    for name, plain in rival.layers[0].named_parameters():
        if name.startswith(("move", "attention", "update_net")):
            mine = ours.backbone.layers[0].get_parameter(name.replace("update_net", "update"))
            assert plain.grad.abs().max() > 0
            torch.testing.assert_close(plain.grad, mine.grad, rtol=1e-9, atol=1e-10)
