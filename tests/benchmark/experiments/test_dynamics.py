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
    stable, broken, error = potential[2].strip(), potential[3].strip(), float(potential[7])
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


def test_files_are_judged_without_a_run(water, tmp_path, capsys, monkeypatch):
    run = [water, "--ps", "0.03", "--skip", "0.005", "--replicas", "2", "--out", str(tmp_path / "out")]
    dynamics.main([*run, "--no-reference"])
    dynamics.main([*run, "--no-reference", "--model", "GFN2-xTB"])
    first = capsys.readouterr().out
    monkeypatch.setattr(dynamics, "run", None)
    files = [str(tmp_path / "out" / f"{name}.npz") for name in ("ec-xtb-small", "GFN2-xTB")]
    dynamics.main([*run, "--trajectory", *files, "--reference", files[1]])
    again = capsys.readouterr().out
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in again.splitlines()
        if line.startswith(("| ec-xtb-small", "| GFN2-xTB"))
    ]
    assert rows[1][6] == "0.000"
    assert float(rows[0][6]) > 0
    for row in rows:  # but for the error they say what the runs had said
        assert any(all(c in line for c in row[:6] + row[7:]) for line in first.splitlines())
    # Frames serve as a reference, too.
    dynamics.main([*run, "--trajectory", files[0], "--reference", water])
    assert "| ec-xtb-small | 0.03 of 0.03 | 0 of 2 |" in capsys.readouterr().out


def test_a_broken_replica_of_a_file_ends_where_it_broke(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        numbers=[1, 1],
        times=[0.0, 0.1, 0.2],
        positions=np.full((3, 2, 2, 3), 1500, np.int16),
        stable=[0.15, np.inf],
        temperatures=np.full((3, 2), 500.0),
        conserved=np.zeros((3, 2)),
    )
    found = dynamics.read_trajectory(tmp_path / "a.npz")
    assert np.isnan(found.positions[2, 0]).all()
    assert found.positions[1, 0, 0, 0] == 1.5
    assert np.isfinite(found.positions[:, 1]).all()


def test_a_hydrogen_that_hops_is_not_lost(tmp_path, capsys):
    """That of the first replica of C–O–H···O–C stays, the second's hops, the third's flies away."""
    numbers = np.array([6, 8, 1, 8, 6])
    start = np.zeros((5, 3))
    start[:, 0] = -1.4, 0.0, 1.0, 2.6, 4.0
    hop, away = start.copy(), start.copy()
    hop[2, 0], away[2, 1] = 1.6, 5.0
    frames = np.array([[start] * 3, [start, hop, away], [start] * 3])
    common = {"numbers": numbers, "times": [0.0, 0.1, 0.2], "stable": [np.inf, 0.05, 0.07]}
    common |= {"temperatures": np.full((3, 3), 500.0), "conserved": np.zeros((3, 3))}
    np.savez(tmp_path / "on.npz", positions=(1000 * frames).astype(np.int16), **common)
    frames[1, 1:] = start
    frames[1, 1:, 2, 0] = 1.3
    frames[2, 1:] = np.nan  # as where a replica ends when it breaks
    np.savez(tmp_path / "ends.npz", positions=frames, **common | {"stable": [np.inf, 0.15, 0.17]})
    files = [str(tmp_path / f"{name}.npz") for name in ("on", "ends")]
    dynamics.main(["--trajectory", *files, "--skip", "0", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "| on | 0.11 of 0.20 | 2 of 3 (O–H 2) | 1 | 500 |" in printed
    assert "| ends | 0.17 of 0.20 | 2 of 3 (O–H 2) | – | 500 |" in printed
    assert dynamics.ASPIRIN not in printed  # nothing was run
