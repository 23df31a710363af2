"""Fine-tuning on QM9's orbitals: which molecules are read, and what is printed."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from skmol3d import hub
from skmol3d.benchmark.experiments import qm9_starts
from skmol3d.encoders import EGNNConfig, Potential, PotentialConfig
from skmol3d.trainer.data.conformer_kinds import ConformerKind

SMALL = EGNNConfig(width=8, layers=1, channels=2, radial=4)


@pytest.fixture
def folder(tmp_path):
    """Two files of 12 waters and copies with noise, HF orbitals of all but the last, and a potential."""
    rng = np.random.default_rng(0)
    rest = np.array([[0, 0, 0], [960, 0, 0], [-240, 930, 0]])
    for k in range(2):
        count = 24
        np.savez(
            tmp_path / f"qm9_{k}.npz",
            numbers=np.tile(np.array([8, 1, 1], np.uint8), count),
            positions=(rest + rng.normal(0, 50, (count, 3, 3))).reshape(-1, 3).astype(np.int16),
            offsets=3 * np.arange(count + 1),
            row=100 * k + np.arange(count) // 2,
            kind=np.tile([ConformerKind.QM9, ConformerKind.NOISY], count // 2).astype(np.uint8),
            total_charge=np.zeros(count, np.int8),
            forces=np.zeros((3 * count, 3), np.float16),
            charges=np.zeros(3 * count, np.float16),
            **{name: np.zeros(count) for name in ("energy", "homo", "lumo")},
            dipole=np.zeros((count, 3)),
        )
    index = np.concatenate([np.arange(12), 100 + np.arange(11)])
    labels = pd.DataFrame({"mol_index": index, "homo_HF_eV": -12.0 - index / 100, "lumo_HF_eV": 3.0})
    labels[["dip_HF_x_au", "dip_HF_y_au", "dip_HF_z_au"]] = [0.7, -0.4, 0.0]
    labels.to_csv(tmp_path / "labels.csv", index=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hub.save_pretrained(Potential(PotentialConfig(SMALL)), tmp_path / "tiny", card="A potential.")
    return tmp_path


def test_geometries_of_qm9_with_hartree_fock_labels(folder):
    labels = pd.read_csv(folder / "labels.csv").set_index("mol_index")
    data = qm9_starts.read(folder / "qm9_1.npz", labels, ["homo", "lumo"])
    assert len(data) == 11
    np.testing.assert_allclose(data.molecule_targets["homo"], -13.0 - np.arange(11) / 100)
    assert set(data.molecule_targets) == {"homo", "lumo"}


def test_dipoles_of_labels_are_read_in_electrons_and_angstroms(folder):
    labels = pd.read_csv(folder / "labels.csv").set_index("mol_index")
    dipoles = qm9_starts.read(folder / "qm9_0.npz", labels, ["dipole"]).molecule_targets["dipole"]
    np.testing.assert_allclose(dipoles, np.tile([0.3704, -0.2117, 0.0], (12, 1)), atol=1e-4)


@pytest.mark.parametrize(("targets", "cells"), [(["homo", "lumo"], 9), (["dipole"], 6)])
def test_errors_of_both_starts_are_printed(folder, capsys, targets, cells):
    command = ["--geometries", *(str(folder / f"qm9_{k}.npz") for k in range(2))]
    command += ["--labels", str(folder / "labels.csv"), "--start", str(folder / "tiny"), "--molecules", "8"]
    command += ["--set", "model.backbone={kind: egnn, width: 8, layers: 1, channels: 2, radial: 4}"]
    for change in ("schedule.steps=3", "schedule.minutes=null", "held_out=0.25", "atoms=12"):
        command += ["--set", change]
    qm9_starts.main([*command, "--out", str(folder / "out"), "--targets", *targets])
    printed = capsys.readouterr().out
    assert "23 molecules, of which 8 of each file train (validation 25%) and 7 test; 3 steps" in printed
    (line,) = re.findall(r"^\| test \|.*$", printed, re.M)
    assert len(line.split("|")) == cells
    assert all(float(cell) > 0 for cell in line.split("|")[2:-1])
