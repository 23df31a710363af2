"""The protocol on water: the table, the files, and methods that are compared with the reference."""

import numpy as np
import pytest
from ase.build import molecule
from ase.io import write

from skmol3d.benchmark.experiments import dynamics


@pytest.fixture
def water(tmp_path):
    path = tmp_path / "water.xyz"
    write(path, molecule("H2O"))
    return str(path)


def test_a_potential_next_to_the_reference(water, tmp_path, capsys):
    out = tmp_path / "out"
    dynamics.main([water, "--ps", "0.02", "--skip", "0.005", "--replicas", "2", "--out", str(out)])
    printed = capsys.readouterr().out
    (potential,) = [line.split("|") for line in printed.splitlines() if line.startswith("| ec-xtb-small")]
    stable, broken, error = potential[2].strip(), potential[3].strip(), float(potential[6])
    assert stable == "0.02 of 0.02"
    assert broken == "0 of 2"
    assert 0 < error < 2
    assert (out / "pair_distances.png").is_file()
    saved = np.load(out / "ec-xtb-small.npz")
    assert saved["positions"].shape == (5, 2, 3, 3)
    # Both relax first: bonds start at their own minima.
    reference = np.load(out / "GFN2-xTB.npz")["positions"]
    assert 0 < np.abs(saved["positions"][0] - reference[0]).max() < 0.1


def test_without_the_reference(water, tmp_path, capsys):
    dynamics.main([water, "--no-reference", "--ps", "0.01", "--skip", "1", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "GFN2" not in printed.split("\n\n", 1)[1]
    assert "| ec-xtb-small | 0.01 of 0.01 | 0 of 4 |" in printed


def test_a_start_from_smiles_has_its_charge():
    atoms = dynamics.read_start("C[NH3+]")
    assert len(atoms) == 8
    assert atoms.info["charge"] == 1
