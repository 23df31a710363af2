"""Networks that train side by side: each as if alone, the same frames for all starts, rates by validation."""

import numpy as np
import pandas as pd
import pytest
import torch

from skmol3d import hub
from skmol3d.benchmark.experiments import forces_at_once
from skmol3d.encoders import Potential, PotentialConfig
from skmol3d.encoders.backbones import EquivariantConvolutionConfig
from skmol3d.trainer.data.packed import write_packed
from skmol3d.trainer.data.sets import Row, stack
from skmol3d.trainer.objectives.potential import PotentialObjectives

NUMBERS = np.array([8, 6, 1, 1])
SMALL = EquivariantConvolutionConfig(width=8, vectors=4, layers=2, filters=2, radial=4)


def frames(count, seed, forces=True):
    rng = np.random.default_rng(seed)
    rest = np.array([[0, 0, 1.2], [0, 0, 0], [0.9, 0, -0.6], [-0.9, 0, -0.6]])
    rows = []
    for k in range(count):
        places = (rest + rng.normal(0, 0.1, rest.shape)).astype(np.float32)
        labels = {"forces": (10 * (rest - places)).astype(np.float32)} if forces else {}
        energy = -3000.0 + 5 * ((rest - places) ** 2).sum()
        rows.append(Row(NUMBERS, places, 0.0, k, labels, {"energy": energy}))
    return stack(rows)


@pytest.fixture
def folder(tmp_path):
    """train (20 frames), test (5), scan (3 without forces), and a potential."""
    write_packed(tmp_path / "train", frames(20, 0))
    write_packed(tmp_path / "test", frames(5, 1))
    write_packed(tmp_path / "scan", frames(3, 2, forces=False))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        hub.save_pretrained(Potential(PotentialConfig(SMALL)), tmp_path / "tiny", card="A potential.")
    return tmp_path


def test_trains_chooses_saves_and_prints_once(folder, capsys, monkeypatch):
    out = folder / "out"
    command = [str(folder / "train"), "--test", str(folder / "test"), str(folder / "scan")]
    command += ["--start", str(folder / "tiny"), "--frames", "16", "--seeds", "2", "--out", str(out)]
    command += ["--rate", "1e-3", "--rate", "1e-9"]
    for change in ("schedule.steps=30", "held_out=0.25", "atoms=16", "schedule.warmup=3"):
        command += ["--set", change]
    monkeypatch.setattr(forces_at_once, "HEARTBEAT", 0.0)
    forces_at_once.main(command)
    printed = capsys.readouterr().out
    assert "30 steps; rates tried: 1e-09, 0.001" in printed
    results = pd.read_csv(out / "results.csv")
    assert len(results) == 3 * 2 * 2 * 2  # sets, starts, seeds, rates
    assert results.groupby("set")["frames"].max().to_dict() == {"validation": 4, "test": 5, "scan": 3}
    assert set(forces_at_once.choose(results).values()) == {1e-3}
    assert results[results["set"] == "scan"]["force_mae"].isna().all()
    assert len(pd.read_csv(out / "curve.csv")) == 30 * 8
    # What is kept is what was measured.
    kept = hub.from_pretrained(out / "tiny")
    data = frames(5, 1)
    batch, targets = data.batch(np.arange(5))
    energy, force = (v.detach() for v in kept.energy_and_forces(batch))
    row = results[(results["set"] == "test") & (results["seed"] == 0) & (results["rate"] == 1e-3)].iloc[0]
    assert float((force - targets["forces"]).abs().mean()) == pytest.approx(row["force_mae"], rel=5e-3)
    error = (energy.double() - torch.from_numpy(data.molecule_targets["energy"])).abs().mean()
    assert float(error) == pytest.approx(row["energy_mae"], abs=5e-3)
    monkeypatch.setattr(forces_at_once, "train", None)
    forces_at_once.main(command)
    assert capsys.readouterr().out == printed.split("s in all\n")[1]


def test_each_network_trains_as_if_alone(folder):
    recipe = forces_at_once.read_recipe(
        "finetune-aspirin", ["schedule.steps=4", "schedule.warmup=1", "schedule.ema=0.0", "atoms=16"]
    )
    potential = hub.from_pretrained(folder / "tiny")
    recipe = forces_at_once.replace(recipe, model=potential.config, held_out=0.25)
    data = frames(20, 0)
    starts = [str(folder / "tiny")]
    (folder / "out").mkdir()
    forces_at_once.train(recipe, data, {}, starts, [1e-3, 3e-3], 16, 1, "cpu", folder / "out")
    results = pd.read_csv(folder / "out" / "results.csv")
    best = forces_at_once.choose(results)[starts[0]]

    chosen, _ = forces_at_once.draw({"train": data}, {}, 16, 0)
    fit, _ = forces_at_once.select(data, chosen["train"]).split(0.25, 0)
    rows = chosen["train"][fit]
    energies = data.molecule_targets["energy"]
    batch, _ = data.batch(rows)
    offset = float(np.mean(energies[rows] - potential.energy(batch).detach().numpy()))
    objective = PotentialObjectives(potential, ["forces", "energy"]).train()
    own = list(potential.parameters())
    optimiser = torch.optim.AdamW(own, lr=1.0, weight_decay=recipe.schedule.weight_decay)
    order = forces_at_once.orders([rows], 4, [0])
    for step in range(4):
        batch, targets = data.batch(next(order)[0])
        targets["energy"] = targets["energy"] - offset
        losses = objective(batch, targets)
        optimiser.zero_grad()
        (losses["forces"] + 0.5 * losses["energy"]).backward()
        torch.nn.utils.clip_grad_norm_(own, recipe.schedule.clip)
        share = recipe.schedule.rate(step, 0.0) / recipe.schedule.learning_rate
        optimiser.param_groups[0]["lr"] = best * share
        optimiser.step()
    kept = hub.from_pretrained(folder / "out" / "tiny")
    for name, value in potential.named_parameters():
        torch.testing.assert_close(kept.get_parameter(name), value.data, atol=2e-4, rtol=2e-3)


def test_table_of_known_values():
    rows = [
        ("a", 0, 0.1, "validation", 9, 0.01, 0.1),
        ("a", 0, 0.2, "validation", 9, 0.02, 0.1),
        ("random", 0, 0.1, "validation", 9, float("nan"), 0.1),
        ("random", 0, 0.2, "validation", 9, 0.04, 0.1),
        ("a", 0, 0.1, "md", 7, 0.03, 0.2),
        ("a", 0, 0.2, "md", 7, 0.01, 0.2),
        ("random", 0, 0.1, "md", 7, 0.02, 0.4),
        ("random", 0, 0.2, "md", 7, 0.06, 0.4),
    ]
    columns = ["start", "seed", "rate", "set", "frames", "force_mae", "energy_mae"]
    results = pd.DataFrame(rows, columns=columns)
    assert forces_at_once.choose(results) == {"a": 0.1, "random": 0.2}
    lines = forces_at_once.table(results).splitlines()
    assert "| md | 7 | a | 0.1 | 30.0 | 0.50 | 200.0 | 0.50 |" in lines
    assert "| md | 7 | random | 0.2 | 60.0 | 1.00 | 400.0 | 1.00 |" in lines


def test_progress_of_known_values():
    rows = [
        (10, "in/a", 0, 0.1, 0.01),
        (10, "in/a", 1, 0.1, 0.03),
        (10, "in/a", 0, 0.2, 0.01),
        (10, "in/a", 1, 0.2, float("inf")),
        (10, "random", 0, 0.1, 0.04),
        (20, "in/a", 0, 0.2, 0.01),
        (20, "random", 0, 0.2, 0.01),
    ]
    curve = pd.DataFrame(rows, columns=["step", "start", "seed", "rate", "force_mae"])
    lines = forces_at_once.progress(curve).splitlines()
    assert lines[0] == "| step | a | random | a / random |"
    assert lines[2:] == ["| 10 | 20.0 | 40.0 | 0.50 |", "| 20 | 10.0 | 10.0 | 1.00 |"]
    alone = forces_at_once.progress(curve[curve["start"] == "in/a"]).splitlines()
    assert alone[0] == "| step | a |"
