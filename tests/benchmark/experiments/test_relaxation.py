"""Rows of relaxed conformers."""

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

from skmol3d import PotentialCalculator, REM3DIFeaturizer
from skmol3d.benchmark.experiments import relaxation


def test_a_geometry_that_is_left_alone_has_the_row_of_its_smiles():
    mol = relaxation.with_geometry("OCC(=O)N", None, None)
    featurizer = REM3DIFeaturizer(device="cpu", blocks=("surface", "words"))
    np.testing.assert_allclose(*featurizer.fit_transform([mol, "OCC(=O)N"]), atol=0.01)


def test_relaxing_lowers_the_energy_to_the_wanted_force():
    calculator = PotentialCalculator("ec-xtb-small", device="cpu")
    positions = []
    for steps in (0, 100):
        mol = relaxation.with_geometry("OCCO", None, relaxation.relaxed_by(calculator, 0.05, steps))
        positions.append(mol.GetConformer().GetPositions())
    atoms = [Atoms([a.GetAtomicNum() for a in mol.GetAtoms()], x, calculator=calculator) for x in positions]
    assert atoms[1].get_potential_energy() < atoms[0].get_potential_energy() - 0.01
    forces = [np.linalg.norm(a.get_forces(), axis=1).max() for a in atoms]
    assert forces[1] < 0.05 < forces[0]


@pytest.mark.slow
def test_three_geometries_of_a_table_and_no_test_molecule(tmp_path, capsys, monkeypatch):
    smiles = ["C" * k + end for k in range(1, 6) for end in ("O", "N", "C(=O)O")]
    table = pd.DataFrame({"smiles": [*smiles, "CC#N", "c1ccccc1[U]"], "y": np.arange(17.0)})
    table["split"] = ["train"] * 15 + ["test", "train"]
    table.to_csv(tmp_path / "t.csv", index=False)
    seen = []
    original = relaxation.with_geometry
    monkeypatch.setattr(relaxation, "with_geometry", lambda s, *a: (seen.append(s), original(s, *a))[1])
    relaxation.main([str(tmp_path / "t.csv"), "--fmax", "0.5"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == ["ETKDGv3", "MMFF94", "ec-xtb-small"]
    assert {line.split(" | ")[2] for line in lines[2:]} == {"15"}
    assert "CC#N" not in seen
