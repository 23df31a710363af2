"""Training throughput: the plain EGNN is ours, other computations are refused, the table is printed."""

import re
import sys

import numpy as np
import pytest
import torch

from skmol3d.benchmark.experiments import training_throughput
from skmol3d.encoders import EGNNConfig, EquivariantTransformerConfig
from skmol3d.trainer.data.sets import PackedSet

# PyTorch Geometric 2.8 scripts classes when it is imported, which torch 2.13 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


@pytest.fixture
def small(monkeypatch):
    sizes = {
        "et": EquivariantTransformerConfig(width=12, layers=2, heads=3, radial=8),
        "egnn": EGNNConfig(width=12, layers=3, channels=4, radial=8),
    }
    monkeypatch.setattr(training_throughput, "MODELS", sizes)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def molecules():
    """Two made-up molecules, the first an ion with atoms beyond each other's cutoff."""
    rng = np.random.default_rng(0)
    positions = rng.normal(scale=1.2, size=(8, 3)).astype(np.float32)
    positions[4] += 3.0
    return PackedSet(
        numbers=np.array([7, 1, 1, 6, 8, 1, 6, 17], np.uint8),
        positions=positions,
        offsets=np.array([0, 5, 8]),
        charge=np.array([1, 0], np.float32),
        group=np.array([0, 1]),
        atom_targets={"forces": rng.normal(size=(8, 3)).astype(np.float32)},
        molecule_targets={"energy": np.array([-3.0, 2.0])},
    )


def egnn_pair():
    """Our EGNN and the plain one, with moves large enough to matter."""
    ours, rival = training_throughput.pair("egnn", 8)
    with torch.no_grad():
        for layer in [*ours.backbone.layers, *rival.layers]:
            layer.move[2].weight.mul_(1000.0)
    return ours, rival


def test_plain_egnn_with_the_same_weights_has_the_same_energies_forces_and_gradients(small, molecules):
    ours, rival = (model.double().train() for model in egnn_pair())
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


def test_another_function_is_refused(small, molecules):
    batch = molecules.batch(np.array([0, 1]))
    ours, rival = egnn_pair()
    training_throughput.check_agreement(ours, rival, batch)
    with torch.no_grad():
        rival.layers[0].move[2].weight[0, 0] += 1e-4
    with pytest.raises(ValueError, match="of the rival differ by"):
        training_throughput.measure(ours, rival, [batch], 1, "cpu")


def test_both_are_trained_and_timed(small, molecules):
    batches = [molecules.batch(np.array([k])) for k in range(2)]
    ours, rival = egnn_pair()
    before = ours.head[0].weight.detach().clone()
    seconds = training_throughput.measure(ours, rival, batches, 3, "cpu")
    assert seconds.shape == (3, 2)
    assert (seconds > 0).all()
    assert not torch.equal(ours.head[0].weight, before)
    # Same weights, same batches, same steps: both have learned the same.
    torch.testing.assert_close(rival.head[0].weight, ours.head[0].weight, rtol=1e-3, atol=1e-5)


def test_prints_a_row_per_size_of_batch(small, capsys):
    training_throughput.main(["--models", "egnn", "--n", "4", "--atoms", "32", "64", "--repeats", "1"])
    out = capsys.readouterr().out
    assert re.search(r"^4 molecules, \d+\.\d atoms each", out)
    rows = re.findall(
        r"^\| egnn, [\d,]+ weights \| cpu \| (\d+) \| [\d.]+ \| PyTorch Geometric \| [\d.]+ \|", out, re.M
    )
    assert rows == ["32", "64"]


def test_reads_labelled_sets(small, molecules, tmp_path, capsys):
    path = tmp_path / "set.npz"
    np.savez(
        path,
        numbers=molecules.numbers,
        positions=np.round(molecules.positions * 1000).astype(np.int16),
        offsets=molecules.offsets,
        row=molecules.group,
        total_charge=molecules.charge,
        forces=molecules.atom_targets["forces"],
        charges=np.zeros(8),
        dipole=np.zeros((2, 3)),
        **{name: np.zeros(2) for name in ("energy", "homo", "lumo")},
    )
    training_throughput.main(["--input", str(path), "--models", "egnn", "--atoms", "16", "--repeats", "1"])
    assert capsys.readouterr().out.startswith("2 molecules, 4.0 atoms each")


@pytest.mark.parametrize(
    ("model", "missing", "install"),
    [
        ("egnn", "torch_geometric.nn", "torch_geometric"),
        ("et", "torchmdnet.models.model", "torch_geometric torchmd-net"),
    ],
)
def test_says_what_to_install(small, monkeypatch, model, missing, install):
    monkeypatch.delitem(sys.modules, "skmol3d.benchmark.experiments.rivals", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(SystemExit, match=rf"the rival of {model} needs: pip install {install}$"):
        training_throughput.pair(model, 8)
