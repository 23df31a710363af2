"""Pretrained against random potentials: which frames test, what is printed, what a repeated command does."""

import json
import re

import ase.io
import numpy as np
import pytest
import torch
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from skmol3d import hub
from skmol3d.benchmark.experiments import forces
from skmol3d.encoders import EquivariantTransformerConfig, Potential, PotentialConfig

SEED = 2


def frames(count, seed):
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        atoms = molecule("CH3CH2OH")
        atoms.positions += rng.normal(0, 0.05, atoms.positions.shape)
        labels = {"energy": -4000.0 + rng.normal(), "forces": rng.normal(0, 0.5, atoms.positions.shape)}
        atoms.calc = SinglePointCalculator(atoms, **labels)
        made.append(atoms)
    return made


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """train.xyz (12 frames), test.xyz (five others and the first three of train.xyz) and a potential."""
    root = tmp_path_factory.mktemp("md")
    train = frames(12, 0)
    ase.io.write(root / "train.xyz", train, format="extxyz")
    ase.io.write(root / "test.xyz", frames(5, 1) + train[:3], format="extxyz")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = Potential(PotentialConfig(EquivariantTransformerConfig(width=8, layers=1, heads=2, radial=6)))
    hub.save_pretrained(made, root / "tiny", card="A potential.")
    return root


def test_no_frame_trains_and_tests(files):
    sets, tests = (
        forces.read_all([files / name for name in names])
        for names in (["train.xyz"], ["test.xyz", "train.xyz"])
    )
    chosen, left = forces.draw(sets, tests, 8, seed=SEED)
    assert len(set(chosen["train"])) == 8
    assert sorted([*chosen["train"], *left["train"]]) == list(range(12))
    trained = set(chosen["train"]) & {0, 1, 2}
    assert 0 < len(trained) < 3
    assert left["test"].tolist() == [0, 1, 2, 3, 4, *(5 + k for k in range(3) if k not in trained)]
    again, _ = forces.draw(sets, tests, 8, seed=SEED)
    np.testing.assert_array_equal(again["train"], chosen["train"])
    other, _ = forces.draw(sets, tests, 8, seed=SEED + 1)
    assert other["train"].tolist() != chosen["train"].tolist()
    with pytest.raises(ValueError, match="no frame of train is left for testing"):
        forces.draw(sets, tests, 12, seed=SEED)


def test_selected_frames_are_those_of_the_set(files):
    data = forces.read_all([files / "test.xyz"])["test"]
    part = forces.select(data, np.array([6, 2]))
    for k, m in enumerate((6, 2)):
        (own, targets), (found, labels) = data.batch(np.array([m])), part.batch(np.array([k]))
        assert torch.equal(own.positions, found.positions)
        assert torch.equal(own.numbers, found.numbers)
        assert {name: v.tolist() for name, v in targets.items()} == {k: v.tolist() for k, v in labels.items()}
    assert part.group.tolist() == [0, 1]


def test_prints_a_table_and_goes_on_from_its_folder(files, tmp_path, capsys, monkeypatch):
    command = [str(files / "train.xyz"), "--test", str(files / "test.xyz"), str(files / "train.xyz")]
    command += ["--model", str(files / "tiny"), "--frames", "8", "--seeds", "2", "--out", str(tmp_path)]
    for change in ("schedule.steps=2", "held_out=0.25", "atoms=40"):
        command += ["--set", change]
    forces.main(command)
    first = capsys.readouterr().out
    assert "8 frames per training file, of which 25% for validation; 2 steps" in first
    starts = {}
    for start in ("pretrained", "random"):
        runs = [json.loads((tmp_path / f"seed{k}" / start / "metrics.json").read_text()) for k in range(2)]
        assert runs[0] != runs[1]
        assert runs[0]["train"]["molecules"] == 2
        values = np.array([run["test test/test"]["force_mae"] for run in runs]) * 1000
        starts[start] = values.mean()
        spread = abs(values[0] - values[1]) / 2**0.5
        assert f"{values.mean():.1f} ± {spread:.1f}" in first
    assert starts["pretrained"] != starts["random"]
    rows = [line for line in first.splitlines() if line.startswith("| t")]
    assert [row.split(" | ")[0] for row in rows] == ["| train (validation)", "| test", "| train"]
    assert f"| {starts['pretrained'] / starts['random']:.2f} |" in rows[1]

    monkeypatch.setattr(forces.PotentialRecipe, "run", None)
    forces.main(command)
    assert capsys.readouterr().out.splitlines()[-5:] == first.splitlines()[-5:]


def test_table_of_known_values():
    def metrics(force, energy):
        return {
            "scan": {"energy_mae": energy, "molecules": 3.0},
            "md": {"force_mae": force, "molecules": 9.0},
        }

    runs = [
        {"pretrained": metrics(0.01, 0.5), "random": metrics(0.02, 2.0)},
        {"pretrained": metrics(0.03, 0.7), "random": metrics(0.06, 3.0)},
    ]
    rows = forces.table(runs).splitlines()[2:]
    assert [re.split(r" *\| *", row)[1:-1] for row in rows] == [
        ["scan", "3", "", "", "", "600.0 ± 141.4", "2500.0 ± 707.1", "0.24"],
        ["md", "9", "20.0 ± 14.1", "40.0 ± 28.3", "0.50", "", "", ""],
    ]
    assert "| 10.0 | 20.0 | 0.50 |" in forces.table(runs[:1])


def test_an_encoder_is_no_potential(files, tiny_checkpoint):
    train = str(files / "train.xyz")
    with pytest.raises(ValueError, match="is a REM3DI, not a potential"):
        forces.main([train, "--test", train, "--model", tiny_checkpoint])


def test_files_of_one_name(files, tmp_path):
    with pytest.raises(ValueError, match="two files have one name: train, train"):
        forces.read_all([files / "train.xyz", tmp_path / "train.xyz.gz"])
