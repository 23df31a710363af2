"""Recorded training: conformers drawn as shares say, resumed, and replayed on a GPU."""

import csv

import numpy as np
import pytest
import torch
from set_examples import labelled_set

from skmol3d.encoders import Potential, PotentialConfig
from skmol3d.encoders.backbones import EquivariantConvolutionConfig
from skmol3d.trainer import recorded
from skmol3d.trainer.data.shelves import shelve
from skmol3d.trainer.loop import NonFiniteLossError
from skmol3d.trainer.objectives.forces import LABELLED
from skmol3d.trainer.objectives.potential import PotentialObjectives
from skmol3d.trainer.recorded import Step, train_recorded
from skmol3d.trainer.schedule import Schedule

CONVOLUTION = EquivariantConvolutionConfig(width=12, vectors=6, layers=2, filters=4, radial=8)
WEIGHTS = dict.fromkeys(LABELLED, 1.0)


def objective():
    torch.manual_seed(0)
    return PotentialObjectives(Potential(PotentialConfig(CONVOLUTION)), LABELLED)


def shelves(device="cpu"):
    data = labelled_set()
    return shelve([data], [1.0], [np.arange(len(data))], LABELLED, device)


def train(out, steps=12, *, rows=shelves, schedule=None, **more):
    schedule = schedule or Schedule(steps, learning_rate=1e-2, warmup=1, ema=0.5)
    settings = {"log_every": 4, "evaluate_every": 4, "evaluate": lambda _: {"seen": 1.0}}
    return train_recorded(objective(), rows, 32, WEIGHTS, schedule, out, **settings | more)


def table(file):
    with file.open(newline="") as text:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(text)]


def test_conformers_are_drawn_as_often_as_shares_say():
    first, second = labelled_set(), labelled_set([6, 15, 16], seed=1)
    found = shelve([first, second], [3.0, 1.0], [np.arange(8), np.array([0, 2])], LABELLED)
    steps = [Step(shelf, 32, lambda *_: None) for shelf in found]
    shares = np.array([s.share for s in steps]) / sum(s.share for s in steps)
    energies, rng = [], np.random.default_rng(0)
    for step in rng.choice(len(steps), 4000, p=shares):
        steps[step](rng)
        energies += steps[step].shelf.molecule_targets["energy"][steps[step].index].tolist()
    counted = [np.isclose(energies, e).mean() for e in first.molecule_targets["energy"]]
    np.testing.assert_allclose(counted, 0.75 / 8, rtol=0.1)
    counted = [np.isclose(energies, e).mean() for e in second.molecule_targets["energy"]]
    np.testing.assert_allclose(counted, [0.125, 0.0, 0.125], rtol=0.1)


def test_losses_fall_and_the_average_follows(tmp_path):
    trained = train(tmp_path, 60)
    rows = table(tmp_path / "log.csv")
    assert [row["step"] for row in rows] == [str(k) for k in range(4, 61, 4)]
    assert float(rows[-1]["energy"]) < 0.8 * float(rows[0]["energy"])
    assert [row["step"] for row in table(tmp_path / "evaluation.csv")][:2] == ["0", "4"]
    moved = zip(trained.parameters(), objective().parameters(), strict=True)
    assert not all(torch.equal(a, b) for a, b in moved)


def test_nothing_is_learned_before_the_first_step(tmp_path):
    still = Schedule(1, learning_rate=1e-30, weight_decay=0.0, warmup=1, ema=0.5)
    trained = train(tmp_path, schedule=still)
    torch.testing.assert_close(trained.state_dict(), objective().state_dict())


class Stop(Exception):
    pass


@pytest.mark.parametrize(("seconds", "step"), [(180.0, 4), (-1.0, 7)])
def test_a_stopped_run_resumes_bit_for_bit(tmp_path, monkeypatch, seconds, step):
    expected = train(tmp_path / "whole", log_every=5)
    monkeypatch.setattr(recorded, "SAVE_SECONDS", seconds)
    left = iter([1, 2])

    def stopping(network):
        if next(left, None) is None:
            raise Stop
        return {"seen": 1.0}

    with pytest.raises(Stop):  # at step 8
        train(tmp_path / "parts", evaluate=stopping, log_every=5)
    assert torch.load(tmp_path / "parts" / "state.pt", weights_only=True)["step"] == step
    found = train(tmp_path / "parts", resume=True, log_every=5)
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), expected.parameters(), strict=True))
    for name in ("log.csv", "evaluation.csv"):
        assert table(tmp_path / "parts" / name) == table(tmp_path / "whole" / name)


@pytest.mark.parametrize("seconds", [180.0, -1.0])
@pytest.mark.parametrize("label", ["energy", "forces"])
def test_one_loss_that_is_not_finite_ends_the_run(tmp_path, monkeypatch, label, seconds):
    """The gradient of an absolute error of NaN is zero: weights do not tell, nor do later steps."""
    monkeypatch.setattr(recorded, "SAVE_SECONDS", seconds)
    broken = labelled_set()
    (broken.atom_targets | broken.molecule_targets)[label][0] = np.nan

    def rows(device):
        return shelve([broken], [1.0], [np.arange(len(broken))], LABELLED, device)

    with pytest.raises(NonFiniteLossError, match=rf"means of .*'{label}': nan"):
        train(tmp_path, 200, rows=rows, log_every=50, evaluate_every=1000)
    if (tmp_path / "state.pt").exists():
        state = torch.load(tmp_path / "state.pt", weights_only=True)["optimiser"]["objective"]
        assert all(torch.isfinite(value).all() for value in state.values())


def test_a_device_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--device cuda:77 is not available"):
        train(tmp_path, device="cuda:77")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_replays_what_the_cpu_does(tmp_path):
    slow = Schedule(40, learning_rate=1e-3, warmup=1, ema=0.5)
    train(tmp_path / "cpu", schedule=slow)
    train(tmp_path / "gpu", schedule=slow, device="cuda")
    for found, expected in zip(*(table(tmp_path / name / "log.csv") for name in ("gpu", "cpu")), strict=True):
        for name in WEIGHTS:
            assert float(found[name]) == pytest.approx(float(expected[name]), rel=0.02)
