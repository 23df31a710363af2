"""Training throughput: other computations are refused, the table is printed."""

import re
import sys

import numpy as np
import pytest
import torch

from skmol3d.benchmark.experiments import training_throughput

# PyTorch Geometric 2.8 scripts classes when it is imported, which torch 2.13 does not like.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")


def test_another_function_is_refused(egnn_pair, molecules):
    batch = molecules.batch(np.array([0, 1]))
    ours, rival = egnn_pair
    training_throughput.check_agreement(ours, rival, batch)
    with torch.no_grad():
        rival.layers[0].move[2].weight[0, 0] += 1e-4
    with pytest.raises(ValueError, match="of the rival differ by"):
        training_throughput.measure(ours, rival, [batch], 1, "cpu")


def test_both_are_trained_and_timed(egnn_pair, molecules):
    batches = [molecules.batch(np.array([k])) for k in range(2)]
    ours, rival = egnn_pair
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
