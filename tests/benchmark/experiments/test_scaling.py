"""Probe scores against molecules seen."""

import numpy as np
import pandas as pd
import pytest

from skmol3d.benchmark.experiments import scaling


@pytest.fixture
def run(tmp_path):
    """Logged every 100 steps; killed at step 250, resumed at 200."""
    folder = tmp_path / "small.run"
    folder.mkdir()
    log = {"step": [100, 200, 200, 300, 400], "molecules": [10, 20, 20, 30, 40]}
    pd.DataFrame(log).to_csv(folder / "log.csv", index=False)
    scores = {"step": [0, 100, 200, 200, 400], "probe_r2": [0.1, None, 0.2, 0.3, 0.4]}
    pd.DataFrame(scores).to_csv(folder / "evaluation.csv", index=False)
    return folder


def test_molecules_are_summed_over_the_steps_that_count(run, capsys):
    curve = scaling.read_curve(run)
    assert curve.to_dict() == {0: 0.1, 3000: 0.3, 10000: 0.4}
    scaling.main([str(run), str(run)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + 2 * 3
    assert lines[-1].split("|")[2:4] == [" 10,000 ", " 0.4000 "]


def test_checkpoints_are_probed_beside_runs(run, tiny_checkpoint, tmp_path, capsys):
    count, rng = 12, np.random.default_rng(0)
    positions = (1000 * rng.normal(size=(3 * count, 3))).astype(np.int16)
    (tmp_path / "sets").mkdir()
    np.savez(
        tmp_path / "sets" / "random.npz",
        numbers=np.tile(np.array([8, 1, 1], np.uint8), count),
        positions=positions,
        offsets=np.arange(0, 3 * count + 1, 3),
        charge=np.zeros(count, np.float32),
        value=rng.normal(size=count),
    )
    scaling.main([str(run), "--probe", str(tmp_path / "sets"), "--model", str(tiny_checkpoint)])
    last = capsys.readouterr().out.splitlines()[-1].split("|")
    assert last[1].strip() == str(tiny_checkpoint)
    assert float(last[3]) < 0.5  # nothing can be learned here


def test_a_run_without_probe_is_refused(run):
    evaluation = pd.read_csv(run / "evaluation.csv").drop(columns="probe_r2")
    evaluation.to_csv(run / "evaluation.csv", index=False)
    with pytest.raises(ValueError, match=r"small\.run: no probe was scored"):
        scaling.read_curve(run)
