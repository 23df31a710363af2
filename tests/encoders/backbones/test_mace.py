"""MACE as a backbone: features that turn with the molecule, energies of its own, plain copies."""

import copy
import pickle
import sys
from dataclasses import replace

import pytest
import torch
from encoder_examples import collate, example, rem3di, rotation, seeded

from skmol3d.encoders import Potential, PotentialConfig
from skmol3d.encoders.backbones import MACEConfig, build_backbone

CONFIG = MACEConfig(
    hidden_irreps="6x0e+6x1o+6x2e", readout_irreps="4x0e", radial_widths=(8,), bessel=4, interactions=3
)
BATCH = ("CH3CONH2", "CH3CH2OH", "O")


@pytest.fixture(scope="module")
def backbone():
    return seeded(lambda: build_backbone(CONFIG))


def test_scalars_stay_and_vectors_turn(backbone):
    batch = collate(*map(example, BATCH))
    features = backbone(batch)
    assert backbone.sizes == (18, 12)  # the last layer has no vectors, and l = 2 is left out
    turn = torch.from_numpy(rotation())
    for matrix in (turn, -turn):
        other = backbone(replace(batch, positions=batch.positions @ matrix.T))
        torch.testing.assert_close(other.scalars, features.scalars)
        torch.testing.assert_close(other.energies, features.energies)
        torch.testing.assert_close(other.vectors, torch.einsum("ij,njv->niv", matrix, features.vectors))


def test_an_atom_depends_on_its_own_molecule_alone(backbone):
    alone, together = backbone(collate(example(BATCH[1]))), backbone(collate(*map(example, BATCH)))
    torch.testing.assert_close(together.scalars[9:18], alone.scalars)
    torch.testing.assert_close(together.energies[9:18], alone.energies)


def test_forces_are_the_gradient_of_its_own_energy():
    potential = seeded(lambda: Potential(PotentialConfig(CONFIG)))
    assert potential.head is None
    batch = collate(example("CH3CH2OH"))
    _, forces = potential.energy_and_forces(batch)
    step = torch.zeros_like(batch.positions)
    step[1, 2] = 1e-4
    up, down = (potential.energy(replace(batch, positions=batch.positions + s)) for s in (step, -step))
    torch.testing.assert_close(forces[1, 2], ((down - up) / 2e-4)[0], rtol=1e-4, atol=1e-8)


def test_positions_of_the_batch_are_not_asked_for_gradients(backbone):
    batch = collate(example("CH3CH2OH"))
    assert not backbone(batch).scalars.requires_grad
    assert not batch.positions.requires_grad


@pytest.mark.parametrize("how", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_copies_compute_the_same(backbone, how):
    batch = collate(example("CH3CH2OH"))
    again = how(backbone)
    assert torch.equal(again(batch).scalars, backbone(batch).scalars)
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_rem3di_pools_it():
    encoder = rem3di(backbone_config=CONFIG)
    rows = encoder(collate(*map(example, BATCH)))
    assert rows.isfinite().all()
    mirrored = encoder(collate(*((n, -p, *rest) for n, p, *rest in map(example, BATCH))))
    chiral = encoder.output_blocks()["chiral"]
    torch.testing.assert_close(mirrored[:, :-chiral], rows[:, :-chiral])
    torch.testing.assert_close(mirrored[:, -chiral:], -rows[:, -chiral:])


def test_elements_it_was_not_trained_on_are_refused(backbone):
    with pytest.raises(ValueError, match=r"atomic numbers \[16\] are not among those"):
        backbone(collate(example("CH3SH")))


def test_settings_that_mace_does_not_have_are_named():
    with pytest.raises(ValueError, match=r"mace-torch knows .*got 'Nice'"):
        build_backbone(replace(CONFIG, interaction="Nice"))
    for wild in (
        {"max_ell": 50},
        {"correlation": 9},
        {"hidden_irreps": "2x0e+2x7o"},
        {"edge_irreps": "2x0e+2x11o"},
    ):
        with pytest.raises(ValueError, match="must not exceed 4"):
            replace(CONFIG, **wild)
    for spelling in ("90_000x0e", "90000 x0e", "2x0e+9o", "2x0e+2x7y", ""):  # e3nn reads all of these
        with pytest.raises(ValueError, match="irreps must be written as 16x0e"):
            replace(CONFIG, hidden_irreps=spelling)
    with pytest.raises(ValueError, match="multiplicities of irreps must not exceed 2048"):
        replace(CONFIG, hidden_irreps="90000x0e")
    with pytest.raises(ValueError, match="interactions must not exceed 16, got 1000000000"):
        replace(CONFIG, interactions=10**9)
    with pytest.raises(ValueError, match="elements must ascend"):
        replace(CONFIG, elements=(6, 1))
    with pytest.raises(ValueError, match="embedding knows total_charge and total_spin, got"):
        replace(CONFIG, embedding={"weather": {}})


def test_without_mace_torch_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mace", None)
    with pytest.raises(ImportError, match=r'MACE needs mace-torch \(pip install "skmol3d\[mace\]"\)'):
        build_backbone(CONFIG)
