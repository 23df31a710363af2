"""Replicas of several potentials at once move as those of each by itself, and their files can be judged."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from skmol3d import hub
from skmol3d.benchmark.experiments import dynamics_at_once
from skmol3d.benchmark.experiments.dynamics_at_once import Replicas
from skmol3d.benchmark.experiments.stacked_potentials import StackedPotentials, fill
from skmol3d.calculator import PotentialCalculator
from skmol3d.dynamics import nose_hoover
from skmol3d.encoders import Potential
from skmol3d.trainer.data.packed import write_packed
from skmol3d.trainer.data.sets import Row, stack

WATER, METHANE = molecule("H2O"), molecule("CH4")


@pytest.fixture(scope="module")
def potentials():
    """One that holds molecules together, and a random one."""
    good = hub.from_pretrained("ec-xtb-small")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [good, Potential(good.config)]


def replicas_of(potentials, molecules, replicas):
    size = max(len(m) for m in molecules)
    filled = [fill(torch.tensor(m.numbers), torch.tensor(m.positions).float(), size) for m in molecules]
    numbers, places = (torch.stack(each) for each in zip(*filled, strict=True))
    return Replicas(StackedPotentials(potentials, numbers), places, replicas, 0.5)


def test_replicas_move_as_by_themselves(potentials):
    made = replicas_of(potentials, [METHANE, WATER], 2)
    made.start(500.0, seed=3)
    for _ in range(20):
        made.step()
    _, temperatures, conserved = made.frame()
    for m, (potential, atoms) in enumerate(zip(potentials, [METHANE, WATER], strict=True)):
        calculator = PotentialCalculator(potential, "cpu", "float32")
        own = nose_hoover(
            lambda x, c=calculator, a=atoms: c.evaluate(a, x), atoms, steps=20, replicas=2, every=20, seed=3
        )
        found = made.x[m, :, : len(atoms)].numpy()
        np.testing.assert_allclose(found, own.positions[-1], atol=1e-4)
        np.testing.assert_allclose(temperatures[m], own.temperatures[-1], rtol=1e-3)
        assert np.abs(conserved[m] - conserved[m].mean()).max() < 1e-3
    assert float(made.time) == pytest.approx(0.01)


def test_a_bond_that_breaks_is_noted_once(potentials):
    made = replicas_of(potentials[:1], [METHANE], 2)
    made.start(500.0, seed=0)
    made.step()
    made.look()
    assert torch.isinf(made.stable).all()
    made.x[0, 1, 4] += 1.0
    made.look()
    made.step()
    made.look()
    assert made.stable[0, 1] == pytest.approx(0.0005)
    assert torch.isinf(made.stable[0, 0])


def test_writes_what_was_run(potentials, tmp_path, capsys):
    moved = np.random.default_rng(0).normal(0, 0.05, WATER.positions.shape)
    rows = [Row(WATER.numbers, (WATER.positions + moved).astype(np.float32), 0.0, k) for k in range(2)]
    write_packed(tmp_path / "frames", stack(rows))
    hub.save_pretrained(potentials[0], tmp_path / "water" / "good", card="A potential.")
    command = [f"{tmp_path / 'frames'}={tmp_path / 'water' / 'good'}", "--replicas", "3", "--ps", "0.02"]
    dynamics_at_once.main([*command, "--frame", "0.005", "--out", str(tmp_path / "out")])
    assert "0.02 ps of each replica" in capsys.readouterr().out
    saved = np.load(tmp_path / "out" / "water_good.npz")
    assert saved["positions"].shape == (5, 3, 3, 3)
    np.testing.assert_allclose(saved["times"], [0, 0.005, 0.01, 0.015, 0.02])
    assert np.isinf(saved["stable"]).all()
    assert saved["temperatures"][0] == pytest.approx(500, rel=0.5)
    # It has been relaxed: both bonds have one length.
    first = Atoms(saved["numbers"], 0.001 * saved["positions"][0, 0]).get_all_distances()
    assert first[0, 1] == pytest.approx(first[0, 2], abs=0.02)
