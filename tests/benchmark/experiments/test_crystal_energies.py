"""Energies of synthetic crystals: nothing leaks from test to training."""

import numpy as np
import pytest
from crystal_parts import write_crystals

from skmol3d.benchmark.experiments import crystal_energies
from skmol3d.trainer.data.synthetic_crystals import TARGETS


def test_molecules_are_not_split():
    molecules = np.repeat(np.arange(40), 3)
    parts = crystal_energies.split(molecules)
    assert sorted(np.concatenate(parts)) == list(range(120))
    held = [set(molecules[part]) for part in parts]
    assert [len(each) for each in held] == [32, 4, 4]


@pytest.mark.slow
def test_embeddings_are_compared_by_what_they_know():
    rng = np.random.default_rng(0)
    molecules = np.repeat(np.arange(60), 5)
    energies = np.stack([-800 + 50 * rng.normal(size=300), rng.normal(size=300)], 1)
    rows = {
        "nothing": rng.normal(size=(300, 4)),
        "all": np.concatenate([energies, rng.normal(size=(300, 2))], 1),
    }
    table, kept = crystal_energies.compare(rows, energies, molecules, epochs=40)
    found = {name: crystal_energies.correlations(*kept[name][1:]) for name in rows}
    assert found["all"].min() > 0.8
    assert np.abs(found["nothing"]).max() < 0.6
    assert kept["all"][0].network_.config.targets == TARGETS
    assert f"{found['all'][1]:.3f}" in table


def test_comparison_prints_and_plots(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(crystal_energies, "SETTINGS", [{"dropout": 0.1}])
    whole = np.arange(12)
    monkeypatch.setattr(crystal_energies, "split", lambda molecules: (whole, whole, whole))
    arguments = [
        str(write_crystals(tmp_path, rounds=3)),
        "--epochs",
        "2",
        "--plot",
        str(tmp_path / "parity.png"),
    ]
    crystal_energies.main(arguments)
    out = capsys.readouterr().out
    assert all(f"| {name} |" in out for name in crystal_energies.EMBEDDINGS)
    assert (tmp_path / "parity.png").stat().st_size > 10_000
    assert "| mo3enet | 129 |" in out
